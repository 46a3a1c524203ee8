//! Camelpost:: — small services for the Perl side of the host.

use crate::config::Profile;
use crate::hook::Hook;
use crate::perl::exchange::secured;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::interpreter;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::perl::host::script;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Camelpost::hook_names", hook_names),
    ("Camelpost::is_stray_child", is_stray_child),
    ("Camelpost::pid", pid),
    ("Camelpost::_is_tainted", is_tainted),
    ("Camelpost::is_1_00", is_1_00),
    ("Camelpost::session", session),
    ("Camelpost::_embedded_file", embedded_file),
    ("Camelpost::_module", module),
    ("Camelpost::_serve_scripts", serve_scripts),
    ("Camelpost::own_hook", own_hook),
    ("Camelpost::compiled", compiled),
    ("Camelpost::_read_secured", read_secured),
    ("Camelpost::_write_secured", write_secured),
];

/// The names of all hooks, in the order of the table.
fn hook_names(frame: &mut Frame<'_>) -> Result<(), Raise> {
    for hook in Hook::ALL {
        frame.ret_bytes(hook.name().as_bytes());
    }
    Ok(())
}

/// own_hook(CODE, PLUGIN, METHOD, HOOK): the code calls this method of the plugin object.
fn own_hook(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let [code, plugin, method, hook] = [0, 1, 2, 3].map(|index| frame.sv(index));
    host::current()?.owners.own(&code, &plugin, &method, &hook);
    Ok(())
}

/// compiled(PLUGIN, FILE, PACKAGE…): the plugin's text was compiled into these packages.
fn compiled(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (plugin, file) = (frame.bytes(0)?, frame.bytes(1)?);
    let packages = frame.rest(2).iter().map(Sv::to_bytes).collect();
    // Where a script compiles a plugin by itself there is no site.
    if let Ok(host) = host::current() {
        host.site.compiled(&plugin, &file, packages);
    }
    Ok(())
}

/// _read_secured(LENGTH): what the client has sent within TLS, as sysread has it; or a number, which is an
/// errno.
fn read_secured(frame: &mut Frame<'_>) -> Result<(), Raise> {
    /// More than a record has at once.
    const MOST: usize = 64 * 1024;
    let length = usize::try_from(frame.sv(0).as_int()).unwrap_or(0);
    match secured::read_now(length.min(MOST)) {
        Ok(bytes) => frame.ret(Sv::tainted_bytes(&bytes).reference()),
        Err(errno) => frame.ret_int(errno.into()),
    }
    Ok(())
}

/// _write_secured(BYTES): how many of them the client was sent within TLS, or an errno with a minus.
fn write_secured(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let bytes = frame.bytes(0)?;
    frame.ret_int(match secured::write_now(&bytes) {
        Ok(sent) => i64::try_from(sent).unwrap_or(i64::MAX),
        Err(errno) => -i64::from(errno),
    });
    Ok(())
}

/// Whether the profile is that of 1.00.
fn is_1_00(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let old = host::current().is_ok_and(|host| host.config().profile() == Profile::V094);
    frame.ret_int((!old).into());
    Ok(())
}

/// The object of the session that Perl code runs in.
fn session(frame: &mut Frame<'_>) -> Result<(), Raise> {
    if let Ok(host) = host::current() {
        frame.ret(host.present.object());
    }
    Ok(())
}

/// The process's id, where `$$` is a session's number.
fn pid(frame: &mut Frame<'_>) -> Result<(), Raise> {
    frame.ret_int(std::process::id().into());
    Ok(())
}

/// Whether taint mode knows a value as somebody else's.
fn is_tainted(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let tainted = frame.sv(0).is_tainted();
    frame.ret_bool(tainted);
    Ok(())
}

/// A script's own text comes next: what serves it is set up.
fn serve_scripts(_: &mut Frame<'_>) -> Result<(), Raise> {
    script::prepare().map_err(|error| Raise::Croak(error + "\n"))
}

/// The sub that stands in @INC until the one of Camelpost::Start does: finds that module.
fn module(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let name = frame.bytes(1)?;
    if name == b"Camelpost/Start.pm"
        && let Some(text) = interpreter::embedded_file(&name)
    {
        let text = format!("# line 1 \"perl/Camelpost/Start.pm\"\n{text}");
        frame.ret(Sv::bytes(text.as_bytes()).reference());
    }
    Ok(())
}

fn embedded_file(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let name = frame.bytes(0)?;
    frame.ret_optional(interpreter::embedded_file(&name).map(str::as_bytes));
    Ok(())
}

/// Whether this process was forked by a plugin: what ends with a transaction is its parent's.
fn is_stray_child(frame: &mut Frame<'_>) -> Result<(), Raise> {
    // SAFETY: reads a flag.
    let stray = unsafe { sys::cp_is_stray_child() != 0 };
    frame.ret_bool(stray);
    Ok(())
}
