//! Methods of Qpsmtpd::Plugin that are called some fifty times a message: what they do where no
//! class has methods of its own for it. All else is left to the methods in Perl.

use std::ffi::CStr;

use super::{Body, Frame, Raise};
use crate::mail::{Connection, Notes, Transaction};
use crate::perl::ffi::call::call_function;
use crate::perl::ffi::object;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;

pub const XSUBS: &[(&str, Body)] = &[
    ("Camelpost::plugin_log", log),
    ("Camelpost::is_immune", is_immune),
];

/// How a plugin's line goes to the log.
enum Way {
    ByMethods,
    /// It comes from a logging hook, which cannot log.
    Not,
    Plain {
        hook: Sv,
        name: Sv,
    },
}

/// log(LEVEL, TEXT…): the name of the plugin and of its hook go with the line.
fn log(frame: &mut Frame<'_>) -> Result<(), Raise> {
    // Without a text, the plugin's name would be taken for it.
    let way = match frame.len() {
        0..=2 => Way::ByMethods,
        _ => way(&frame.sv(0))?,
    };
    let written = match way {
        Way::ByMethods => return by_methods(frame, "Qpsmtpd::Plugin::_log"),
        Way::Not => return Ok(()),
        Way::Plain { hook, name } => {
            let (level, texts) = (frame.sv(1), frame.rest(2));
            host::current()?.own_varlog(&level, &hook, &name, &texts)?
        }
    };
    if written {
        frame.ret_int(1);
    }
    Ok(())
}

fn way(plugin: &Sv) -> Result<Way, Raise> {
    let mut facts = sys::cp_log_fact {
        hook: std::ptr::null_mut(),
        name: std::ptr::null_mut(),
        qp: std::ptr::null_mut(),
    };
    // SAFETY: a live SV; looks at its hash and its class.
    let way = unsafe { sys::cp_log_facts(plugin.raw(), &mut facts) } as u32;
    if way == sys::CP_LOG_NOT {
        return Ok(Way::Not);
    }
    if way != sys::CP_LOG_PLAIN || !host::current()?.logs_plainly(&Sv::share(facts.qp)) {
        return Ok(Way::ByMethods);
    }
    let hook = match facts.hook.is_null() {
        true => Sv::undef(),
        false => Sv::copied(facts.hook),
    };
    // A logging plugin may assign to its arguments.
    let name = Sv::copied(facts.name);
    Ok(Way::Plain { hook, name })
}

/// True for clients and senders that no policy shall touch. Answers only that one is not.
fn is_immune(frame: &mut Frame<'_>) -> Result<(), Raise> {
    match is_nobody_special(&frame.sv(0))? {
        true => Ok(()),
        false => by_methods(frame, "Qpsmtpd::Plugin::_is_immune"),
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
    if qp.address() != host.qp.address()
        || !has_own(&qp, c"connection")
        || !has_own(&qp, c"transaction")
    {
        return Ok(false);
    }
    let port = host.port();
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

fn by_methods(frame: &mut Frame<'_>, name: &str) -> Result<(), Raise> {
    for value in call_function(name, &frame.rest(0), frame.wants())? {
        frame.ret(value);
    }
    Ok(())
}
