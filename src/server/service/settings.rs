//! What the daemon is to do, apart from mail, and what its start has made of that for the supervisor. Does
//! nothing.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::detach::Detached;
use super::log_file::LogFile;
use super::notify::Notify;
use super::pid_file::PidFile;
use super::privileges::ServiceUser;
use super::upgrade::Line;
use crate::base::log::{LogFormat, LogPid};
use crate::server::control::{ControlPlace, ControlSocket};
use crate::server::front::listen::{Bound, ListenAddress};
use crate::server::front::rate::Rate;
use crate::server::http::HttpAddress;
use crate::server::sandbox::Sandbox;

/// What the daemon is to do, apart from mail.
#[derive(Debug, Clone)]
pub struct Settings {
    /// None: every address of this machine.
    pub listen: Vec<ListenAddress>,
    /// For the addresses that name no port.
    pub ports: Vec<u16>,
    pub user: Option<String>,
    /// Connections open at a time; 0 for any number.
    pub limit_connections: u32,
    /// Connections open at a time from one address; 0 for any number.
    pub max_from_ip: u32,
    /// Workers kept for reuse. More live while more sessions are open where each has a worker for
    /// itself.
    pub workers: u32,
    /// Sessions that a worker may have at a time.
    pub sessions_per_worker: u32,
    /// Processes beyond `workers` for sessions that would keep others waiting.
    pub extra_processes: u32,
    /// Idle workers kept ready.
    pub spare_workers: u32,
    /// Sessions after which a worker is replaced.
    pub sessions_per_life: u32,
    /// What a worker may take for itself.
    pub memory: MemoryLimits,
    pub pid_file: Option<PathBuf>,
    pub detach: bool,
    /// How much to lower the nice level of the supervisor alone; needs root.
    pub lower_nice: u32,
    pub talk: Talk,
    /// Where the control socket is.
    pub control: ControlPlace,
    /// Where metrics are served.
    pub metrics: Option<HttpAddress>,
    /// Where the page for people is.
    pub web: Option<HttpAddress>,
    pub service: ServiceSettings,
}

/// How the service as a whole behaves toward whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// How long open sessions may go on once the service is told to stop.
    pub drain: Duration,
    /// How long a new process may take to be ready when it upgrades the service.
    pub upgrade: Duration,
    /// How often one address may connect (IPv6: one /64); none for as often as it likes.
    pub max_rate: Option<Rate>,
    /// What the lines of sessions begin with.
    pub log_pid: LogPid,
    /// Where stderr leads once the service is up; none: where it led before.
    pub log_file: Option<LogFile>,
    /// How what goes there is written.
    pub log_format: LogFormat,
    /// Programs that plugins start gain nothing by a file's set-user-ID bit or capabilities.
    pub no_new_privs: bool,
    /// What workers give up before their first session; programs gain no rights then either.
    pub sandbox: Sandbox,
    /// Who runs the plugins; none: who runs the service.
    pub worker_user: Option<String>,
    /// Whether `ports` were asked for and are not just the default: only then must sockets that a
    /// service manager passes have them.
    pub ports_named: bool,
}

/// What the start has made for the supervisor.
pub(in crate::server) struct Begun<'a> {
    pub(in crate::server) user: &'a ServiceUser,
    pub(in crate::server) bound: Vec<Bound>,
    pub(in crate::server) detached: Option<Detached>,
    pub(in crate::server) notify: Notify,
    pub(in crate::server) pid_file: Option<PidFile>,
    pub(in crate::server) control: Option<ControlSocket>,
    /// The process that this one replaces.
    pub(in crate::server) predecessor: Option<Line>,
    /// The number of the first session.
    pub(in crate::server) first_session: u64,
    /// The nice level that the service was started with.
    pub(in crate::server) nice: i32,
}

/// Limits in bytes; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Above it, and a MiB for each of its open sessions, a worker is replaced when these have ended.
    pub replace: u64,
    /// Above it a worker is killed.
    pub kill: u64,
}

/// What the service itself logs while it starts; afterwards `loglevel` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    Normal,
    Debug,
    Quiet,
}

/// How to start a zygote: a program that calls `run_zygote`.
#[derive(Debug, Clone)]
pub struct ZygoteCommand {
    pub program: PathBuf,
    pub arg0: Option<OsString>,
    pub args: Vec<OsString>,
}

impl ZygoteCommand {
    /// This very program, even if its file has been replaced since, under the path it was
    /// started by.
    pub fn this_program(args: Vec<OsString>) -> ZygoteCommand {
        ZygoteCommand {
            program: PathBuf::from("/proc/self/exe"),
            arg0: Some(crate::base::program_path().into_os_string()),
            args,
        }
    }
}
