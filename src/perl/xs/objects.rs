//! The kinds of objects that own Rust state, and the glue's way to their counts. How an object owns its
//! state is `ffi/object.rs`; what its keys show is `keys.rs`.

use std::ffi::c_void;

use super::connection::{FIELDS, set_part};
use super::{keys, notes, transaction};
use crate::mail::{Connection, EnvelopeAddress, Transaction};
use crate::perl::ffi::object::{Owned, count_up, give_back};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::perl::host::script::OwnSession;
use crate::smtp::Address;

impl Owned for Connection {
    const KIND: u16 = 1;
    const CLASS: &'static str = "Qpsmtpd::Connection";
    const KEYS: &'static [(&'static str, i32)] = keys::CONNECTION;
    const KEYS_MAY_WAIT: bool = true;

    /// A copy of a connection's hash has what the connection had.
    fn stand_in(hash: Option<&Sv>) -> Option<Connection> {
        let connection = Connection::default();
        for (index, (name, _)) in FIELDS.iter().enumerate() {
            let value = hash.and_then(|hash| hash.hash_get(&format!("_{name}")));
            if let Some(value) = value.filter(Sv::is_defined) {
                let _ = set_part(&connection, index, &value);
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
    const KEYS: &'static [(&'static str, i32)] = keys::TRANSACTION;
    const KEYS_MAY_WAIT: bool = true;

    /// A copy of a transaction's hash has no body: it is refused.
    fn stand_in(hash: Option<&Sv>) -> Option<Transaction> {
        if hash.is_some_and(|hash| hash.hash_get("_recipients").is_some()) {
            return None;
        }
        let host = host::current().ok()?;
        Some(transaction::fresh(host.present.port().spool()))
    }
}

impl Owned for EnvelopeAddress {
    const KIND: u16 = 3;
    const CLASS: &'static str = "Qpsmtpd::Address";
    const KEYS: &'static [(&'static str, i32)] = keys::ADDRESS;

    fn stand_in(hash: Option<&Sv>) -> Option<EnvelopeAddress> {
        let part = |key| {
            let value = hash?.hash_get(key)?;
            value.is_defined().then(|| value.to_bytes())
        };
        let address = Address::from_parts(part("_user"), part("_host"));
        Some(EnvelopeAddress::new(address))
    }
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
