//! The supervisor's loop: connections, zygotes, workers and signals come in as events, one at a
//! time; placement, limits, replacement of workers and the stop are decided here.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

use super::LoadFacts;
use super::clients::{Counted, Networks, linger, refuse};
use super::detach::Detached;
use super::generation::Generation;
use super::listen::{Bound, Connection, Places};
use super::message::{Assignment, FromWorker, FromZygote, MAX_CHILD_ADDRS, PROTOCOL, ProcessEnd};
use super::privileges::ServiceUser;
use super::start::{ServeError, Settings, ZygoteCommand};
use super::workers::{Damper, Worker, Workers};

/// How long open sessions may go on once the service is told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long the processes may take to end after that.
const LAST_GRACE: Duration = Duration::from_secs(3);
/// Forks asked for at a time: more would only queue in the zygote.
const FORKS_AT_A_TIME: usize = 8;
/// A worker that dies younger than this without a session done died at once.
const AT_ONCE: Duration = Duration::from_secs(1);

const TOO_MANY: &str = "421 4.7.0 Too many connections from your address, try again later\r\n";
const WORKER_DIED: &str = "421 4.3.0 Internal error, closing connection\r\n";
const STOPPING: &str = "421 4.3.2 Service is shutting down, closing connection\r\n";

/// What the supervisor reacts to.
pub(super) enum Event {
    Connection(Connection),
    Zygote {
        generation: u64,
        message: FromZygote,
        descriptor: Option<OwnedFd>,
    },
    ZygoteEnded {
        generation: u64,
        status: Option<ExitStatus>,
    },
    Worker {
        worker: u64,
        message: FromWorker,
    },
    LinkClosed {
        worker: u64,
    },
    /// Seen by its pidfd, because its zygote is gone.
    WorkerEnded {
        worker: u64,
    },
    Stop,
    Reload,
}

/// A client that has no worker yet.
struct Client {
    connection: Connection,
    counted: Counted,
}

struct Session {
    /// The duplicate through which a 421 can be written; none once TLS has started.
    socket: Option<OwnedFd>,
    ip: IpAddr,
    counted: Counted,
    permit: OwnedSemaphorePermit,
}

pub(super) struct Supervisor<'a> {
    settings: &'a Settings,
    command: &'a ZygoteCommand,
    user: &'a ServiceUser,
    /// Sockets that wait for the plugins before they listen.
    bound: Vec<Bound>,
    detached: Option<Detached>,
    events: UnboundedSender<Event>,
    acceptors: Vec<AbortHandle>,
    places: Rc<Places>,
    networks: Networks,
    facts: LoadFacts,
    generations: HashMap<u64, Generation>,
    /// The generation that new workers are forked from.
    current: Option<u64>,
    next_generation: u64,
    workers: Workers,
    next_worker: u64,
    sessions: HashMap<u64, Session>,
    next_session: u64,
    waiting: VecDeque<Client>,
    forks: Damper,
    zygotes: Damper,
    /// When open sessions are cut off; the second time, when not even that helped.
    stop_at: Option<Instant>,
    killed: bool,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        command: &'a ZygoteCommand,
        user: &'a ServiceUser,
        bound: Vec<Bound>,
        detached: Option<Detached>,
    ) -> (Supervisor<'a>, UnboundedReceiver<Event>) {
        let (events, receiver) = unbounded_channel();
        let supervisor = Supervisor {
            settings,
            command,
            user,
            bound,
            detached,
            events,
            acceptors: Vec::new(),
            places: Rc::new(Places::new(settings.limit_connections)),
            networks: Networks::default(),
            facts: LoadFacts {
                hooks_pre_connection: false,
                log_level: crate::log::DEFAULT_LEVEL,
            },
            generations: HashMap::new(),
            current: None,
            next_generation: 0,
            workers: Workers::default(),
            next_worker: 0,
            sessions: HashMap::new(),
            next_session: 0,
            waiting: VecDeque::new(),
            forks: Damper::default(),
            zygotes: Damper::default(),
            stop_at: None,
            killed: false,
        };
        (supervisor, receiver)
    }

    /// Loads, serves and stops. Needs a LocalSet.
    pub(super) async fn run(
        mut self,
        mut receiver: UnboundedReceiver<Event>,
    ) -> Result<(), ServeError> {
        super::signals::watch(self.events.clone())
            .map_err(|error| ServeError::Start(format!("cannot handle signals: {error}")))?;
        self.start_generation().map_err(|error| {
            ServeError::Start(format!(
                "cannot start the process that loads the plugins: {error}"
            ))
        })?;
        while !self.is_over() {
            let timer = self.next_time();
            let until = timer.unwrap_or_else(Instant::now).into();
            tokio::select! {
                biased;
                event = receiver.recv() => match event {
                    Some(event) => self.handle(event)?,
                    None => break,
                },
                () = tokio::time::sleep_until(until), if timer.is_some() => self.time_is_up(),
            }
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
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stop_at.is_some()
            && self.workers.len() == 0
            && self
                .generations
                .values()
                .all(|generation| generation.starting() == 0)
    }

    fn handle(&mut self, event: Event) -> Result<(), ServeError> {
        match event {
            Event::Connection(connection) => self.admit(connection),
            Event::Worker { worker, message } => self.worker_says(worker, message),
            Event::LinkClosed { worker } => self.workers.link_closed(worker),
            Event::WorkerEnded { worker } => self.worker_ended(worker, None),
            Event::Zygote {
                generation,
                message,
                descriptor,
            } => {
                return self.zygote_says(generation, message, descriptor);
            }
            Event::ZygoteEnded { generation, status } => {
                return self.zygote_ended(generation, status);
            }
            Event::Stop => self.stop(),
            Event::Reload => self.reload(),
        }
        Ok(())
    }

    /// When `time_is_up` must be called next.
    fn next_time(&self) -> Option<Instant> {
        if self.stop_at.is_some() {
            return self.stop_at;
        }
        if self.current.is_none() {
            // Before the first load there is nothing to hold back.
            return self.zygotes.until();
        }
        self.forks.until()
    }

    fn time_is_up(&mut self) {
        if let Some(stop_at) = self.stop_at {
            if stop_at <= Instant::now() {
                self.cut_off();
            }
        } else if self.current.is_none() && self.generations.values().all(|other| other.ready) {
            self.restart_zygote();
        } else {
            self.fork_workers();
        }
    }

    // ---- clients ----

    fn admit(&mut self, connection: Connection) {
        if self.stop_at.is_some() {
            return refuse(&connection.socket, STOPPING);
        }
        let limit = match self.facts.hooks_pre_connection {
            true => 0,
            false => self.settings.max_from_ip,
        };
        let ip = connection.peer.ip();
        match self.networks.enter(ip, limit) {
            Some(counted) => {
                self.waiting.push_back(Client {
                    connection,
                    counted,
                });
                self.place_waiting();
            }
            None => {
                tracing::info!("too many connections from {ip} (more than {limit}), sent a 421");
                refuse(&connection.socket, TOO_MANY);
            }
        }
    }

    /// Gives waiting clients to idle workers, and sees to it that there will be enough of those.
    fn place_waiting(&mut self) {
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

    // ---- workers ----

    /// Asks for as many workers as clients wait for, and the spare ones.
    fn fork_workers(&mut self) {
        if self.stop_at.is_some() || self.forks.until().is_some() {
            return;
        }
        let Some(number) = self.current else { return };
        let Some(generation) = self.generations.get_mut(&number) else {
            return;
        };
        let starting = generation.starting();
        let wanted = self.waiting.len() + self.settings.spare_workers as usize;
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

    fn worker_says(&mut self, number: u64, message: FromWorker) {
        match message {
            FromWorker::Secured { session } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.socket = None;
                }
            }
            FromWorker::Done { session, reuse } => {
                let spare = self.settings.spare_workers as usize;
                let current = self.current;
                let (total, idle) = (self.workers.len(), self.workers.idle());
                let Some(worker) = self.workers.get_mut(number) else {
                    return;
                };
                if !worker.sessions.contains(&session) {
                    return;
                }
                let old = current.is_some_and(|current| current != worker.generation);
                let worn = worker.served.saturating_add(1) >= self.settings.sessions_per_life;
                let surplus = total > self.settings.workers as usize
                    && idle >= spare
                    && self.waiting.is_empty();
                self.sessions.remove(&session);
                self.forks.well();
                self.workers
                    .release(number, session, reuse && !old && !worn && !surplus);
                self.place_waiting();
            }
        }
    }

    fn worker_ended(&mut self, number: u64, end: Option<ProcessEnd>) {
        // What it said before it ended is still in its link.
        for message in self.workers.last_words(number) {
            self.worker_says(number, message);
        }
        let Some(worker) = self.workers.remove(number) else {
            return;
        };
        let pid = worker.pid;
        let how = match end {
            Some(ProcessEnd::Status(status)) => format!("ended with status {status}"),
            Some(ProcessEnd::Signal(signal)) => format!("was killed by signal {signal}"),
            None => "ended after its zygote".to_string(),
        };
        let mut served_someone = false;
        for session in &worker.sessions {
            let Some(session) = self.sessions.remove(session) else {
                continue;
            };
            served_someone = true;
            let ip = session.ip;
            match session.socket {
                Some(socket) => {
                    tracing::error!("worker {pid} {how} in a session; its client {ip} got a 421");
                    refuse(&socket, WORKER_DIED);
                    tokio::task::spawn_local(linger(socket, (session.permit, session.counted)));
                }
                None => tracing::error!("worker {pid} {how} in the TLS session of {ip}"),
            }
        }
        let in_order = worker.dismissed && matches!(end, Some(ProcessEnd::Status(0)) | None);
        if in_order || (self.killed && !served_someone) {
            tracing::debug!("cleaning up after {pid}");
        } else if !served_someone {
            tracing::error!("idle worker {pid} {how}");
        }
        if !in_order && worker.served == 0 && worker.born.elapsed() < AT_ONCE {
            let wait = self.forks.failed();
            tracing::error!("worker {pid} died at once; the next is forked in {wait:?}");
        }
        self.drop_unused(worker.generation);
        self.place_waiting();
    }

    /// A generation that is no more current ends with its last worker.
    fn drop_unused(&mut self, number: u64) {
        if self.current != Some(number)
            && self.workers.of(number) == 0
            && let Some(generation) = self.generations.get(&number)
            && generation.ready
            && generation.starting() == 0
        {
            generation.retire();
        }
    }

    // ---- zygotes ----

    fn start_generation(&mut self) -> std::io::Result<()> {
        let number = self.next_generation;
        self.next_generation += 1;
        let generation = Generation::start(number, self.command, self.events.clone())?;
        self.generations.insert(number, generation);
        Ok(())
    }

    fn restart_zygote(&mut self) {
        if let Err(error) = self.start_generation() {
            let wait = self.zygotes.failed();
            tracing::error!("cannot start a zygote: {error}; next try in {wait:?}");
        }
    }

    fn reload(&mut self) {
        if self.stop_at.is_some() {
            return;
        }
        if self
            .generations
            .values()
            .any(|generation| !generation.ready)
        {
            tracing::warn!("already loading; the signal to reload was ignored");
            return;
        }
        tracing::info!("reloading: open sessions go on with what is loaded now");
        if let Err(error) = self.start_generation() {
            tracing::error!("reload failed, what was loaded stays: {error}");
        }
    }

    fn zygote_says(
        &mut self,
        number: u64,
        message: FromZygote,
        descriptor: Option<OwnedFd>,
    ) -> Result<(), ServeError> {
        let Some(generation) = self.generations.get_mut(&number) else {
            return Ok(());
        };
        match message {
            FromZygote::Ready {
                protocol: PROTOCOL,
                facts,
            } => {
                generation.ready = true;
                self.loaded(number, facts)?;
            }
            FromZygote::Ready { protocol, .. } => {
                return self.load_failed(
                    number,
                    format!(
                        "camelpost: the zygote speaks protocol {protocol}, this program \
                         {PROTOCOL}: the program was replaced; start it again"
                    ),
                );
            }
            FromZygote::Failed { message } => return self.load_failed(number, message),
            FromZygote::Forked { worker, pid } => {
                let Some(link) = generation.started(worker) else {
                    return Ok(());
                };
                let Some(pidfd) = descriptor else {
                    return Ok(());
                };
                match Worker::new(worker, number, pid, pidfd, link, self.events.clone()) {
                    Ok(new) => {
                        tracing::debug!("forked worker {pid}");
                        self.workers.add(worker, new);
                    }
                    Err(error) => tracing::error!("cannot watch worker {pid}: {error}"),
                }
                if self.stop_at.is_some() || self.current != Some(number) {
                    self.workers.dismiss(worker);
                }
                self.place_waiting();
            }
            FromZygote::NotForked { worker, errno } => {
                generation.started(worker);
                let error = std::io::Error::from_raw_os_error(errno);
                let wait = self.forks.failed();
                tracing::error!("cannot fork a worker: {error}; next try in {wait:?}");
            }
            FromZygote::Exited { worker, end } => self.worker_ended(worker, Some(end)),
        }
        Ok(())
    }

    /// A generation has loaded everything and becomes the current one.
    fn loaded(&mut self, number: u64, facts: LoadFacts) -> Result<(), ServeError> {
        self.facts = facts;
        crate::log::set_level(facts.log_level);
        self.zygotes.well();
        if self.stop_at.is_some() {
            return Ok(());
        }
        let old = self.current.replace(number);
        self.workers
            .dismiss_all(false, |worker| worker.generation != number);
        if let Some(old) = old {
            tracing::info!("reloaded");
            self.drop_unused(old);
        }
        self.open()?;
        self.place_waiting();
        Ok(())
    }

    /// Listens, the first time.
    fn open(&mut self) -> Result<(), ServeError> {
        let bound = std::mem::take(&mut self.bound);
        if bound.is_empty() {
            return Ok(());
        }
        for bound in bound {
            let listener = bound.listen().map_err(ServeError::Start)?;
            tracing::info!("Listening on {}", listener.address);
            let (events, places) = (self.events.clone(), self.places.clone());
            let task = tokio::task::spawn_local(async move {
                loop {
                    let connection = listener.accept(&places).await;
                    if events.send(Event::Connection(connection)).is_err() {
                        return;
                    }
                }
            });
            self.acceptors.push(task.abort_handle());
        }
        let (user, group) = self.user.names();
        tracing::info!("Running as user {user}, group {group}");
        if self.user.is_root() {
            tracing::warn!("running as root: every plugin can do anything to this machine");
        }
        if let Some(detached) = self.detached.take() {
            for generation in self.generations.values() {
                // One that is gone says so by itself.
                let _ = generation.silence();
            }
            detached
                .ready()
                .map_err(|error| ServeError::Start(format!("cannot detach: {error}")))?;
        }
        Ok(())
    }

    fn load_failed(&mut self, number: u64, message: String) -> Result<(), ServeError> {
        self.generations.remove(&number);
        if !self.bound.is_empty() {
            return Err(ServeError::Load(message));
        }
        match self.current {
            Some(_) => tracing::error!("reload failed, what was loaded stays: {message}"),
            None => {
                let wait = self.zygotes.failed();
                tracing::error!("{message}");
                tracing::error!("the plugins could not be loaded again; next try in {wait:?}");
            }
        }
        Ok(())
    }

    fn zygote_ended(&mut self, number: u64, status: Option<ExitStatus>) -> Result<(), ServeError> {
        let Some(generation) = self.generations.remove(&number) else {
            return Ok(());
        };
        let status = status.map_or_else(|| "killed".to_string(), |status| status.to_string());
        if !generation.ready {
            return self.load_failed(
                number,
                format!(
                    "camelpost: the process that loads the plugins ended ({status}) before all \
                     were loaded; the lines above may say why"
                ),
            );
        }
        self.workers.watch(number, &self.events);
        if self.current == Some(number) && self.stop_at.is_none() {
            self.current = None;
            let wait = self.zygotes.failed();
            tracing::error!("the zygote ended ({status}); another is started in {wait:?}");
        }
        Ok(())
    }

    // ---- the end ----

    fn stop(&mut self) {
        if self.stop_at.is_some() {
            // The second signal: whoever sent it does not want to wait.
            return self.cut_off();
        }
        self.stop_at = Some(Instant::now() + GRACE);
        // Dropping the listeners closes them.
        self.acceptors
            .drain(..)
            .for_each(|acceptor| acceptor.abort());
        self.bound.clear();
        for client in self.waiting.drain(..) {
            refuse(&client.connection.socket, STOPPING);
        }
        self.workers.dismiss_all(true, |_| true);
    }

    /// Ends what has not ended by itself.
    fn cut_off(&mut self) {
        if self.killed {
            // Not even SIGKILL helped (a process in uninterruptible sleep): leave it behind.
            self.generations.clear();
            self.workers = Workers::default();
            return;
        }
        self.killed = true;
        for (_, session) in self.sessions.drain() {
            if let Some(socket) = &session.socket {
                refuse(socket, STOPPING);
            }
        }
        self.workers.kill_all();
        self.stop_at = Some(Instant::now() + LAST_GRACE);
    }
}
