//! Builds the host: interpreter, qp object, the session that Perl code sees while there is none. Plugins are
//! loaded by `host/load.rs`.

use std::rc::Rc;

use super::fast;
use super::ffi::call::{Unwind, Want, call_function, eval};
use super::ffi::interpreter;
use super::ffi::value::Sv;
use super::host::idle::Idle;
use super::host::{Host, HostSettings};
use super::xs;
use crate::config::Profile;
use crate::mail::Spool;

/// Starts the interpreter and makes the host, without plugins.
pub fn start(settings: HostSettings, spool: Rc<Spool>) -> Result<Rc<Host>, String> {
    fast::look_at_switch();
    let config = settings.named_config.as_deref();
    interpreter::start(&settings.module_dirs, config, settings.taint)?;
    make(settings, spool)
}

/// Makes the host in the interpreter that runs.
pub fn make(settings: HostSettings, spool: Rc<Spool>) -> Result<Rc<Host>, String> {
    let failed = |error: Unwind| String::from_utf8_lossy(&error.message()).into_owned();
    let made = eval(
        "require Qpsmtpd::TcpServer; require Qpsmtpd::Address; Qpsmtpd::TcpServer->new",
        Want::Scalar,
    )
    .map_err(failed)?;
    let [qp] = <[Sv; 1]>::try_from(made).map_err(|_| "no qp object".to_owned())?;
    let version = Sv::bytes(settings.version.as_bytes());
    let threshold = Sv::int(i64::try_from(settings.size_threshold).unwrap_or(i64::MAX));
    let is_1_00 = Sv::int((settings.profile == Profile::V100).into());
    let globals = [version, threshold, is_1_00];
    call_function("Camelpost::set_globals", &globals, Want::Void).map_err(failed)?;
    let host = Host::new(qp, settings, Rc::new(Idle::new(spool)));
    xs::keys::bind_session_keys(&host.present.qp, None);
    host.present.qp.hash_set(b"_continuation", Sv::undef());
    Ok(host)
}
