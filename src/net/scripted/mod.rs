//! `camelpost perl`: a perl program with the host's Qpsmtpd:: modules, in which session objects
//! have sessions of their own without a socket. Plugin authors' test scripts run so.

mod driver;
mod port;
mod prove;

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;
use std::time::Duration;

pub use self::prove::run as prove;

use self::port::ScriptPort;
use crate::base::{Zone, hostname};
use crate::config::{
    Compat, ConfigDir, Limits, Profile, ShowId, SpoolDir, Strictness, compared_version,
};
use crate::mail::{Readiness, Spool};
use crate::perl;
use crate::perl::Sv;
use crate::perl::ffi::interpreter;
use crate::perl::host::port::Port;
use crate::perl::host::script;
use crate::perl::host::{Host, HostSettings};
use crate::session::SessionSettings;

/// Runs a perl program: the words of perl's command line after its name. The result is the exit
/// status.
pub fn run(words: Vec<OsString>) -> i32 {
    script::run(words, prepare)
}

/// Sets up the host, before the program's own text is compiled.
fn prepare() -> Result<(), String> {
    let mut dirs = Vec::new();
    for dir in search() {
        dirs.push(OsString::from_vec(dir).into());
    }
    let settings = HostSettings {
        // A script's own words decide (`-T`).
        taint: false,
        config: Rc::new(ConfigDir::new(dirs)),
        search: Some(search),
        trace_level: crate::base::log::DEFAULT_LEVEL,
        profile: Profile::V100,
        defaults: Rc::new(vec![("me", hostname()), ("timeout", b"1200".to_vec())]),
        version: compared_version(Profile::V100).to_owned(),
        plugin_dirs: Vec::new(),
        module_dirs: Vec::new(),
        named_config: None,
        size_threshold: Spool::default().threshold,
        queue_sync: true,
    };
    let host = perl::make(settings, Rc::default())?;
    let _ = host.make_port.set(Box::new(|host: &Rc<Host>, object: &Sv| {
        Rc::new(ScriptPort::new(host, object)) as Rc<dyn Port>
    }));
    Ok(())
}

/// Where the config directories are at this moment: a script may change its environment.
fn search() -> Vec<Vec<u8>> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut dirs = Vec::new();
    dirs.extend(variable("QPSMTPD_CONFIG").map(OsString::into_vec));
    let program = interpreter::program_name();
    if let Some(at) = program.iter().rposition(|byte| *byte == b'/') {
        dirs.push([&program[..at], b"/config"].concat());
    }
    let qmail = variable("QMAIL").map_or_else(|| b"/var/qmail".to_vec(), OsString::into_vec);
    dirs.push([&qmail[..], b"/control"].concat());
    dirs
}

/// The settings of a script's session, from the configuration as the object has it.
fn settings(host: Option<&Host>) -> SessionSettings {
    let first = |name: &str| first(host?, name);
    let compat = first("compat").and_then(|text| Compat::parse(&text));
    // Without the file: what the script's modules are (0.94 as its upstream, which keeps no line).
    let compat = compat.unwrap_or_else(|| {
        let profile = host.map_or(Profile::V100, |host| host.config().profile());
        Compat {
            profile,
            keeps_received: profile == Profile::V100,
        }
    });
    SessionSettings {
        profile: compat.profile,
        keeps_received: compat.keeps_received,
        me: hostname(),
        // A script's client may hold what is said against what `version` answers.
        product: "qpsmtpd",
        version: compared_version(compat.profile).to_owned(),
        spool: Rc::new(host.map(spool).unwrap_or_default()),
        auth_mechanisms: Vec::new(),
        timeout: Duration::from_secs(1200),
        zone: Zone::local(),
        // The lines come from the script.
        data_min_rate: 0,
        recipient_limit: 0,
        limits: Limits::default(),
        forbidden_commands: Vec::new(),
        strictness: Strictness::ORIGINAL,
        show_id: ShowId::NOWHERE,
    }
}

/// A config value. Where a method of the script's dies, there is none.
fn first(host: &Host, name: &str) -> Option<Vec<u8>> {
    let values = host.config().values(name.as_bytes()).ok()?;
    values.into_iter().next().filter(|value| !value.is_empty())
}

/// Where bodies are spooled: `spool_dir`, else tmp in the user's home, as the original has it; made
/// with the rights of `spool_perms` when a body or a plugin first needs it.
fn spool(host: &Host) -> Spool {
    let first = |name: &str| first(host, name);
    let default = Spool::default();
    let home = || crate::base::home().map(|home| home.join("tmp"));
    let threshold = first("size_threshold");
    let threshold = threshold.and_then(|size| String::from_utf8(size).ok()?.trim().parse().ok());
    let perms = first("spool_perms").and_then(|perms| String::from_utf8(perms).ok());
    let mode = perms.and_then(|perms| u32::from_str_radix(perms.trim(), 8).ok());
    let dir = first("spool_dir")
        .map(|dir| OsString::from_vec(dir).into())
        .or_else(home)
        .unwrap_or(default.dir);
    let unseen = SpoolDir::new(&dir, mode.unwrap_or(0o700));
    Spool {
        dir,
        threshold: threshold.unwrap_or(default.threshold),
        readiness: RefCell::new(Readiness::Unseen(unseen)),
    }
}
