//! What a status says of the service, as it stands on the control socket. Fields may be added, with a default
//! for daemons that do not have them. How it is come by is the supervisor's.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::changed::KnownFiles;
use crate::server::refusal::RefusalsShown;

/// The service at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub program: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    /// Which load of config and plugins serves new sessions, counted from 1; none while the one
    /// that served is being replaced after its end.
    pub generation: Option<u64>,
    /// A load is under way.
    pub loading: bool,
    /// No new connections are taken.
    pub stopping: bool,
    pub listening: Vec<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where the page for people is.
    #[serde(default)]
    pub web: Option<SocketAddr>,
    pub limits: Limits,
    pub open_sessions: u64,
    /// Clients that are connected and have no worker yet.
    pub waiting_clients: u64,
    pub counters: Counters,
    /// Messages since the daemon's start by what became of them: `queued`, `deferred`, `refused`,
    /// `none` (no plugin took it), `done` (a plugin has answered by itself).
    #[serde(default)]
    pub queue_outcomes: BTreeMap<String, u64>,
    /// Replies of 4xx and 5xx since the daemon's start, by the stage of the session, in its order.
    #[serde(default)]
    pub refusals: Vec<StageRefusals>,
    /// What serves now, or served last; none before the first load is done.
    #[serde(default)]
    pub loaded: Option<LoadStatus>,
    /// What `LoadStatus::changed` is found by, on its way to who answers.
    #[serde(skip)]
    pub(crate) known_files: Option<Arc<KnownFiles>>,
    /// What was refused in the last hour, for the page of `--web`.
    #[serde(skip)]
    pub(crate) recent_refusals: Option<RefusalsShown>,
    /// The last reload, where it has failed.
    #[serde(default)]
    pub failed_reload: Option<FailedReload>,
    pub workers: Vec<WorkerStatus>,
    /// Plugins that are not called, as they have failed too often in a row.
    #[serde(default)]
    pub quarantined: Vec<QuarantineStatus>,
    /// Where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<SessionStatus>>,
    /// Where it was asked for: what each plugin did in each hook since the daemon's start, those
    /// that took longest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<PluginStatus>>,
    /// With those: how the sessions of a worker share each plugin, in the order of their loading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Vec<SharingStatus>>,
}

impl Status {
    /// Why the daemon takes no new clients, if it does not: for monitors.
    pub fn trouble(&self) -> Option<&'static str> {
        if self.stopping {
            return Some("stopping: no new connections are taken");
        }
        if self.listening.is_empty() {
            return Some("loading: nothing is listened on yet");
        }
        if self.generation.is_none() {
            return Some("the process with the plugins has ended: clients wait for another one");
        }
        None
    }
}

/// A load of config and plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadStatus {
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// perl's version; none where no Perl plugin is loaded.
    pub perl: Option<String>,
    /// The config directory.
    pub config: String,
    /// Which version of qpsmtpd it does as.
    pub profile: String,
    /// How many plugins were loaded.
    pub plugins: u64,
    /// Where that was asked for and could be found out: files of the config directory and of the
    /// directories of plugins that have changed since, came or are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<ChangedFiles>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFiles {
    pub count: u64,
    /// The paths of the first of them.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedReload {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The first line of the reason.
    pub reason: String,
}

/// What was refused at a stage of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRefusals {
    pub stage: String,
    /// Replies of 4xx.
    pub temporary: u64,
    /// Replies of 5xx.
    pub permanent: u64,
}

/// As the command line gave them; 0 is any number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub connections: u32,
    pub connections_per_address: u32,
    pub workers: u32,
    pub spare_workers: u32,
    #[serde(default)]
    pub sessions_per_worker: u32,
    /// Processes beyond the workers.
    #[serde(default)]
    pub extra_processes: u32,
    pub sessions_per_life: u32,
    /// Bytes that a worker may take before it is replaced, and before it is killed.
    #[serde(default)]
    pub worker_memory: u64,
    #[serde(default)]
    pub worker_memory_max: u64,
}

/// Counted since the daemon's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub connections: u64,
    /// Refused because their address had its limit of them.
    pub refused_per_address: u64,
    /// Refused because their address connects too often.
    #[serde(default)]
    pub refused_rate: u64,
    /// Refused because the service was stopping.
    pub refused_stopping: u64,
    /// Sessions that came to their own end.
    pub sessions_done: u64,
    /// Sessions that ended with their worker.
    pub sessions_lost: u64,
    /// Sessions that were still open when the daemon had to end.
    pub sessions_cut_off: u64,
    /// Sessions that went on in a process forked for them.
    #[serde(default)]
    pub sessions_forked: u64,
    pub workers_forked: u64,
    pub forks_failed: u64,
    /// Ends of workers by cause: `retired`, `status N`, `signal N`, `unknown`.
    pub worker_ends: BTreeMap<String, u64>,
    /// Loads of config and plugins that came to serve, the first among them.
    pub loads: u64,
    pub loads_failed: u64,
    /// Processes that hold what was loaded and ended without being told to.
    pub zygote_ends: u64,
    /// How often a plugin was put into quarantine.
    #[serde(default)]
    pub quarantines: u64,
    /// Lines of the log that could not be written, as on a full disk.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// Workers that were replaced because of the memory that they had taken.
    #[serde(default)]
    pub memory_replaced: u64,
    /// Calls that were interrupted because of the memory that they had taken.
    #[serde(default)]
    pub memory_interrupted: u64,
    /// Workers that were killed because of it.
    #[serde(default)]
    pub memory_killed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    Idle,
    Busy,
    /// It takes no session more.
    Ending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    pub pid: i32,
    pub generation: u64,
    pub state: WorkerState,
    /// It was forked by a worker for its one session.
    #[serde(default)]
    pub for_one_session: bool,
    pub sessions: u64,
    pub served: u64,
    pub age_seconds: u64,
    /// Resident memory, pages shared with other workers among it; none if it has just ended.
    pub resident_bytes: Option<u64>,
    /// The plugin calls that run now, the outermost first.
    pub running: Vec<CallStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallStatus {
    /// Its number.
    pub session: u64,
    pub plugin: String,
    pub hook: String,
    pub milliseconds: u64,
    /// How long it may take; none: any time.
    pub limit_seconds: Option<u64>,
}

/// The calls of one plugin in one hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStatus {
    pub plugin: String,
    pub hook: String,
    pub calls: u64,
    pub died: u64,
    /// Those whose time was over.
    pub late: u64,
    /// Those that have ended their process: by exit, or because it crashed or was killed.
    #[serde(default)]
    pub ended: u64,
    /// All of them together; a call within another counts for both.
    pub nanoseconds: u64,
    /// By qpsmtpd's names, as far as they were given; calls that died or were late gave none.
    pub verdicts: BTreeMap<String, u64>,
    /// How many took less than a time, and not less than the one before.
    pub durations: Vec<DurationClass>,
}

/// A plugin that is not called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineStatus {
    pub generation: u64,
    pub plugin: String,
    /// The hook in which it failed.
    pub hook: String,
    /// As often in a row.
    pub failures: u64,
    /// When it is called again; none: after a reload.
    pub seconds_left: Option<u64>,
}

/// How a plugin is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharingStatus {
    pub generation: u64,
    pub plugin: String,
    pub sharing: SharingKind,
    /// Why it has workers of its own.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharingKind {
    /// What it keeps is exchanged with each turn of a session.
    Shared,
    /// plugin_settings isolates it.
    Isolated,
    /// plugin_settings leaves the variables of its file to the worker.
    Keeps,
    /// As isolated: its variables cannot be exchanged.
    OwnWorkers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationClass {
    /// None: any time.
    pub below_nanoseconds: Option<u64>,
    pub calls: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its number: `$$` in its plugins, and what its lines in the log begin with.
    pub session: u64,
    pub client: IpAddr,
    /// The process that it runs in.
    pub worker: Option<i32>,
    /// Seconds since 1970.
    #[serde(default)]
    pub since: u64,
    pub age_seconds: u64,
    pub tls: bool,
    #[serde(default)]
    pub state: SessionState,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// The daemon does not say.
    #[default]
    Unknown,
    /// Its worker has not begun with it.
    Begins,
    /// A plugin call of it runs: the worker's `running` says which.
    Plugin,
    /// For its client, for a name server, or for its turn.
    Waits,
}
