//! What the control socket asks of the supervisor: its state, a reload, the end of the service
//! when the sessions have ended. Everything here answers at once or keeps the way back for later.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::super::control::{
    self, CallStatus, Callers, Command, ControlSocket, Counters, DurationClass, Limits, Outcome,
    PluginStatus, SessionState, SessionStatus, StageRefusals, Status, WorkerState, WorkerStatus,
};
use super::super::http::{self, HttpAddress, Site};
use super::super::metrics::Metrics;
use super::super::number;
use super::super::web::Web;
use super::super::workers::WorkerRecord;
use super::Supervisor;
use super::upgrading::Succession;
use super::watching::{RunningCall, Sums};
use crate::server::event::{Asked, Event};
use crate::server::ipc::message::ProcessEnd;
use crate::watch::{VERDICTS, upper_bound};

/// How long the process stays for its callers to take their answer.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// No drain may last longer, lest the time overflow.
const LONGEST_DRAIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Something that is served by HTTP, or is not.
#[derive(Default)]
pub(super) struct Served {
    pub(super) address: Option<SocketAddr>,
    task: Option<AbortHandle>,
}

impl Served {
    fn begin<S: Site>(
        &mut self,
        bound: Option<(HttpAddress, TcpListener)>,
        events: &UnboundedSender<Event>,
    ) -> io::Result<()> {
        if let Some((wanted, listener)) = bound {
            let (address, task) = http::serve::<S>(wanted, listener, events.clone())?;
            self.address = Some(address);
            self.task = Some(task);
        }
        Ok(())
    }

    fn begin_when_free<S: Site>(
        &mut self,
        wanted: Option<HttpAddress>,
        events: &UnboundedSender<Event>,
    ) {
        if let Some(wanted) = wanted {
            self.address = Some(wanted.address);
            let serving = http::serve_when_free::<S>(wanted, events.clone());
            self.task = Some(tokio::task::spawn_local(serving).abort_handle());
        }
    }

    fn end(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// What the supervisor keeps for the control socket.
pub(super) struct Control {
    started: Instant,
    pub(super) listening: Vec<SocketAddr>,
    pub(super) metrics: Served,
    pub(super) web: Served,
    socket: Option<ControlSocket>,
    /// The sessions that are open may come to their own end.
    pub(super) draining: bool,
    callers: Option<Callers>,
    /// Who waits for which generation.
    reloads: Vec<(u64, oneshot::Sender<Outcome>)>,
    drains: Vec<oneshot::Sender<Outcome>>,
    /// Who waits for the upgrade that is under way.
    upgrade: Option<oneshot::Sender<Outcome>>,
}

impl Control {
    pub(super) fn new(socket: Option<ControlSocket>) -> Control {
        Control {
            started: Instant::now(),
            listening: Vec::new(),
            metrics: Served::default(),
            web: Served::default(),
            socket,
            draining: false,
            callers: None,
            reloads: Vec::new(),
            drains: Vec::new(),
            upgrade: None,
        }
    }
}

impl Supervisor<'_> {
    /// Serves the control socket, metrics and page, where there are any. Needs a LocalSet.
    pub(in super::super) fn be_managed(
        &mut self,
        metrics: Option<(HttpAddress, TcpListener)>,
        web: Option<(HttpAddress, TcpListener)>,
    ) -> io::Result<()> {
        if let Some(socket) = &self.control.socket {
            self.control.callers = Some(control::serve(socket, self.events.clone())?);
        }
        self.control
            .metrics
            .begin::<Metrics>(metrics, &self.events)?;
        self.control.web.begin::<Web>(web, &self.events)
    }

    pub(super) fn asked(&mut self, Asked { command, answer }: Asked) {
        let outcome = match command {
            Command::Status {
                sessions,
                plugins,
                files,
                refusals,
            } => {
                let mut status = self.status(sessions, plugins);
                status.recent_refusals = self.refusals.shown().filter(|_| refusals);
                status.known_files = self.known_files(files);
                Outcome::Status(Box::new(status))
            }
            Command::Reload => match self.reload() {
                Ok(number) => return self.control.reloads.push((number, answer)),
                Err(error) => Outcome::Failed { error },
            },
            Command::Upgrade => match self.upgrade() {
                Ok(()) => {
                    self.control.upgrade = Some(answer);
                    return;
                }
                Err(error) => Outcome::Failed { error },
            },
            Command::Drain {
                limit_seconds,
                wait,
            } => {
                self.drain(Duration::from_secs(limit_seconds).min(LONGEST_DRAIN));
                if wait {
                    return self.control.drains.push(answer);
                }
                Outcome::Draining {
                    sessions: self.sessions.len() as u64,
                }
            }
        };
        // A caller that has gone away needs no answer.
        let _ = answer.send(outcome);
    }

    /// Takes no new connections, lets the open sessions end, then the daemon.
    fn drain(&mut self, limit: Duration) {
        self.control.draining |= self.stop.is_none();
        self.stop_within(limit);
    }

    /// Another process is asked from now on.
    pub(super) fn hand_over(&mut self) {
        self.control.socket = None;
        self.control.metrics.end();
        self.control.web.end();
    }

    /// In a process that replaces another, when that has let go.
    pub(super) fn take_over(&mut self) {
        if let Some(socket) = &mut self.control.socket
            && let Err(problem) = socket.claim()
        {
            tracing::error!("{problem}");
        }
        let Control { metrics, web, .. } = &mut self.control;
        metrics.begin_when_free::<Metrics>(self.settings.metrics, &self.events);
        web.begin_when_free::<Web>(self.settings.web, &self.events);
    }

    /// Tells who waits for the upgrade how that came out.
    pub(super) fn upgrade_is_over(&mut self, result: Result<u32, &str>) {
        let Some(answer) = self.control.upgrade.take() else {
            return;
        };
        let _ = answer.send(match result {
            Ok(pid) => Outcome::Upgraded {
                pid,
                sessions: self.sessions.len() as u64,
            },
            Err(error) => Outcome::Failed {
                error: error.trim_end().to_owned(),
            },
        });
    }

    /// Tells those who wait for the end, and lets callers hear what they were told.
    pub(super) async fn say_last_words(&mut self) {
        if self.control.drains.is_empty() && self.succession != Succession::Over {
            return;
        }
        for answer in self.control.drains.drain(..) {
            let _ = answer.send(Outcome::Drained {
                cut_off: self.counters.sessions_cut_off,
            });
        }
        if let Some(callers) = &self.control.callers {
            let _ = tokio::time::timeout(LAST_WORDS, callers.gone()).await;
        }
    }

    /// Tells those who wait for this generation how its load came out.
    pub(super) fn reload_is_over(&mut self, number: u64, result: Result<(), &str>) {
        let waiting = std::mem::take(&mut self.control.reloads);
        for (generation, answer) in waiting {
            if generation != number {
                self.control.reloads.push((generation, answer));
                continue;
            }
            let _ = answer.send(match result {
                Ok(()) => Outcome::Reloaded { generation },
                Err(error) => Outcome::Failed {
                    error: error.trim_end().to_owned(),
                },
            });
        }
    }

    pub(super) fn count_end(&mut self, in_order: bool, end: Option<ProcessEnd>) {
        let cause = match end {
            _ if in_order => "retired".to_owned(),
            Some(ProcessEnd::Status(status)) => format!("status {status}"),
            Some(ProcessEnd::Signal(signal)) => format!("signal {signal}"),
            None => "unknown".to_owned(),
        };
        *self.counters.worker_ends.entry(cause).or_default() += 1;
    }

    fn status(&self, with_sessions: bool, with_plugins: bool) -> Status {
        let mut workers: Vec<WorkerStatus> = self
            .workers
            .iter()
            .map(|(_, worker)| worker_status(worker))
            .collect();
        workers.sort_by_key(|worker| worker.pid);
        for call in self.running() {
            if let Ok(at) = workers.binary_search_by_key(&call.pid, |worker| worker.pid) {
                workers[at].running.push(call_status(call));
            }
        }
        Status {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.control.started.elapsed().as_secs(),
            generation: self.current,
            loading: self.generations.values().any(|one| !one.ready),
            stopping: self.stop.is_some(),
            listening: match self.stop {
                Some(_) => Vec::new(),
                None => self.control.listening.clone(),
            },
            metrics: self.control.metrics.address,
            web: self.control.web.address,
            limits: Limits {
                connections: self.settings.limit_connections,
                connections_per_address: self.settings.max_from_ip,
                workers: self.settings.workers,
                spare_workers: self.settings.spare_workers,
                sessions_per_worker: self.settings.sessions_per_worker,
                extra_processes: self.settings.extra_processes,
                sessions_per_life: self.settings.sessions_per_life,
                worker_memory: self.settings.memory.replace,
                worker_memory_max: self.settings.memory.kill,
            },
            open_sessions: self.sessions.len() as u64,
            waiting_clients: self.waiting.len() as u64,
            counters: Counters {
                log_lines_lost: self.lost_lines(),
                ..self.counters.clone()
            },
            queue_outcomes: self
                .queue_counts()
                .iter()
                .map(|(outcome, count)| (outcome.name().to_owned(), count))
                .collect(),
            refusals: self
                .refusals()
                .iter()
                .map(|(stage, (temporary, permanent))| StageRefusals {
                    stage: stage.name().to_owned(),
                    temporary,
                    permanent,
                })
                .collect(),
            loaded: self.loads.last.clone(),
            known_files: None,
            recent_refusals: None,
            failed_reload: self.loads.failed.clone(),
            workers,
            quarantined: self.quarantine_list(),
            sessions: with_sessions.then(|| self.session_list()),
            plugins: with_plugins.then(|| plugin_list(self.sums())),
            sharing: with_plugins.then(|| self.sharing_list()),
        }
    }

    fn session_list(&self) -> Vec<SessionStatus> {
        let workers: HashMap<u64, &WorkerRecord> = self
            .workers
            .iter()
            .flat_map(|(_, worker)| {
                worker
                    .sessions
                    .iter()
                    .map(move |session| (*session, worker))
            })
            .collect();
        let running: HashSet<u64> = self.running().iter().map(|call| call.session).collect();
        let state = |session: &u64| match workers.get(session) {
            _ if running.contains(session) => SessionState::Plugin,
            Some(worker) if worker.has_begun(*session) => SessionState::Waits,
            _ => SessionState::Begins,
        };
        let now = SystemTime::now();
        let seconds = |since: Instant| {
            let since = now.checked_sub(since.elapsed());
            let since = since.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |time| time.as_secs())
        };
        let mut list: Vec<SessionStatus> = self
            .sessions
            .iter()
            .map(|(id, session)| SessionStatus {
                session: number::of_session(*id).into(),
                client: session.peer.ip(),
                worker: workers.get(id).map(|worker| worker.pid),
                since: seconds(session.since),
                age_seconds: session.since.elapsed().as_secs(),
                tls: session.socket.is_none(),
                state: state(id),
            })
            .collect();
        list.sort_by_key(|session| session.session);
        list
    }
}

fn worker_status(worker: &WorkerRecord) -> WorkerStatus {
    WorkerStatus {
        pid: worker.pid,
        generation: worker.generation,
        state: match (worker.dismissed, worker.sessions.is_empty()) {
            (true, _) => WorkerState::Ending,
            (false, true) => WorkerState::Idle,
            (false, false) => WorkerState::Busy,
        },
        for_one_session: worker.forked_by.is_some(),
        sessions: worker.sessions.len() as u64,
        served: worker.served.into(),
        age_seconds: worker.born.elapsed().as_secs(),
        resident_bytes: None,
        running: Vec::new(),
    }
}

fn call_status(call: RunningCall) -> CallStatus {
    CallStatus {
        session: number::of_session(call.session).into(),
        plugin: call.plugin,
        hook: call.hook,
        milliseconds: u64::try_from(call.age.as_millis()).unwrap_or(u64::MAX),
        limit_seconds: call.limit.map(|limit| limit.as_secs()),
    }
}

fn plugin_list(sums: Sums) -> Vec<PluginStatus> {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut list: Vec<PluginStatus> = sums
        .plugins
        .into_iter()
        .map(|((plugin, hook), sum)| PluginStatus {
            plugin,
            hook,
            calls: sum.calls,
            died: sum.died,
            late: sum.late,
            ended: sum.ended,
            nanoseconds: nanoseconds(sum.time),
            verdicts: (VERDICTS.into_iter().zip(sum.verdicts))
                .filter(|(_, count)| *count > 0)
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            durations: (sum.buckets.into_iter().enumerate())
                .map(|(class, calls)| DurationClass {
                    below_nanoseconds: upper_bound(class).map(nanoseconds),
                    calls,
                })
                .collect(),
        })
        .collect();
    list.sort_by_key(|one| std::cmp::Reverse(one.nanoseconds));
    list
}
