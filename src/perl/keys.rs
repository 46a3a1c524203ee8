//! Keys that plugins read and write directly in the hash of a transaction or of a session's
//! object: they show the Rust state at the moment of the look, and an assignment changes it.

use std::ffi::c_void;
use std::rc::Rc;

use super::host;
use super::object;
use super::port::{AuthFact, Port};
use super::scripted::OwnSession;
use super::sys;
use super::value::Sv;
use super::xs::{address_part, new_transaction, set_address_part, transaction_parts as parts};
use crate::mail::{Connection, EnvelopeAddress, Shown, Transaction};

const RECIPIENTS: i32 = 0;
const BODY_FILE: i32 = 1;
const BODY_ARRAY: i32 = 2;
const FILENAME: i32 = 3;

pub const TRANSACTION: &[(&str, i32)] = &[
    ("_recipients", RECIPIENTS),
    ("_rcpt", RECIPIENTS),
    ("_body_file", BODY_FILE),
    ("_body_array", BODY_ARRAY),
    ("_filename", FILENAME),
];

/// Keys of an address.
const USER: i32 = 8;
const HOST: i32 = 9;

pub const ADDRESS: &[(&str, i32)] = &[("_user", USER), ("_host", HOST)];

/// From here on keys are those of a session's object.
const SESSION: i32 = 16;
const CONNECTION: i32 = 16;
const CURRENT_TRANSACTION: i32 = 17;
const AUTHENTICATED: i32 = 18;
const AUTH_USER: i32 = 19;
const AUTH_MECHANISM: i32 = 20;
const AUTH: i32 = 21;
const TICKET: i32 = 22;
const COUNTER: i32 = 23;
const CLIENT: i32 = 24;

const SESSION_KEYS: &[(&str, i32)] = &[
    ("_connection", CONNECTION),
    ("_transaction", CURRENT_TRANSACTION),
    ("_auth", AUTHENTICATED),
    ("_auth_user", AUTH_USER),
    ("_auth_mechanism", AUTH_MECHANISM),
    ("auth", AUTH),
    ("_counter", COUNTER),
    ("__client_socket", CLIENT),
];

/// Whose session a key shows: an object's own, or the one that Perl code runs in.
struct KeyOf(Option<Rc<OwnSession>>);

impl KeyOf {
    fn port(&self) -> Option<Rc<dyn Port>> {
        match &self.0 {
            Some(own) => Some(own.0.clone()),
            None => host::current().ok().map(|host| host.port()),
        }
    }
}

/// Binds the keys of a session's object.
pub fn bind_session_keys(object: &Sv, own: Option<Rc<OwnSession>>) {
    for (key, index) in SESSION_KEYS {
        bind_session_key(object, key, *index, own.clone());
    }
}

fn bind_session_key(hash: &Sv, key: &str, index: i32, own: Option<Rc<OwnSession>>) {
    let data = Rc::into_raw(Rc::new(KeyOf(own)))
        .cast_mut()
        .cast::<c_void>();
    // SAFETY: a live hash; the element takes over the counted pointer and gives it back to
    // camelpost_key_free.
    unsafe { sys::cp_bind_session_key(hash.raw(), key.as_ptr().cast(), key.len(), index, data) }
}

/// The state that a key's element owns a count of.
fn state<T>(data: *mut c_void) -> Rc<T> {
    let data = data.cast::<T>().cast_const();
    // SAFETY: the pointer was made from an Rc of this type for this element, which is alive; the
    // count goes up before an Rc is made of it.
    unsafe {
        Rc::increment_strong_count(data);
        Rc::from_raw(data)
    }
}

/// Called when such a key is read.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_get(index: i32, data: *mut c_void) -> *mut sys::cp_sv {
    if index >= SESSION {
        let key = state::<KeyOf>(data);
        let value = key
            .port()
            .and_then(|port| session_value(index, &key, &*port));
        return value.unwrap_or_else(Sv::undef).into_raw();
    }
    if let USER | HOST = index {
        return address_part(&state::<EnvelopeAddress>(data), index == USER).into_raw();
    }
    let transaction = state::<Transaction>(data);
    let value = match index {
        RECIPIENTS => Some(Sv::array_of(parts::recipients(&transaction))),
        BODY_FILE => parts::body_handle(&transaction),
        BODY_ARRAY => parts::body_lines(&transaction),
        FILENAME => parts::body_path(&transaction),
        _ => None,
    };
    value.unwrap_or_else(Sv::undef).into_raw()
}

fn session_value(index: i32, key: &KeyOf, port: &dyn Port) -> Option<Sv> {
    let text = |fact| port.auth(fact).map(|text| Sv::bytes(&text));
    match index {
        CONNECTION => Some(object::of(&port.connection())),
        CURRENT_TRANSACTION => Some(object::of(&port.transaction())),
        AUTHENTICATED => port.authenticated().map(Sv::int),
        AUTH_USER => text(AuthFact::User),
        AUTH_MECHANISM => text(AuthFact::Mechanism),
        TICKET => text(AuthFact::Ticket),
        // Always there, so that an assignment to {auth}{ticket} finds it.
        AUTH => Some(auth_hash(key)),
        COUNTER => match port.command_counter() {
            0 => None,
            count => Some(Sv::int(i64::try_from(count).unwrap_or(i64::MAX))),
        },
        CLIENT => port.client(),
        _ => None,
    }
}

/// `{auth}`, in which `{ticket}` is a key of the same kind.
fn auth_hash(key: &KeyOf) -> Sv {
    let hash = Sv::hash_ref();
    bind_session_key(&hash, "ticket", TICKET, key.0.clone());
    hash
}

/// Called after such a key was assigned.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_set(index: i32, data: *mut c_void, value: *mut sys::cp_sv) {
    let value = Sv::share(value);
    if index >= SESSION {
        let key = state::<KeyOf>(data);
        if let Some(port) = key.port() {
            set_session_value(index, &*port, &value);
        }
        return;
    }
    if let USER | HOST = index {
        set_address_part(&state::<EnvelopeAddress>(data), index == USER, &value);
        return;
    }
    let transaction = state::<Transaction>(data);
    match index {
        RECIPIENTS => {
            let list = (0..value.array_len()).filter_map(|i| value.array_get(i));
            // An exit on the way to a text is not lost: the glue remembers it.
            let list = list.filter_map(|address| object::address(&address).ok().flatten());
            let old = transaction.recipients.replace(list.collect());
            drop(old);
        }
        BODY_ARRAY => parts::replace_body(&transaction, &value),
        // The file's name and handle follow from the body; what a plugin writes there is not
        // kept, as nothing could be read from it.
        _ => {}
    }
}

fn set_session_value(index: i32, port: &dyn Port, value: &Sv) {
    let text = value.is_defined().then(|| value.to_bytes());
    match index {
        // Undefined: the next look finds a new one, as the original makes it.
        CONNECTION => match object::shown::<Connection>(value) {
            Some(connection) => port.set_connection(connection),
            None if value.is_defined() => {}
            None => port.set_connection(Rc::new(Shown::new(Connection::default()))),
        },
        CURRENT_TRANSACTION => match object::shown::<Transaction>(value) {
            Some(transaction) => port.set_transaction(transaction),
            None if value.is_defined() => {}
            None => port.set_transaction(Rc::new(Shown::new(new_transaction(port.spool())))),
        },
        AUTHENTICATED => port.set_authenticated(value.is_defined().then(|| value.as_int())),
        AUTH_USER => port.set_auth(AuthFact::User, text),
        AUTH_MECHANISM => port.set_auth(AuthFact::Mechanism, text),
        TICKET => port.set_auth(AuthFact::Ticket, text),
        AUTH => {
            let ticket = value.hash_get("ticket").filter(Sv::is_defined);
            port.set_auth(AuthFact::Ticket, ticket.map(|ticket| ticket.to_bytes()));
        }
        COUNTER => port.set_command_counter(u64::try_from(value.as_int()).unwrap_or_default()),
        _ => {}
    }
}

/// Called when such a key's element is freed.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_free(index: i32, data: *mut c_void) {
    if index >= SESSION {
        object::give_back::<KeyOf>(data);
    } else if let USER | HOST = index {
        object::give_back::<EnvelopeAddress>(data);
    } else {
        object::give_back::<Transaction>(data);
    }
}
