//! What is said on the control socket: one line of JSON from the caller, one line back, each with
//! the version of this protocol. Fields may be added; a change of meaning is a new version.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::shown;

/// The version that this program speaks.
pub(super) const VERSION: u32 = 1;

/// What the daemon is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum Command {
    Status {
        /// Whether each open session is wanted too.
        #[serde(default)]
        sessions: bool,
        /// Whether what plugins did is wanted too.
        #[serde(default)]
        plugins: bool,
    },
    /// Answered when the new generation serves, or when it is clear that it will not.
    Reload,
    /// Answered when the program that is on disk now serves, or when it is clear that it will not.
    Upgrade,
    Drain {
        /// How long the open sessions may go on.
        limit_seconds: u64,
        /// Whether the answer is wanted when the daemon ends, or at once.
        #[serde(default)]
        wait: bool,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) command: Command,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    Status(Box<Status>),
    Reloaded {
        generation: u64,
    },
    /// Another process serves now.
    Upgraded {
        pid: u32,
        /// Sessions that go on in the process that answers.
        sessions: u64,
    },
    /// The daemon ends when these sessions have.
    Draining {
        sessions: u64,
    },
    /// The daemon ends now.
    Drained {
        /// Sessions that were still open at the limit.
        cut_off: u64,
    },
    Failed {
        error: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

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
    pub limits: Limits,
    pub open_sessions: u64,
    /// Clients that are connected and have no worker yet.
    pub waiting_clients: u64,
    pub counters: Counters,
    /// Messages since the daemon's start by what became of them: `queued`, `deferred`, `refused`,
    /// `none` (no plugin took it), `done` (a plugin has answered by itself).
    #[serde(default)]
    pub queue_outcomes: BTreeMap<String, u64>,
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

/// The request in a line, or the answer that says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Command, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // The error quotes what was sent, which may have lines of its own.
    let wrong = |error: serde_json::Error| {
        let error = shown::text(&error.to_string());
        format!(
            "not a request: {error}; a request is one line such as \
             {{\"version\":{VERSION},\"command\":\"status\"}}"
        )
    };
    let Versioned { version } = serde_json::from_slice(line).map_err(wrong)?;
    if version != VERSION {
        return Err(format!(
            "the request has version {version}, this daemon speaks version {VERSION}: use the \
             camelpost program that the daemon was started from"
        ));
    }
    serde_json::from_slice(line)
        .map(|request: Request| request.command)
        .map_err(wrong)
}

/// A line with its end.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    // Serializing these types into memory cannot fail: no map has keys other than strings.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_outcome_comes_back_as_it_was() {
        for command in [
            Command::Status {
                sessions: true,
                plugins: true,
            },
            Command::Reload,
            Command::Upgrade,
            Command::Drain {
                limit_seconds: 5,
                wait: true,
            },
        ] {
            let request = Request {
                version: VERSION,
                command: command.clone(),
            };
            assert_eq!(parse(&line(&request)), Ok(command));
        }
        for outcome in [
            Outcome::Reloaded { generation: 7 },
            Outcome::Upgraded {
                pid: 4711,
                sessions: 2,
            },
            Outcome::Draining { sessions: 1 },
            Outcome::Drained { cut_off: 0 },
            Outcome::Failed {
                error: "two\nlines".into(),
            },
        ] {
            let sent = line(&Reply {
                version: VERSION,
                outcome: outcome.clone(),
            });
            assert_eq!(sent.iter().filter(|byte| **byte == b'\n').count(), 1);
            let reply: Reply = serde_json::from_slice(&sent).unwrap();
            assert_eq!(reply.outcome, outcome);
        }
    }

    #[test]
    fn what_may_be_left_out_has_its_default() {
        assert_eq!(
            parse(br#"{"version":1,"command":"status"}"#),
            Ok(Command::Status {
                sessions: false,
                plugins: false
            })
        );
    }

    #[test]
    fn a_wrong_request_is_explained() {
        for (request, part) in [
            ("", "not a request"),
            ("status", "not a request"),
            ("[]", "not a request"),
            (r#"{"command":"status"}"#, "version"),
            (r#"{"version":2,"command":"status"}"#, "version 2"),
            (r#"{"version":1,"command":"fly"}"#, "fly"),
            (
                r#"{"version":1,"command":"drain","limit_seconds":-1}"#,
                "limit",
            ),
        ] {
            let problem = parse(request.as_bytes()).unwrap_err();
            assert!(problem.contains("request"), "{problem}");
            if part != "limit" {
                assert!(problem.contains(part), "no {part} in {problem}");
            }
        }
    }
}
