//! Qpsmtpd, Qpsmtpd::SMTP: what the qp object does through the session and the host.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::commands::answering;
use super::scripted::{in_session_of, within};
use crate::base::log::LOGWARN;
use crate::hook::{Hook, HookCall, Method, Verdict};
use crate::mail::{Connection, Transaction};
use crate::perl::ffi::call::{Want, call_function};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::perl::host::answer::{code_sv, to_arg, values_of};
use crate::perl::host::port::{AuthFact, Port};
use crate::smtp::Reply;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::varlog", varlog),
    ("Qpsmtpd::log", log),
    ("Qpsmtpd::trace_level", trace_level),
    ("Qpsmtpd::_set_trace_level", set_trace_level),
    ("Qpsmtpd::config", config_for),
    ("Qpsmtpd::_config", config),
    ("Qpsmtpd::_config_of_file", config_of_file),
    ("Qpsmtpd::_config_of_hook", config_of_hook),
    ("Qpsmtpd::_config_path", config_path),
    ("Qpsmtpd::_config_map_file", config_map_file),
    ("Qpsmtpd::clear_config_cache", clear_config_cache),
    ("Qpsmtpd::version", version),
    ("Qpsmtpd::plugin_dirs", plugin_dirs),
    ("Qpsmtpd::_size_threshold", size_threshold),
    ("Qpsmtpd::_spool_dir", spool_dir),
    ("Qpsmtpd::SMTP::connection", |f| within(f, connection)),
    ("Qpsmtpd::SMTP::transaction", |f| within(f, transaction)),
    ("Qpsmtpd::auth_user", |f| auth(f, AuthFact::User)),
    ("Qpsmtpd::auth_mechanism", |f| auth(f, AuthFact::Mechanism)),
    ("Qpsmtpd::SMTP::_auth_ticket", |f| auth(f, AuthFact::Ticket)),
    ("Qpsmtpd::authenticated", |f| within(f, authenticated)),
    ("Qpsmtpd::SMTP::command_counter", |f| {
        within(f, command_counter)
    }),
    ("Qpsmtpd::SMTP::respond", |f| within(f, respond)),
    ("Qpsmtpd::SMTP::reset_transaction", |f| {
        within(f, reset_transaction)
    }),
    ("Qpsmtpd::SMTP::disconnect", |f| within(f, disconnect)),
    ("Qpsmtpd::SMTP::dispatch", |f| within(f, dispatch)),
    ("Qpsmtpd::run_hooks", |f| run_hooks(f, true)),
    ("Qpsmtpd::run_hooks_no_respond", |f| run_hooks(f, false)),
];

/// varlog(LEVEL, TEXT), varlog(LEVEL, HOOK, TEXT) or varlog(LEVEL, HOOK, PLUGIN, TEXT…), also as a
/// class method.
fn varlog(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let nothing = Sv::undef();
    // The text alone, the hook before it, or hook and plugin.
    let (hook, plugin, text) = match frame.len() {
        0..=3 => (nothing.clone(), nothing, 2),
        4 => (frame.sv(2), nothing, 3),
        _ => (frame.sv(2), frame.sv(3), 4),
    };
    let written = in_session_of(&host, &frame.sv(0), |_| {
        Ok(host
            .logger()
            .own_line(&frame.sv(1), &hook, &plugin, &frame.rest(text))?)
    })?;
    ret_logged(frame, written);
    Ok(())
}

/// log(LEVEL, TEXT…): a line of no hook and no plugin.
fn log(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let nothing = Sv::undef();
    let written = in_session_of(&host, &frame.sv(0), |_| {
        let (level, texts) = (frame.sv(1), frame.rest(2));
        if host.present.is_replaced(Method::Varlog) {
            host.logger()
                .call("varlog", &level, &nothing, &nothing, &texts)?;
            return Ok(false);
        }
        Ok(host.logger().own_line(&level, &nothing, &nothing, &texts)?)
    })?;
    ret_logged(frame, written);
    Ok(())
}

fn trace_level(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    frame.ret_int(host.trace_level.get().into());
    Ok(())
}

fn set_trace_level(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let level = frame.int(0).clamp(0, 7) as u8;
    host::current()?.trace_level.set(level);
    Ok(())
}

/// What a call that wrote a line to the log returns.
fn ret_logged(frame: &mut Frame<'_>, written: bool) {
    if written {
        frame.ret_int(1);
    }
}

/// config(NAME [, TYPE]): without a type, the same as _config.
fn config_for(frame: &mut Frame<'_>) -> Result<(), Raise> {
    if !frame.is_defined(2) {
        return config(frame);
    }
    for value in call_function("Qpsmtpd::_config_for", &frame.rest(0), frame.wants())? {
        frame.ret(value);
    }
    Ok(())
}

/// _config(NAME): all values in list context, the first in scalar context.
fn config(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = frame.bytes(1)?;
    if let Some(values) = hooks_values(frame, &host, &name)? {
        let count = match frame.wants() {
            Want::List => values.len(),
            _ => 1,
        };
        for value in values.into_iter().chain([Sv::undef()]).take(count) {
            frame.ret(value);
        }
        return Ok(());
    }
    // Lists of some length are asked for at each message: no copy before perl's own.
    let lines = in_session_of(&host, &frame.sv(0), |_| {
        Ok(host.config().lines_without_default(&name, None)?)
    })?;
    let Some(lines) = lines else {
        let default = host.config().default_of(&name);
        if default.is_some() || frame.wants() != Want::List {
            frame.ret_optional(default);
        }
        return Ok(());
    };
    let count = match frame.wants() {
        Want::List => lines.len(),
        _ => 1,
    };
    for line in lines.iter().take(count) {
        frame.ret(Sv::tainted_bytes(line));
    }
    Ok(())
}

/// What a config hook says of a name, if it says anything.
fn hooks_values(
    frame: &Frame<'_>,
    host: &Rc<host::Host>,
    name: &[u8],
) -> Result<Option<Vec<Sv>>, Raise> {
    if !host.table.has_entries(Hook::Config) {
        return Ok(None);
    }
    let said = in_session_of(host, &frame.sv(0), |_| Ok(host.config().ask_hook(name)?))?;
    Ok(said.map(|said| values_of(&said)))
}

/// _config_of_hook(NAME): 1 and the values, where a config hook has any.
fn config_of_hook(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = frame.bytes(1)?;
    if let Some(values) = hooks_values(frame, &host, &name)? {
        frame.ret_int(1);
        for value in values {
            frame.ret(value);
        }
    }
    Ok(())
}

/// _config_of_file(NAME [, PATH]): the lines of the name's file, or of that one, without hooks and
/// default.
fn config_of_file(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let (name, path) = (frame.bytes(1)?, frame.defined_bytes(2)?);
    let path = path.map(|path| PathBuf::from(OsString::from_vec(path)));
    let lines = in_session_of(&host, &frame.sv(0), |_| {
        Ok(host
            .config()
            .lines_without_default(&name, path.as_deref())?)
    })?;
    for line in lines.iter().flat_map(|lines| lines.iter()) {
        frame.ret(Sv::tainted_bytes(line));
    }
    Ok(())
}

/// The path of a config file, in the first directory of the search that has it.
fn config_path(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = String::from_utf8_lossy(&frame.bytes(1)?).into_owned();
    let invocant = frame.sv(0);
    let path = in_session_of(&host, &invocant, |_| {
        Ok(host.config().own_dir().path(&name))
    })?;
    frame.ret_bytes(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    Ok(())
}

/// _config_map_file(NAME): where the map of a config name is, beside the file of that name; undef where
/// there is none. Plugins ask for each recipient.
fn config_map_file(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let name = String::from_utf8_lossy(&frame.bytes(1)?).into_owned();
    let path = in_session_of(&host, &frame.sv(0), |_| {
        Ok(host.config().dir(&name)?.path(&name))
    })?;
    let mut path = path.into_os_string();
    path.push(".cdb");
    let there = std::path::Path::new(&path).exists();
    let path = there.then(|| std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    frame.ret_optional(path);
    Ok(())
}

fn clear_config_cache(_: &mut Frame<'_>) -> Result<(), Raise> {
    host::current()?.config().forget();
    Ok(())
}

fn version(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    frame.ret_bytes(host.config().version().as_bytes());
    Ok(())
}

fn plugin_dirs(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let dirs = in_session_of(&host, &frame.sv(0), |_| match &host.settings.search {
        Some(search) => {
            let named = host.config().values(b"plugin_dirs")?;
            let beside = || search().into_iter().filter_map(|dir| beside(&dir));
            Ok(if named.is_empty() {
                beside().collect()
            } else {
                named
            })
        }
        None => Ok(host.settings.plugin_dirs.clone()),
    })?;
    for dir in &dirs {
        frame.ret(Sv::tainted_bytes(dir));
    }
    Ok(())
}

/// plugins/ beside a config directory.
fn beside(config: &[u8]) -> Option<Vec<u8>> {
    let at = config.iter().rposition(|byte| *byte == b'/')?;
    Some([&config[..at], b"/plugins"].concat())
}

fn size_threshold(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let threshold = in_session_of(&host, &frame.sv(0), |port| Ok(port.spool().threshold))?;
    frame.ret_int(i64::try_from(threshold).unwrap_or(i64::MAX));
    Ok(())
}

/// The spool directory, without the slash at its end. It is there from then on.
fn spool_dir(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    let spool = in_session_of(&host, &frame.sv(0), |port| {
        let spool = port.spool();
        if let Err(error) = spool.prepare() {
            return Err(Raise::Croak(error.to_string()));
        }
        if let Some(text) = spool.take_complaint() {
            host.log(LOGWARN, None, None, &[Sv::text(&text)])?;
        }
        Ok(spool)
    })?;
    frame.ret_bytes(std::os::unix::ffi::OsStrExt::as_bytes(
        spool.dir.as_os_str(),
    ));
    Ok(())
}

fn connection(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    if let Some(connection) = object::shown::<Connection>(&frame.sv(1)) {
        port.set_connection(connection);
    }
    frame.ret(object::of(&port.connection()));
    Ok(())
}

fn transaction(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    if let Some(transaction) = object::shown::<Transaction>(&frame.sv(1)) {
        port.set_transaction(transaction);
    }
    frame.ret(object::of(&port.transaction()));
    Ok(())
}

fn auth(frame: &mut Frame<'_>, fact: AuthFact) -> Result<(), Raise> {
    let host = host::current()?;
    in_session_of(&host, &frame.sv(0), |port| auth_fact(frame, &*port, fact))
}

fn auth_fact(frame: &mut Frame<'_>, port: &dyn Port, fact: AuthFact) -> Result<(), Raise> {
    // "" where it is not set, so that plugins may print it.
    let text = port.auth(fact);
    let known = text.is_some() && fact != AuthFact::Ticket;
    let text = Sv::bytes(&text.unwrap_or_default());
    frame.ret(if known { text.tainted() } else { text });
    Ok(())
}

fn authenticated(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    if frame.len() > 1 {
        port.set_authenticated(frame.is_defined(1).then(|| frame.int(1)));
    }
    frame.ret(port.authenticated().map_or_else(|| Sv::bytes(b""), Sv::int));
    Ok(())
}

fn command_counter(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    frame.ret_int(i64::try_from(port.command_counter()).unwrap_or(i64::MAX));
    Ok(())
}

/// respond(CODE, LINE…): on the wire before it returns.
fn respond(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    let code = u16::try_from(frame.int(1)).unwrap_or(451);
    let mut lines = Vec::with_capacity(frame.len());
    for index in 2..frame.len() {
        lines.push(frame.bytes(index)?);
    }
    frame.ret_bool(port.respond(Reply::lines(code, lines)));
    Ok(())
}

fn reset_transaction(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    port.reset_transaction()?;
    frame.ret(object::of(&port.transaction()));
    Ok(())
}

fn disconnect(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    port.disconnect()?;
    frame.ret(object::of(&port.transaction()));
    Ok(())
}

fn dispatch(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
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

/// run_hooks(HOOK, ARGUMENTS…): what the hook's responder returns, or its verdict.
fn run_hooks(frame: &mut Frame<'_>, respond: bool) -> Result<(), Raise> {
    let name = frame.bytes(1)?;
    let Some(hook) = Hook::by_name(&name) else {
        // A name that no plugin can register has an empty chain.
        ret_verdict(frame, Sv::int(0), vec![Sv::bytes(b"")], respond);
        return Ok(());
    };
    if respond && Method::responder(hook).is_some() {
        return answering(frame, hook, |frame| {
            let verdict = run_chain(frame, hook, respond)?;
            Ok(code_sv(&verdict.code))
        });
    }
    let verdict = run_chain(frame, hook, respond)?;
    let values = values_of(&verdict);
    ret_verdict(frame, code_sv(&verdict.code), values, respond);
    Ok(())
}

fn run_chain(frame: &Frame<'_>, hook: Hook, respond: bool) -> Result<Verdict, Raise> {
    let args = frame.rest(2).iter().map(to_arg).collect();
    let call = HookCall::with(hook, args);
    in_session_of(&host::current()?, &frame.sv(0), |port| {
        Ok(port.run_hooks(call, respond)?)
    })
}

/// In scalar context the number of values: of all where nobody was to answer, else of those behind
/// the code.
fn ret_verdict(frame: &mut Frame<'_>, code: Sv, values: Vec<Sv>, respond: bool) {
    if frame.wants() == Want::Scalar {
        let count = values.len() + usize::from(!respond);
        frame.ret_int(i64::try_from(count).unwrap_or(i64::MAX));
        return;
    }
    frame.ret(code);
    for value in values {
        frame.ret(value);
    }
}
