//! Perl objects that own Rust state: blessed hashes with magic that holds one counted
//! reference to the state. The state lives until the last Perl reference is gone. Which kinds there are,
//! and what their keys show, is said in `xs`.

use std::cell::Cell;
use std::ffi::c_void;
use std::rc::Rc;

use super::call::{Unwind, Want, call_function};
use super::sys;
use super::value::{PerlValue, Sv};
use crate::mail::{EnvelopeAddress, Shown};
use crate::smtp::Address;

/// State that a Perl object can own.
pub(crate) trait Owned: Sized + 'static {
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

thread_local! {
    static KEYS_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a session has its turn, whose present objects get their keys when somebody looks for one.
pub(crate) fn let_keys_wait(wait: bool) {
    KEYS_WAIT.set(wait);
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
    let keys_wait = T::KEYS_MAY_WAIT && KEYS_WAIT.get();
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

/// One more owner of a state.
pub(crate) fn count_up<T: Owned>(data: *mut c_void) {
    // SAFETY: data of this kind was made by `make` from an Rc<T>, which its object owns.
    unsafe { Rc::increment_strong_count(data.cast::<T>().cast_const()) }
}

/// Takes back a counted pointer that was given to Perl.
pub(crate) fn give_back<T: 'static>(data: *mut c_void) {
    // A child that a plugin forked must not remove its parent's spool file.
    if super::stray::is_stray_child() {
        return;
    }
    // SAFETY: made by `new` from an Rc of this type; each owner gives its pointer back once.
    unsafe { drop(Rc::from_raw(data.cast::<T>())) }
}
