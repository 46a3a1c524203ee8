//! Placement: which worker gets a client, when workers are forked, kept and let go, and what a
//! client is told when its worker has died.

#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::super::clients::{linger, refuse};
use super::super::listen::Connection;
use super::super::message::{Assignment, FromWorker, MAX_CHILD_ADDRS, ProcessEnd};
use super::stopping::STOPPING;
use super::upgrading::Succession;
use super::{Client, Event, Session, Supervisor, watching};

/// Forks asked for at a time: more would only queue in the zygote.
const FORKS_AT_A_TIME: usize = 8;
/// A worker that dies younger than this without a session died at once.
const AT_ONCE: Duration = Duration::from_secs(1);

const TOO_MANY: &str = "421 4.7.0 Too many connections from your address, try again later\r\n";
const WORKER_DIED: &str = "421 4.3.0 Internal error, closing connection\r\n";

impl Supervisor<'_> {
    pub(super) fn admit(&mut self, connection: Connection) {
        self.counters.connections += 1;
        if self.stop.is_some() {
            self.counters.refused_stopping += 1;
            return refuse(&connection.socket, STOPPING);
        }
        let limit = match self.facts.hooks_pre_connection {
            true => 0,
            false => self.settings.max_from_ip,
        };
        let ip = connection.peer.ip();
        if let Some(rates) = &mut self.rates
            && !rates.allow(ip)
        {
            let rate = rates.rate();
            self.counters.refused_rate += 1;
            tracing::info!("connections from {ip} come too often (over {rate}), sent a 421");
            return refuse(&connection.socket, TOO_MANY);
        }
        match self.networks.enter(ip, limit) {
            Some(counted) => {
                self.waiting.push_back(Client {
                    connection,
                    counted,
                });
                self.place_waiting();
            }
            None => {
                self.counters.refused_per_address += 1;
                tracing::info!("too many connections from {ip} (more than {limit}), sent a 421");
                refuse(&connection.socket, TOO_MANY);
            }
        }
    }

    /// Gives waiting clients to idle workers, and sees to it that there will be enough of those.
    pub(super) fn place_waiting(&mut self) {
        while self.workers.idle() > 0
            && let Some(Client {
                connection,
                counted,
            }) = self.waiting.pop_front()
        {
            let Connection {
                socket,
                peer,
                local,
                permit,
            } = connection;
            let session = self.next_session;
            self.next_session += 1;
            let given = Assignment {
                session,
                peer,
                local,
                open: u32::try_from(self.sessions.len()).unwrap_or(u32::MAX),
                limit: self.settings.limit_connections,
                max_from_ip: self.settings.max_from_ip,
                child_addrs: self.child_addrs(peer.ip()),
            };
            if self.workers.assign(given, socket.as_fd()).is_some() {
                let entry = Session {
                    socket: Some(socket),
                    ip: peer.ip(),
                    counted,
                    permit,
                    since: Instant::now(),
                };
                self.sessions.insert(session, entry);
            } else {
                let connection = Connection {
                    socket,
                    peer,
                    local,
                    permit,
                };
                self.waiting.push_front(Client {
                    connection,
                    counted,
                });
            }
        }
        self.fork_workers();
        if self.succession == Succession::Over && self.waiting.is_empty() {
            self.workers.dismiss_all(false, |_| true);
        }
    }

    /// The addresses of the open sessions, for plugins that count them. Where they are too many
    /// to pass, those that equal the new client's come first: they are what is counted.
    fn child_addrs(&self, ip: IpAddr) -> Vec<IpAddr> {
        if !self.facts.hooks_pre_connection {
            return Vec::new();
        }
        let mut addresses: Vec<IpAddr> = self.sessions.values().map(|other| other.ip).collect();
        if addresses.len() > MAX_CHILD_ADDRS {
            addresses.sort_by_key(|other| *other != ip);
        }
        addresses
    }

    /// Asks for as many workers as clients wait for, and the spare ones.
    pub(super) fn fork_workers(&mut self) {
        if self.stop.is_some() || self.forks.holds_back() {
            return;
        }
        let Some(number) = self.current else { return };
        let Some(generation) = self.generations.get_mut(&number) else {
            return;
        };
        let starting = generation.starting();
        let spare = match self.succession {
            Succession::Over => 0,
            _ => self.settings.spare_workers as usize,
        };
        let wanted = self.waiting.len() + spare;
        let missing = wanted.saturating_sub(self.workers.idle() + starting);
        if missing == 0 {
            return;
        }
        let most = match self.settings.limit_connections {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let room = most.saturating_sub(self.workers.of(number) + starting);
        for _ in 0..missing
            .min(room)
            .min(FORKS_AT_A_TIME.saturating_sub(starting))
        {
            if let Err(error) = generation.fork(self.next_worker) {
                // A zygote that is gone says so by itself; anything else passes.
                let wait = self.forks.failed();
                tracing::error!("cannot ask for a worker: {error}; next try in {wait:?}");
                return;
            }
            self.next_worker += 1;
        }
    }

    pub(super) fn worker_says(&mut self, number: u64, message: FromWorker) {
        match message {
            FromWorker::Secured { session } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.socket = None;
                }
            }
            FromWorker::Done { session, reuse } => {
                let spare = self.settings.spare_workers as usize;
                let current = self.current;
                // One that is busy and the spare ones are always kept: with fewer, each session
                // would cost a fork.
                let kept = (self.settings.workers as usize).max(spare.saturating_add(1));
                let (total, idle) = (self.workers.staying(), self.workers.idle());
                let Some(worker) = self.workers.get_mut(number) else {
                    return;
                };
                if !worker.sessions.contains(&session) {
                    return;
                }
                let old = current.is_some_and(|current| current != worker.generation);
                let worn = worker.served.saturating_add(1) >= self.settings.sessions_per_life;
                let surplus = total > kept && idle >= spare && self.waiting.is_empty();
                if self.sessions.remove(&session).is_some() {
                    self.counters.sessions_done += 1;
                }
                self.forks.well();
                if !reuse {
                    self.look_at_quarantines();
                }
                self.workers
                    .release(number, session, reuse && !old && !worn && !surplus);
                self.place_waiting();
            }
        }
    }

    /// The process is gone. What it said before is in the queue of events already or still in
    /// its link: the end is put behind both, so that a session that it has finished or secured
    /// gets no 421.
    pub(super) fn worker_ended(&mut self, worker: u64, end: Option<ProcessEnd>) {
        let last_words = self.workers.last_words(worker);
        // Fails only when the supervisor's loop is over.
        let _ = self.events.send(Event::WorkerGone {
            worker,
            end,
            last_words,
        });
    }

    pub(super) fn worker_gone(
        &mut self,
        number: u64,
        end: Option<ProcessEnd>,
        last_words: Vec<FromWorker>,
    ) {
        for message in last_words {
            self.worker_says(number, message);
        }
        let Some(worker) = self.workers.remove(number) else {
            return;
        };
        watching::add(&mut self.past, &worker);
        let culprit = match self.is_killing() {
            true => None,
            false => self.blame(&worker),
        };
        self.look_at_quarantines();
        let pid = worker.pid;
        let running = match culprit {
            Some((plugin, hook)) => format!(" (plugin {plugin} was running the {hook} hook)"),
            None => String::new(),
        };
        let how = match end {
            Some(ProcessEnd::Status(status)) => format!("ended with status {status}"),
            Some(ProcessEnd::Signal(signal)) => format!("was killed by signal {signal}"),
            None => "ended after its zygote".to_string(),
        };
        if end.is_none() {
            self.orphans.push(pid);
            self.clean_up_orphans();
        }
        let mut served_someone = false;
        for session in &worker.sessions {
            let Some(session) = self.sessions.remove(session) else {
                continue;
            };
            served_someone = true;
            self.counters.sessions_lost += 1;
            let ip = session.ip;
            match session.socket {
                Some(socket) => {
                    tracing::error!(
                        "worker {pid} {how} in a session; its client {ip} got a 421{running}"
                    );
                    refuse(&socket, WORKER_DIED);
                    tokio::task::spawn_local(linger(socket, (session.permit, session.counted)));
                }
                None => {
                    tracing::error!("worker {pid} {how} in the TLS session of {ip}{running}");
                }
            }
        }
        let in_order = worker.dismissed && matches!(end, Some(ProcessEnd::Status(0)) | None);
        self.count_end(in_order, end);
        if in_order || (self.is_killing() && !served_someone) {
            tracing::debug!("cleaning up after {pid}");
        } else if !served_someone {
            tracing::error!("idle worker {pid} {how}{running}");
        }
        let unasked = !in_order && self.stop.is_none();
        if unasked && !served_someone && worker.served == 0 && worker.born.elapsed() < AT_ONCE {
            let wait = self.forks.failed();
            tracing::error!("worker {pid} died at once; the next is forked in {wait:?}");
        }
        self.drop_unused(worker.generation);
        self.place_waiting();
    }
}
