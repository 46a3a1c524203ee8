//! Qpsmtpd, Qpsmtpd::SMTP: what the qp object does through the session and the host.

use super::{Body, Frame, Raise};
use crate::config::Lines;
use crate::hook::{Hook, HookCall};
use crate::mail::{Connection, Transaction};
use crate::perl::call::Want;
use crate::perl::chain::{code_sv, to_arg};
use crate::perl::host;
use crate::perl::object;
use crate::perl::port::AuthFact;
use crate::perl::value::Sv;
use crate::smtp::Reply;

pub const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::varlog", varlog),
    ("Qpsmtpd::log", log),
    ("Qpsmtpd::trace_level", trace_level),
    ("Qpsmtpd::_config", config),
    ("Qpsmtpd::_config_path", config_path),
    ("Qpsmtpd::clear_config_cache", clear_config_cache),
    ("Qpsmtpd::version", version),
    ("Qpsmtpd::plugin_dirs", plugin_dirs),
    ("Qpsmtpd::size_threshold", size_threshold),
    ("Qpsmtpd::_spool_dir", spool_dir),
    ("Qpsmtpd::SMTP::connection", connection),
    ("Qpsmtpd::SMTP::transaction", transaction),
    ("Qpsmtpd::SMTP::auth_user", |f| auth(f, AuthFact::User)),
    ("Qpsmtpd::SMTP::auth_mechanism", |f| {
        auth(f, AuthFact::Mechanism)
    }),
    ("Qpsmtpd::SMTP::_auth_ticket", |f| auth(f, AuthFact::Ticket)),
    ("Qpsmtpd::SMTP::authenticated", authenticated),
    ("Qpsmtpd::SMTP::command_counter", command_counter),
    ("Qpsmtpd::SMTP::respond", respond),
    ("Qpsmtpd::SMTP::reset_transaction", reset_transaction),
    ("Qpsmtpd::SMTP::disconnect", disconnect),
    ("Qpsmtpd::SMTP::dispatch", dispatch),
    ("Qpsmtpd::run_hooks", |f| run_hooks(f, true)),
    ("Qpsmtpd::run_hooks_no_respond", |f| run_hooks(f, false)),
];

/// varlog(LEVEL, HOOK, PLUGIN, TEXT…), also as a class method.
fn varlog(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    Ok(host.varlog(&frame.sv(1), &frame.sv(2), &frame.sv(3), &frame.rest(4))?)
}

/// log(LEVEL, TEXT…): a line of no hook and no plugin.
fn log(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let nothing = Sv::undef();
    Ok(host.varlog(&frame.sv(1), &nothing, &nothing, &frame.rest(2))?)
}

fn trace_level(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    if frame.len() > 1 {
        host.trace_level.set(frame.int(1).clamp(0, 7) as u8);
    }
    frame.ret_int(host.trace_level.get().into());
    Ok(())
}

/// _config(NAME): all values in list context, the first in scalar context.
fn config(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = frame.bytes(1)?;
    // Lists of some length are asked for at each message: no copy before perl's own.
    let values: Lines = match host.has_entries(Hook::Config) {
        true => host.config(&name)?.into(),
        false => host.file_lines(&name)?,
    };
    if frame.wants() == Want::List {
        for value in values.iter() {
            frame.ret_bytes(value);
        }
    } else {
        frame.ret_optional(values.first().map(Vec::as_slice));
    }
    Ok(())
}

/// The path of a config file, in the first directory of the search that has it.
fn config_path(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = String::from_utf8_lossy(&frame.bytes(1)?).into_owned();
    let path = host.settings.config.path(&name);
    frame.ret_bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    Ok(())
}

fn clear_config_cache(_: &mut Frame<'_>) -> Result<(), Raise> {
    host::current()?.forget_config();
    Ok(())
}

fn version(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    frame.ret_bytes(host.settings.version.as_bytes());
    Ok(())
}

fn plugin_dirs(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    for dir in &host.settings.plugin_dirs {
        frame.ret_bytes(dir);
    }
    Ok(())
}

fn size_threshold(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    frame.ret_int(i64::try_from(host.settings.size_threshold).unwrap_or(i64::MAX));
    Ok(())
}

/// The spool directory, without the slash at its end.
fn spool_dir(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let spool = host.port().spool();
    frame.ret_bytes(std::os::unix::ffi::OsStrExt::as_bytes(
        spool.dir.as_os_str(),
    ));
    Ok(())
}

fn connection(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    if let Some(connection) = object::shown::<Connection>(&frame.sv(1)) {
        port.set_connection(connection);
    }
    frame.ret(object::of(&port.connection()));
    Ok(())
}

fn transaction(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    if let Some(transaction) = object::shown::<Transaction>(&frame.sv(1)) {
        port.set_transaction(transaction);
    }
    frame.ret(object::of(&port.transaction()));
    Ok(())
}

fn auth(frame: &mut Frame<'_>, fact: AuthFact) -> Result<(), Raise> {
    let port = host::current()?.port();
    if frame.len() > 1 {
        port.set_auth(fact, frame.defined_bytes(1)?);
    }
    // "" where it is not set, so that plugins may print it.
    frame.ret_bytes(&port.auth(fact).unwrap_or_default());
    Ok(())
}

fn authenticated(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    if frame.len() > 1 {
        port.set_authenticated(frame.is_defined(1).then(|| frame.int(1)));
    }
    frame.ret(port.authenticated().map_or_else(|| Sv::bytes(b""), Sv::int));
    Ok(())
}

fn command_counter(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    frame.ret_int(i64::try_from(port.command_counter()).unwrap_or(i64::MAX));
    Ok(())
}

/// respond(CODE, LINE…): on the wire before it returns.
fn respond(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    let code = u16::try_from(frame.int(1)).unwrap_or(451);
    let mut lines = Vec::with_capacity(frame.len());
    for index in 2..frame.len() {
        lines.push(frame.bytes(index)?);
    }
    frame.ret_bool(port.respond(Reply::lines(code, lines)));
    Ok(())
}

fn reset_transaction(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    port.reset_transaction()?;
    frame.ret(object::of(&port.transaction()));
    Ok(())
}

fn disconnect(_: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    Err(port.disconnect().into())
}

fn dispatch(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let port = host::current()?.port();
    let mut line = Vec::new();
    for index in 1..frame.len() {
        if index > 1 {
            line.push(b' ');
        }
        line.extend_from_slice(&frame.bytes(index)?);
    }
    port.dispatch(line)?;
    frame.ret_int(1);
    Ok(())
}

fn run_hooks(frame: &mut Frame<'_>, respond: bool) -> Result<(), Raise> {
    let host = host::current()?;
    let name = frame.bytes(1)?;
    let Some(hook) = Hook::by_name(&name) else {
        // A name that no plugin can register has an empty chain.
        frame.ret_int(0);
        frame.ret_bytes(b"");
        return Ok(());
    };
    let args = frame.rest(2).iter().map(to_arg).collect();
    let verdict = host.port().run_hooks(HookCall::with(hook, args), respond)?;
    frame.ret(code_sv(&verdict.code));
    for value in &verdict.values {
        frame.ret_optional(value.as_deref());
    }
    Ok(())
}
