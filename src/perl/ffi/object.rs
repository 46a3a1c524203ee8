//! Perl objects that own Rust state: blessed hashes with magic that holds one counted
//! reference to the state. The state lives until the last Perl reference is gone.

use std::ffi::c_void;
use std::rc::Rc;

use super::call::{Unwind, Want, call_function};
use super::sys;
use super::value::{PerlValue, Sv};
use crate::mail::{Connection, EnvelopeAddress, Shown, Transaction};
use crate::perl::fast;
use crate::perl::host::scripted::OwnSession;
use crate::perl::xs::{CONNECTION_FIELDS, notes, set_connection_part};
use crate::smtp::Address;

/// State that a Perl object can own.
pub trait Owned: Sized + 'static {
    const KIND: u16;
    const CLASS: &'static str;
    /// Keys of the object's hash that are read and written in Rust.
    const KEYS: &'static [(&'static str, i32)] = &[];
    /// A session has one object of this kind at a time, of which `camelpost_key_now` knows.
    const KEYS_MAY_WAIT: bool = false;

    /// The state of an object that Perl code made without the class's constructor, with the keys
    /// that it has. `None` where too much would be lost.
    fn stand_in(_: Option<&Sv>) -> Option<Self> {
        None
    }
}

impl Owned for Connection {
    const KIND: u16 = 1;
    const CLASS: &'static str = "Qpsmtpd::Connection";
    const KEYS: &'static [(&'static str, i32)] = crate::perl::xs::keys::CONNECTION;
    const KEYS_MAY_WAIT: bool = true;

    /// A copy of a connection's hash has what the connection had.
    fn stand_in(hash: Option<&Sv>) -> Option<Connection> {
        let connection = Connection::default();
        for (index, (name, _)) in CONNECTION_FIELDS.iter().enumerate() {
            let value = hash.and_then(|hash| hash.hash_get(&format!("_{name}")));
            if let Some(value) = value.filter(Sv::is_defined) {
                let _ = set_connection_part(&connection, index, &value);
            }
        }
        if let Some(list) = hash.and_then(|hash| hash.hash_get("_notes")) {
            notes::replace(&connection.notes, &list);
        }
        Some(connection)
    }
}

impl Owned for Transaction {
    const KIND: u16 = 2;
    const CLASS: &'static str = "Qpsmtpd::Transaction";
    const KEYS: &'static [(&'static str, i32)] = crate::perl::xs::keys::TRANSACTION;
    const KEYS_MAY_WAIT: bool = true;

    /// A copy of a transaction's hash has no body: it is refused.
    fn stand_in(hash: Option<&Sv>) -> Option<Transaction> {
        if hash.is_some_and(|hash| hash.hash_get("_recipients").is_some()) {
            return None;
        }
        let host = crate::perl::host::current().ok()?;
        Some(crate::perl::xs::new_transaction(host.port().spool()))
    }
}

impl Owned for EnvelopeAddress {
    const KIND: u16 = 3;
    const CLASS: &'static str = "Qpsmtpd::Address";
    const KEYS: &'static [(&'static str, i32)] = crate::perl::xs::keys::ADDRESS;

    fn stand_in(hash: Option<&Sv>) -> Option<EnvelopeAddress> {
        let part = |key| {
            let value = hash?.hash_get(key)?;
            value.is_defined().then(|| value.to_bytes())
        };
        let address = Address::from_parts(part("_user"), part("_host"));
        Some(EnvelopeAddress::new(address))
    }
}

/// A new object of `class` (or of the state's own class) that owns the state.
pub(crate) fn new<T: Owned>(state: Rc<T>, class: Option<&Sv>) -> Sv {
    make(state, class, false)
}

/// `keys_wait`: it is the session's present object of its kind, and most are never looked into.
fn make<T: Owned>(state: Rc<T>, class: Option<&Sv>, keys_wait: bool) -> Sv {
    let data = Rc::into_raw(state).cast_mut().cast::<c_void>();
    let name = std::ffi::CString::new(T::CLASS).unwrap_or_default();
    let class = class.map_or(std::ptr::null_mut(), Sv::raw);
    // SAFETY: the object takes over the counted pointer and gives it back to camelpost_free
    // with the same kind.
    let raw = unsafe { sys::cp_new_object(name.as_ptr(), class, T::KIND, data) };
    let object = Sv::own(raw).unwrap_or_else(|| std::process::abort());
    if !T::KEYS.is_empty() {
        // SAFETY: a live object of this kind.
        unsafe { sys::cp_bind_keys(object.raw(), T::KIND, keys_wait.into()) }
    }
    object
}

/// Makes the keys known, before the first object is made.
pub(crate) fn add_keys() {
    fn add<T: Owned>() {
        for (key, index) in T::KEYS {
            // SAFETY: the interpreter runs; the text is copied.
            unsafe { sys::cp_add_key(T::KIND, key.as_ptr().cast(), key.len(), *index) }
        }
    }
    add::<Connection>();
    add::<Transaction>();
    add::<EnvelopeAddress>();
}

/// Makes an object that Perl code has made own a state, too.
pub(crate) fn attach<T: Owned>(object: &Sv, state: Rc<T>) {
    let data = Rc::into_raw(state).cast_mut().cast::<c_void>();
    // SAFETY: a live object, which takes over the counted pointer; where it cannot, the pointer is
    // taken back.
    unsafe {
        if sys::cp_attach(object.raw(), T::KIND, data) == 0 {
            drop(Rc::from_raw(data.cast::<T>()));
        }
    }
}

/// The state of an object. A hash that is none becomes one, and nothing at all stands for an
/// empty one, as an object of the original is a hash and no more. `Err` says what perl says of
/// anything else.
pub(crate) fn expect<T: Owned>(raw: Option<*mut sys::cp_sv>) -> Result<Rc<T>, String> {
    if let Some(found) = raw.and_then(data::<T>) {
        return Ok(found);
    }
    let none = || format!("not a {} object", T::CLASS);
    let value = raw.map_or_else(Sv::undef, Sv::share);
    if value.is_plain_hash() {
        let state = Rc::new(T::stand_in(Some(&value)).ok_or_else(none)?);
        attach(&value, state.clone());
        return Ok(state);
    }
    if value.is_ref() {
        return Err("Not a HASH reference".to_owned());
    }
    if value.is_defined() {
        let text = String::from_utf8_lossy(&value.to_bytes()).into_owned();
        let short: String = text.chars().take(32).collect();
        let more = if short.len() < text.len() { "..." } else { "" };
        return Err(format!(
            "Can't use string (\"{short}\"{more}) as a HASH ref while \"strict refs\" in use"
        ));
    }
    T::stand_in(None).map(Rc::new).ok_or_else(none)
}

/// The state of an object, if it is one of this kind.
pub(crate) fn data<T: Owned>(raw: *mut sys::cp_sv) -> Option<Rc<T>> {
    // SAFETY: data of this kind was made by `new` from an Rc<T>; the count goes up before an Rc
    // is made of the pointer.
    unsafe {
        let data = sys::cp_object_data(raw, T::KIND).cast::<T>().cast_const();
        if data.is_null() {
            return None;
        }
        Rc::increment_strong_count(data);
        Some(Rc::from_raw(data))
    }
}

/// A reference to the object that stands for a piece of state, which is made when it is first
/// asked for. Each caller has a reference of its own, as Perl code may assign to it (`map`).
pub(crate) fn of<T: Owned>(shown: &Shown<T>) -> Sv {
    let known = shown.look(|object| PerlValue::of(object).map(|value| Sv::copied(value.raw())));
    if let Some(object) = known.flatten() {
        return object;
    }
    let keys_wait = T::KEYS_MAY_WAIT
        && fast::are_on()
        && crate::perl::host::current().is_ok_and(|h| h.owners.in_session());
    let object = make(shown.data.clone(), None, keys_wait);
    shown.set_object(Box::new(PerlValue(Sv::copied(object.raw()))));
    object
}

/// State and object of a value that a plugin handed in.
pub(crate) fn shown<T: Owned>(value: &Sv) -> Option<Rc<Shown<T>>> {
    let class = std::ffi::CString::new(T::CLASS).ok()?;
    // SAFETY: a live SV; the name ends in NUL.
    let is_one = || value.is_ref() && unsafe { sys::cp_isa(value.raw(), class.as_ptr()) } != 0;
    let state = match data::<T>(value.raw()) {
        Some(state) => state,
        None if is_one() => expect(Some(value.raw())).ok()?,
        None => return None,
    };
    Some(Rc::new(Shown::with_object(
        state,
        Box::new(PerlValue(Sv::copied(value.raw()))),
    )))
}

/// The same for an address, which may be an object of another class with a method `address`
/// (Mail::Address), or anything else that stands for one by its text: it stays what it is.
pub(crate) fn address(value: &Sv) -> Result<Option<Rc<Shown<EnvelopeAddress>>>, Unwind> {
    if let Some(address) = shown(value) {
        return Ok(Some(address));
    }
    if !value.is_defined() {
        return Ok(None);
    }
    let args = std::slice::from_ref(value);
    let text = match call_function("Camelpost::address_text", args, Want::Scalar) {
        Ok(texts) => texts.first().map(Sv::to_bytes).unwrap_or_default(),
        Err(Unwind::Died(_)) => Vec::new(),
        Err(exited) => return Err(exited),
    };
    let mut address = Address::null();
    address.set_address(&text);
    if address.is_null() && !text.is_empty() {
        address = Address::from_parts(Some(text), None);
    }
    Ok(Some(Rc::new(Shown::with_object(
        Rc::new(EnvelopeAddress::new(address)),
        Box::new(PerlValue(Sv::copied(value.raw()))),
    ))))
}

/// Called when an element of an object's hash becomes an owner of its state.
#[unsafe(no_mangle)]
extern "C" fn camelpost_share(kind: u16, data: *mut c_void) {
    match kind {
        Connection::KIND => count_up::<Connection>(data),
        Transaction::KIND => count_up::<Transaction>(data),
        EnvelopeAddress::KIND => count_up::<EnvelopeAddress>(data),
        _ => {}
    }
}

fn count_up<T: Owned>(data: *mut c_void) {
    // SAFETY: data of this kind was made by `make` from an Rc<T>, which its object owns.
    unsafe { Rc::increment_strong_count(data.cast::<T>().cast_const()) }
}

/// Called when an object's hash is freed.
#[unsafe(no_mangle)]
extern "C" fn camelpost_free(kind: u16, data: *mut c_void) {
    match kind {
        Connection::KIND => give_back::<Connection>(data),
        Transaction::KIND => give_back::<Transaction>(data),
        EnvelopeAddress::KIND => give_back::<EnvelopeAddress>(data),
        OwnSession::KIND => give_back::<OwnSession>(data),
        notes::Held::KIND => give_back::<notes::Held>(data),
        _ => {}
    }
}

/// Takes back a counted pointer that was given to Perl.
pub(crate) fn give_back<T: 'static>(data: *mut c_void) {
    // A child that a plugin forked must not remove its parent's spool file.
    if super::interpreter::is_stray_child() {
        return;
    }
    // SAFETY: made by `new` from an Rc of this type; each owner gives its pointer back once.
    unsafe { drop(Rc::from_raw(data.cast::<T>())) }
}
