//! Placement: which worker gets a client, and when workers are forked, kept and let go.

#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::super::event::Word;
use super::super::generation::Generation;
use super::super::workers::LONG;
use super::leaving::PATIENCE;
use super::stopping::STOPPING;
use super::upgrading::Succession;
use super::{Client, Placed, Supervisor};
use crate::base::log::SERVICE;
use crate::hook::Hook;
use crate::server::front::clients::refuse;
use crate::server::front::listen::Connection;
use crate::server::ipc::message::{Assignment, FromWorker, MAX_CHILD_ADDRS, ToWorker};

/// Forks asked for at a time: more would only queue in the zygote.
const FORKS_AT_A_TIME: usize = 8;

/// How long clients wait that no worker can take, until the workers are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Of the open sessions' addresses, so many are passed to a plugin that counts them, or as many as
/// one address may have and one more: each costs it time.
const MANY_ADDRS: usize = 256;
const CONNECT: u8 = Hook::Connect as u8;

const TOO_MANY: &str = "421 4.7.0 Too many connections from your address, try again later\r\n";

impl Supervisor<'_> {
    pub(super) fn admit(&mut self, connection: Connection) {
        self.counters.connections += 1;
        if self.stop.is_some() {
            self.counters.refused_stopping += 1;
            self.refusals.add_own("limit: stopping");
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
            self.refusals.add_own("limit: rate (--max-rate)");
            tracing::info!(target: SERVICE, "connections from {ip} come too often (over {rate}), sent a 421");
            return refuse(&connection.socket, TOO_MANY);
        }
        match self.networks.enter(ip, limit) {
            Some(counted) => {
                self.waiting.push_back(Client {
                    connection,
                    counted,
                    since: Instant::now(),
                    tries: 0,
                    waited: false,
                });
                self.place_waiting();
                if let Some(last) = self.waiting.back_mut() {
                    last.waited = true;
                }
            }
            None => {
                self.counters.refused_per_address += 1;
                self.refusals
                    .add_own("limit: connections per address (--max-from-ip)");
                tracing::info!(target: SERVICE, "too many connections from {ip} (more than {limit}), sent a 421");
                refuse(&connection.socket, TOO_MANY);
            }
        }
    }

    /// Gives waiting clients to workers, and sees to it that there will be enough of those.
    pub(super) fn place_waiting(&mut self) {
        self.look_again = None;
        // A worker in which a plugin has just left what cannot be exchanged is not to be chosen.
        self.look_at_sharing();
        self.skip_hung_up();
        while !self.waiting.is_empty()
            && let Some(worker) = self.next_worker()
            && let Some(client) = self.waiting.pop_front()
        {
            self.give(worker, client);
            self.skip_hung_up();
        }
        self.let_hung_up_go();
        self.fork_workers();
        if !self.waiting.is_empty() && self.shares() {
            // That a plugin's call is over makes no event.
            self.look_again = Some(Instant::now() + LOOK_AGAIN);
        }
        if self.succession == Succession::Over && self.waiting.is_empty() {
            self.workers.dismiss_all(false, |_| true);
        }
    }

    /// The worker for the client that waits longest.
    fn next_worker(&mut self) -> Option<u64> {
        let idle = self.workers.next_idle();
        if idle.is_some() || !self.shares() || self.can_spread() {
            return idle;
        }
        let waits = self.waiting.front()?.since.elapsed();
        // It would have its worker fork at once, which it may not, or keep it from the others.
        if self.connect_is_long() && waits < PATIENCE {
            return None;
        }
        // Perl code that runs now may be at the beginning of a long hook: that shows soon.
        let longer = match waits < LONG {
            true => Duration::ZERO,
            false => LONG,
        };
        let most = self.settings.sessions_per_worker as usize;
        self.workers.least_loaded(most, longer)
    }

    /// Whether workers may have several sessions.
    pub(super) fn shares(&self) -> bool {
        self.settings.sessions_per_worker > 1
    }

    /// Whether a session that waits gets a worker of its own soon.
    fn can_spread(&self) -> bool {
        let Some(number) = self.current else {
            return false;
        };
        let starting = self
            .generations
            .get(&number)
            .map_or(0, |generation| generation.starting());
        !self.forks.holds_back() && (starting > 0 || self.workers.shared_of(number) < self.most())
    }

    /// How many workers there may be, without those forked for one session.
    fn most(&self) -> usize {
        if self.shares() {
            let workers = self.settings.workers as usize;
            // Sharing would only make the worker fork for it.
            let long = self.connect_is_long();
            // Without a worker that waits for its clients, all are in plugins that run long.
            let stuck = || self.workers.least_loaded(usize::MAX, LONG).is_none();
            return match !self.waiting.is_empty() && (long || stuck()) {
                true => workers + self.for_waiting(),
                false => workers,
            };
        }
        match self.settings.limit_connections {
            0 => usize::MAX,
            limit => limit as usize,
        }
    }

    /// Whether the first hooks of a session are seen to run long.
    fn connect_is_long(&self) -> bool {
        self.long >> CONNECT & 1 == 1
    }

    /// How many processes there may still be for sessions that leave their workers.
    pub(super) fn free_processes(&self) -> usize {
        let generations = self.generations.values();
        let starting: usize = generations.map(Generation::starting).sum();
        let workers = self.workers.shared() + starting;
        let beyond = workers.saturating_sub(self.settings.workers as usize);
        self.for_waiting().saturating_sub(beyond)
    }

    /// How many processes beyond the workers there may be for clients that wait.
    fn for_waiting(&self) -> usize {
        let used = self.workers.forked() + self.leaving.starting();
        (self.settings.extra_processes as usize).saturating_sub(used)
    }

    fn give(&mut self, worker: u64, client: Client) {
        let Client {
            connection,
            counted,
            since,
            tries,
            waited,
        } = client;
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
        if self.workers.assign(worker, given, socket.as_fd()) {
            let entry = Placed {
                socket: Some(socket),
                peer,
                local,
                counted,
                permit,
                since: Instant::now(),
                tries,
            };
            self.open_session(session, entry);
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
                since,
                tries,
                waited,
            });
        }
    }

    /// The addresses of the open sessions, for plugins that count them. Where they are too many
    /// to pass, those that equal the new client's come first: they are what is counted.
    fn child_addrs(&self, ip: IpAddr) -> Vec<IpAddr> {
        if !self.facts.hooks_pre_connection {
            return Vec::new();
        }
        let same = self.addresses.get(&ip).copied().unwrap_or_default() as usize;
        let most = MANY_ADDRS
            .max(self.settings.max_from_ip as usize + 1)
            .min(MAX_CHILD_ADDRS);
        let mut addresses = vec![ip; same.min(most)];
        let others = self.sessions.values().map(|other| other.peer.ip());
        let others = others.filter(|other| *other != ip);
        addresses.extend(others.take(most - addresses.len()));
        addresses
    }

    fn open_session(&mut self, number: u64, session: Placed) {
        *self.addresses.entry(session.peer.ip()).or_default() += 1;
        self.sessions.insert(number, session);
    }

    pub(super) fn close_session(&mut self, number: u64) -> Option<Placed> {
        let session = self.sessions.remove(&number)?;
        let ip = session.peer.ip();
        if let Some(count) = self.addresses.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&ip);
            }
        }
        Some(session)
    }

    /// Asks for as many workers as clients wait for, and the spare ones.
    pub(super) fn fork_workers(&mut self) {
        if self.stop.is_some() || self.forks.holds_back() {
            return;
        }
        let Some(number) = self.current else { return };
        let most = self.most();
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
        let room = most.saturating_sub(self.workers.shared_of(number) + starting);
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

    pub(super) fn worker_says(&mut self, number: u64, (message, descriptor): Word) {
        match message {
            FromWorker::Asks { session, must } => self.asks_to_leave(number, session, must),
            FromWorker::Left { session, pid } => {
                self.has_left(number, session, pid, descriptor);
            }
            FromWorker::Stayed { session } => self.has_stayed(number, session),
            FromWorker::Secured { session } => {
                let worker = self.workers.get_mut(number);
                if worker.is_some_and(|worker| worker.sessions.contains(&session))
                    && let Some(session) = self.sessions.get_mut(&session)
                {
                    session.socket = None;
                }
            }
            FromWorker::Refused { report } => {
                self.refusals.add(report);
                if let Some(worker) = self.workers.get_mut(number) {
                    // One that is gone tells no more.
                    let _ = worker.tell(&ToWorker::Heard, None);
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
                self.leaving.over(number, session);
                let old = current.is_some_and(|current| current != worker.generation);
                let worn = worker.served.saturating_add(1) >= self.settings.sessions_per_life;
                let surplus = total > kept
                    && idle >= spare
                    && self.waiting.is_empty()
                    && worker.sessions.len() == 1;
                if self.close_session(session).is_some() {
                    self.counters.sessions_done += 1;
                }
                self.forks.well();
                if !reuse {
                    self.look_at_ledgers();
                }
                self.workers
                    .release(number, session, reuse && !old && !worn && !surplus);
                self.let_leave();
                self.place_waiting();
            }
        }
    }
}
