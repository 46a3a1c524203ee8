//! Keys that plugins read and write directly in the hash of a transaction or of a session's
//! object: they show the Rust state at the moment of the look, and an assignment changes it.

use std::ffi::c_void;
use std::rc::Rc;

use super::address::{part as address_part, set_part as set_address_part};
use super::body::parts;
use super::connection::{part as connection_part, set_part as set_connection_part};
use super::notes;
use super::transaction::{fresh as new_transaction, header_object, set_header};
use crate::mail::{Connection, EnvelopeAddress, Shown, Transaction};
use crate::perl::ffi::object;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::perl::host::port::{AuthFact, Port};
use crate::perl::host::script::OwnSession;

const RECIPIENTS: i32 = 0;
const BODY_FILE: i32 = 1;
const BODY_ARRAY: i32 = 2;
const FILENAME: i32 = 3;
const SENDER: i32 = 4;
const HEADER: i32 = 5;
const NOTES: i32 = 6;
const BODY_SIZE: i32 = 7;
const BODY_START: i32 = 8;
const POSITION: i32 = 9;
const HEADER_SIZE: i32 = 10;
const STARTED: i32 = 11;

pub(crate) const TRANSACTION: &[(&str, i32)] = &[
    ("_recipients", RECIPIENTS),
    ("_rcpt", RECIPIENTS),
    ("_body_file", BODY_FILE),
    ("_body_array", BODY_ARRAY),
    ("_filename", FILENAME),
    ("_sender", SENDER),
    ("_header", HEADER),
    ("_notes", NOTES),
    ("_body_size", BODY_SIZE),
    ("_body_start", BODY_START),
    ("_body_current_pos", POSITION),
    ("_header_size", HEADER_SIZE),
    ("started", STARTED),
];

/// Keys of an address.
const USER: i32 = 24;
const HOST: i32 = 25;

pub(crate) const ADDRESS: &[(&str, i32)] = &[("_user", USER), ("_host", HOST)];

/// Keys of a connection: from here on its fields, in their order, and its notes.
const FIELD: i32 = 32;
const CONNECTION_NOTES: i32 = 47;

pub(crate) const CONNECTION: &[(&str, i32)] = &[
    ("_remote_ip", FIELD),
    ("_remote_host", FIELD + 1),
    ("_remote_info", FIELD + 2),
    ("_local_ip", FIELD + 3),
    ("_hello", FIELD + 4),
    ("_hello_host", FIELD + 5),
    ("_remote_port", FIELD + 6),
    ("_local_port", FIELD + 7),
    ("_relay_client", FIELD + 8),
    ("_notes", CONNECTION_NOTES),
];

/// From here on keys are those of a session's object.
const SESSION: i32 = 48;
const CURRENT_CONNECTION: i32 = 48;
const CURRENT_TRANSACTION: i32 = 49;
const AUTHENTICATED: i32 = 50;
const AUTH_USER: i32 = 51;
const AUTH_MECHANISM: i32 = 52;
const AUTH: i32 = 53;
const TICKET: i32 = 54;
const COUNTER: i32 = 55;
const CLIENT: i32 = 56;

/// Whose key an index is.
enum Of {
    Transaction,
    Address,
    Connection,
    Session,
}

fn owner(index: i32) -> Of {
    if index < USER {
        Of::Transaction
    } else if index < FIELD {
        Of::Address
    } else if index < SESSION {
        Of::Connection
    } else {
        Of::Session
    }
}

const SESSION_KEYS: &[(&str, i32)] = &[
    ("_connection", CURRENT_CONNECTION),
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
            None => host::current().ok().map(|host| host.present.port()),
        }
    }
}

/// Binds the keys of a session's object.
pub(crate) fn bind_session_keys(object: &Sv, own: Option<Rc<OwnSession>>) {
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

/// Called when somebody walks through the hash of an object whose keys wait: it is the session's own.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_now(index: i32) -> *mut sys::cp_sv {
    let port = host::current().ok().map(|host| host.present.port());
    let value = port.and_then(|port| match owner(index) {
        Of::Connection => connection_value(index, &port.connection()),
        Of::Transaction => transaction_value(index, &port.transaction()),
        Of::Address | Of::Session => None,
    });
    value.unwrap_or_else(Sv::undef).into_raw()
}

/// Called when such a key is read.
#[unsafe(no_mangle)]
extern "C" fn camelpost_key_get(index: i32, data: *mut c_void) -> *mut sys::cp_sv {
    let value = match owner(index) {
        Of::Session => {
            let key = state::<KeyOf>(data);
            key.port()
                .and_then(|port| session_value(index, &key, &*port))
        }
        Of::Address => {
            let address = state::<EnvelopeAddress>(data);
            Some(address_part(&address, index == USER))
        }
        Of::Connection => connection_value(index, &state::<Connection>(data)),
        Of::Transaction => transaction_value(index, &state::<Transaction>(data)),
    };
    value.unwrap_or_else(Sv::undef).into_raw()
}

fn connection_value(index: i32, connection: &Connection) -> Option<Sv> {
    match index {
        CONNECTION_NOTES => notes::hash(&connection.notes),
        _ => Some(connection_part(connection, (index - FIELD) as usize)),
    }
}

fn transaction_value(index: i32, transaction: &Transaction) -> Option<Sv> {
    let number = |number: u64| Sv::int(i64::try_from(number).unwrap_or(i64::MAX));
    match index {
        RECIPIENTS => Some(Sv::array_of(parts::recipients(transaction))),
        BODY_FILE => parts::body_handle(transaction),
        BODY_ARRAY => parts::body_lines(transaction),
        FILENAME => parts::body_path(transaction),
        SENDER => {
            let sender = transaction.sender.borrow().clone();
            sender.map(|sender| object::of(&sender))
        }
        HEADER => header_object(transaction).ok(),
        NOTES => notes::hash(&transaction.notes),
        BODY_SIZE => Some(number(transaction.body.borrow().size()).tainted()),
        BODY_START => transaction.body.borrow().start().map(number),
        POSITION => Some(number(transaction.body.borrow().position())),
        HEADER_SIZE => transaction.body.borrow().header_size().map(number),
        STARTED => Some(Sv::int(transaction.start_time.get())),
        _ => None,
    }
}

fn session_value(index: i32, key: &KeyOf, port: &dyn Port) -> Option<Sv> {
    let text = |fact| port.auth(fact).map(|text| Sv::bytes(&text));
    match index {
        CURRENT_CONNECTION => Some(object::of(&port.connection())),
        CURRENT_TRANSACTION => Some(object::of(&port.transaction())),
        AUTHENTICATED => port.authenticated().map(Sv::int),
        AUTH_USER => text(AuthFact::User).map(Sv::tainted),
        AUTH_MECHANISM => text(AuthFact::Mechanism).map(Sv::tainted),
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
    match owner(index) {
        Of::Session => {
            if let Some(port) = state::<KeyOf>(data).port() {
                set_session_value(index, &*port, &value);
            }
        }
        Of::Address => {
            let address = state::<EnvelopeAddress>(data);
            set_address_part(&address, index == USER, &value);
        }
        Of::Connection => {
            let connection = state::<Connection>(data);
            match index {
                CONNECTION_NOTES => notes::replace(&connection.notes, &value),
                // An exit on the way to a text is not lost: the glue remembers it.
                _ => drop(set_connection_part(
                    &connection,
                    (index - FIELD) as usize,
                    &value,
                )),
            }
        }
        Of::Transaction => set_transaction_value(index, &state::<Transaction>(data), &value),
    }
}

fn set_transaction_value(index: i32, transaction: &Transaction, value: &Sv) {
    let number = || u64::try_from(value.as_int()).unwrap_or_default();
    match index {
        RECIPIENTS => {
            let list = (0..value.array_len()).filter_map(|i| value.array_get(i));
            // As above, for an exit.
            let list = list.filter_map(|address| object::address(&address).ok().flatten());
            let old = transaction.recipients.replace(list.collect());
            drop(old);
        }
        BODY_ARRAY => parts::replace_body(transaction, value),
        SENDER => {
            let sender = object::address(value).ok().flatten();
            let old = transaction.sender.replace(sender);
            drop(old);
        }
        HEADER => set_header(transaction, value),
        NOTES => notes::replace(&transaction.notes, value),
        BODY_START => {
            let start = value.is_defined().then(number);
            transaction.body.borrow_mut().set_start(start);
        }
        POSITION => transaction.body.borrow_mut().set_position(number()),
        STARTED => transaction.start_time.set(value.as_int()),
        BODY_SIZE => transaction.body.borrow_mut().tell_size(number()),
        // The file's name and handle and the header's size follow from the body; what a plugin writes there
        // is not kept, as nothing could be read from it.
        _ => {}
    }
}

fn set_session_value(index: i32, port: &dyn Port, value: &Sv) {
    let text = value.is_defined().then(|| value.to_bytes());
    match index {
        // Undefined: the next look finds a new one, as the original makes it.
        CURRENT_CONNECTION => match object::shown::<Connection>(value) {
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
    match owner(index) {
        Of::Session => object::give_back::<KeyOf>(data),
        Of::Address => object::give_back::<EnvelopeAddress>(data),
        Of::Connection => object::give_back::<Connection>(data),
        Of::Transaction => object::give_back::<Transaction>(data),
    }
}
