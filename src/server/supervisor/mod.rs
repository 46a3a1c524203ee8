//! The supervisor's loop: connections, zygotes, workers and signals come in as events, one at a
//! time. What each of them means is decided in the modules below.

#![forbid(unsafe_code)]

mod control;
mod ended;
mod hung_up;
mod leaving;
mod loading;
mod loads;
mod long;
mod lost_lines;
mod memory;
mod placement;
mod quarantine;
mod refusals;
mod relaying;
mod sharing;
mod stopping;
mod upgrading;
mod watchdog;
mod watching;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use super::control::Counters;
use super::damper::Damper;
use super::event::Event;
use super::facts::LoadFacts;
use super::generation::Generation;
use super::workers::Workers;
use crate::server::front::clients::{Counted, Networks};
use crate::server::front::listen::{Bound, Connection, Listener, Places};
use crate::server::front::rate::Rates;
use crate::server::ipc::bounded::Bounded;
use crate::server::service::detach::Detached;
use crate::server::service::error::ServeError;
use crate::server::service::notify::Notify;
use crate::server::service::pid_file::PidFile;
use crate::server::service::privileges::ServiceUser;
use crate::server::service::settings::{Begun, Settings, ZygoteCommand};
use crate::server::service::upgrade::{Line, Successor};
use leaving::Leaving;
use lost_lines::LosingLines;
use memory::Memory;
use quarantine::Quarantines;
use refusals::RecentRefusals;
use relaying::Relay;
use stopping::{LAST_GRACE, Stop};
use upgrading::Succession;
use watchdog::Watchdog;
use watching::Sums;

pub use stopping::STOPPING;

/// A client that has no worker yet.
struct Client {
    connection: Connection,
    counted: Counted,
    since: Instant,
    /// How many workers have died before they began with it.
    tries: u8,
    /// No worker was free for it at once.
    waited: bool,
}

struct Placed {
    /// The duplicate through which a 421 can be written; none once TLS has started.
    socket: Option<OwnedFd>,
    peer: SocketAddr,
    local: SocketAddr,
    counted: Counted,
    permit: OwnedSemaphorePermit,
    since: Instant,
    tries: u8,
}

pub(super) struct Supervisor<'a> {
    settings: &'a Settings,
    command: &'a ZygoteCommand,
    user: &'a ServiceUser,
    /// Sockets that wait for the plugins before they listen.
    bound: Vec<Bound>,
    detached: Option<Detached>,
    notify: Notify,
    /// Removed with this.
    pid_file: Option<PidFile>,
    nice: i32,
    predecessor: Option<Line>,
    successor: Option<Successor>,
    succession: Succession,
    rates: Option<Rates>,
    events: UnboundedSender<Event>,
    acceptors: Vec<AbortHandle>,
    listeners: Vec<Rc<Listener>>,
    places: Rc<Places>,
    networks: Networks,
    facts: LoadFacts,
    loads: loads::Loads,
    generations: HashMap<u64, Generation>,
    /// The generation that new workers are forked from.
    current: Option<u64>,
    next_generation: u64,
    /// Workers that ended after their zygote, and have left things behind.
    orphans: Vec<i32>,
    workers: Workers,
    next_worker: u64,
    watchdog: Watchdog,
    quarantines: Quarantines,
    memory: Memory,
    /// What plugins did in workers that have ended.
    past: Sums,
    sessions: HashMap<u64, Placed>,
    /// How many of them each address has.
    addresses: HashMap<IpAddr, u32>,
    /// Ascending without an end, also over upgrades.
    next_session: u64,
    waiting: VecDeque<Client>,
    /// When those were last looked at that have hung up meanwhile.
    looked_through: Instant,
    /// When one of those was served all the same.
    served_hung_up: Option<Instant>,
    /// When to look again for a worker that can take those.
    look_again: Option<Instant>,
    leaving: Leaving,
    /// The hooks that are seen to run long, a bit for each.
    long: u64,
    look_for_long: Instant,
    forks: Damper,
    zygotes: Damper,
    /// The service ends: how far that has gone, and when the next step is due.
    stop: Option<Stop>,
    /// Its own lines, for the logging plugins.
    relay: Relay,
    counters: Counters,
    refusals: RecentRefusals,
    losing: LosingLines,
    control: control::Control,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        command: &'a ZygoteCommand,
        begun: Begun<'a>,
    ) -> (Supervisor<'a>, UnboundedReceiver<Event>) {
        crate::base::log::relay();
        let (events, receiver) = unbounded_channel();
        let supervisor = Supervisor {
            relay: Relay::default(),
            settings,
            command,
            user: begun.user,
            bound: begun.bound,
            detached: begun.detached,
            notify: begun.notify,
            pid_file: begun.pid_file,
            nice: begun.nice,
            predecessor: begun.predecessor,
            successor: None,
            succession: Succession::None,
            listeners: Vec::new(),
            rates: settings.service.max_rate.map(Rates::new),
            events,
            acceptors: Vec::new(),
            places: Rc::new(Places::new(settings.limit_connections)),
            networks: Networks::default(),
            facts: LoadFacts {
                log_level: crate::base::log::DEFAULT_LEVEL,
                ..LoadFacts::default()
            },
            loads: loads::Loads::default(),
            generations: HashMap::new(),
            current: None,
            next_generation: 1,
            orphans: Vec::new(),
            workers: Workers::default(),
            next_worker: 0,
            watchdog: Watchdog::default(),
            quarantines: Quarantines::default(),
            memory: Memory::default(),
            past: Sums::default(),
            sessions: HashMap::new(),
            addresses: HashMap::new(),
            next_session: begun.first_session,
            waiting: VecDeque::new(),
            looked_through: Instant::now(),
            served_hung_up: None,
            look_again: None,
            leaving: Leaving::default(),
            long: 0,
            look_for_long: Instant::now(),
            forks: Damper::default(),
            zygotes: Damper::default(),
            stop: None,
            counters: Counters::default(),
            refusals: RecentRefusals::new(settings.web.is_some()),
            losing: LosingLines::default(),
            control: control::Control::new(begun.control),
        };
        (supervisor, receiver)
    }

    /// Loads, serves and stops. Needs a LocalSet.
    pub(super) async fn run(
        mut self,
        mut receiver: UnboundedReceiver<Event>,
    ) -> Result<(), ServeError> {
        crate::server::service::signals::watch(self.events.clone())
            .map_err(|error| ServeError::Start(format!("cannot handle signals: {error}")))?;
        if let Some(time) = self.notify.watchdog {
            crate::server::service::signals::tick(time, self.events.clone());
        }
        self.notify.status("Loading the plugins");
        self.start_generation().map_err(|error| {
            ServeError::Start(format!(
                "cannot start the process that loads the plugins: {error}"
            ))
        })?;
        while !self.is_over() {
            let timer = self.next_time();
            let until = timer.unwrap_or_else(Instant::now).into();
            tokio::select! {
                event = receiver.recv() => match event {
                    Some(event) => {
                        self.take_ends();
                        self.handle(event)?;
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(until), if timer.is_some() => {
                    self.take_ends();
                    self.time_is_up();
                }
            }
            self.ask_for_ends();
            self.relay_lines();
        }
        for generation in self.generations.values() {
            generation.retire();
        }
        let gone = async {
            while self.generations.values().any(|generation| generation.ready) {
                match receiver.recv().await {
                    Some(Event::ZygoteEnded { generation, .. }) => {
                        self.generations.remove(&generation);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        };
        // One that does not end is killed when its generation is dropped.
        let _ = tokio::time::timeout(LAST_GRACE, gone).await;
        self.say_last_words().await;
        Ok(())
    }

    /// The queue of events for one worker's words. Of each session it asks, or says that it is secured,
    /// gone, staying or done, and it has only so many sessions.
    fn for_worker(&self) -> Bounded<Event> {
        let sessions = self.settings.sessions_per_worker as usize;
        Bounded::new(
            self.events.clone(),
            sessions.saturating_mul(4).clamp(64, 1 << 20),
        )
    }

    fn is_over(&self) -> bool {
        (self.stop.is_some() || self.has_retired())
            && self.workers.len() == 0
            && self
                .generations
                .values()
                .all(|generation| generation.starting() == 0)
            && !self.waits_for_predecessor()
    }

    fn handle(&mut self, event: Event) -> Result<(), ServeError> {
        match event {
            Event::Connection(connection) => self.admit(connection),
            Event::Worker { worker, word, room } => {
                self.worker_says(worker, word);
                drop(room);
            }
            Event::LinkClosed { worker } => self.workers.link_closed(worker),
            Event::WorkerEnded { worker } => self.worker_ended(worker, None),
            Event::WorkerGone {
                worker,
                end,
                last_words,
            } => self.worker_gone(worker, end, last_words),
            Event::Zygote {
                generation,
                message,
                descriptor,
                room,
            } => {
                let said = self.zygote_says(generation, message, descriptor);
                drop(room);
                return said;
            }
            Event::ZygoteEnded { generation, status } => {
                return self.zygote_ended(generation, status);
            }
            Event::Stop => self.stop(),
            Event::Reload => {
                if let Err(problem) = self.reload() {
                    tracing::warn!("the signal to reload was ignored: {problem}");
                }
            }
            Event::Control(asked) => self.asked(asked),
            Event::Upgrade => {
                if let Err(problem) = self.may_upgrade() {
                    tracing::warn!("not a time to upgrade: {problem}");
                } else {
                    // It has logged what went wrong.
                    let _ = self.upgrade();
                }
            }
            Event::Retire => self.retire(),
            Event::Successor(word) => self.successor_says(word),
            Event::Predecessor(word) => self.predecessor_says(word),
            Event::Alive => self.notify.alive(),
        }
        Ok(())
    }

    /// When `time_is_up` must be called next.
    fn next_time(&mut self) -> Option<Instant> {
        let is_busy = !self.sessions.is_empty() || self.relay.is_out();
        let watch = self.watchdog.wake_at(is_busy);
        let memory = self.memory.wake_at(!self.sessions.is_empty());
        if let Some(stop) = &self.stop {
            let waits = [Some(stop.next), watch, memory];
            return waits.into_iter().flatten().min();
        }
        let waits = [
            self.zygotes.wake_at(),
            self.forks.wake_at(),
            self.quarantines.wake_at(),
            watch,
            memory,
            self.look_again,
            self.leaving.wake_at(),
            self.look_for_lost_lines_at(),
        ];
        waits.into_iter().flatten().min()
    }

    fn time_is_up(&mut self) {
        self.watch_calls();
        self.watch_memory();
        self.look_at_ledgers();
        self.look_for_lost_lines();
        if let Some(stop) = &self.stop {
            if stop.next <= Instant::now() {
                self.stop_harder();
            }
            return;
        }
        let leaves = self.leaving.wake_at();
        if leaves.is_some_and(|leaves| leaves <= Instant::now()) {
            self.let_leave();
        }
        if self.look_again.is_some_and(|again| again <= Instant::now()) {
            self.look_again = None;
            self.place_waiting();
        }
        if self.zygotes.try_again() {
            self.restart_zygote();
        }
        if self.forks.try_again() {
            self.fork_workers();
        }
    }
}
