//! A plugin's `is_immune` as an XSUB, which answers that a client is nobody special without a method
//! call. The plain way is `_is_immune` in Qpsmtpd::Plugin, which also has all other answers.

use std::ffi::CStr;

use crate::mail::{Connection, Notes, Transaction};
use crate::perl::fast::left_to;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;

pub(crate) const XSUBS: &[(&str, Body)] = &[("Camelpost::is_immune", is_immune)];

/// True for clients and senders that no policy shall touch. Answers only that one is not.
fn is_immune(frame: &mut Frame<'_>) -> Result<(), Raise> {
    match is_nobody_special(&frame.sv(0))? {
        true => Ok(()),
        false => left_to(frame, "Qpsmtpd::Plugin::_is_immune"),
    }
}

fn is_nobody_special(plugin: &Sv) -> Result<bool, Raise> {
    let host = host::current()?;
    // SAFETY: a live SV; the value is shared before anything can free it.
    let qp = unsafe { sys::cp_plugin_qp(plugin.raw()) };
    if qp.is_null() {
        return Ok(false);
    }
    let qp = Sv::share(qp);
    let has_own = |object: &Sv, name: &CStr| {
        // SAFETY: a live SV; the name ends in NUL.
        unsafe { sys::cp_has_host_method(object.raw(), name.as_ptr()) != 0 }
    };
    if qp.address() != host.present.qp.address()
        || !has_own(&qp, c"connection")
        || !has_own(&qp, c"transaction")
    {
        return Ok(false);
    }
    let port = host.present.port();
    let connection = port.connection();
    let transaction = port.transaction();
    let plain = |object: &Sv| has_own(object, c"notes");
    let relay = |object: &Sv| has_own(object, c"relay_client");
    let unknown = |notes: &Notes, key: &[u8]| notes.get(key).is_none();
    let object = object::of(&connection);
    if !plain(&object) || !relay(&object) || !plain(&object::of(&transaction)) {
        return Ok(false);
    }
    let (connection, transaction): (&Connection, &Transaction) =
        (&connection.data, &transaction.data);
    Ok(!connection.relay_client.get()
        && unknown(&connection.notes, b"whitelisthost")
        && unknown(&transaction.notes, b"whitelistsender"))
}
