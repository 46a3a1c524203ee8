//! A worker's life: takes sessions from the supervisor and runs them.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::SystemTime;

use tokio::task::JoinSet;

use super::load::Loaded;
use crate::hook::Hook;
use crate::mail::{Connection, UNKNOWN};
use crate::net::client::transport::{Transport, open_null, release_stdio};
use crate::net::perl_side::port::SessionPort;
use crate::net::perl_side::pump::{Exited, Pump};
use crate::net::perl_side::stage::Stage;
use crate::net::process::fork_out::{ForkOut, Open};
use crate::net::process::post_fork;
use crate::net::process::refusals::Refusals;
use crate::net::session::driver::{Halted, drive_on, start};
use crate::net::session::{Arrival, Seat, Session};
use crate::perl::ffi::interpreter;
use crate::perl::host::port::Port;
use crate::perl::stdio;
use crate::perl::{release_dropped, take_ends};
use crate::server::{AsyncLink, Given, Incoming, SessionEnd, WorkerLink, set_title};
use crate::session::{self, Neighbours, State};
use crate::watch;

/// Runs sessions until the supervisor has no more for this worker. The result is the process's
/// exit status.
pub(crate) fn work(loaded: Loaded, link: WorkerLink, rdns: bool, tells_refusals: bool) -> i32 {
    let refusals = tells_refusals.then(Refusals::listen);
    match Worker::new(loaded, link, rdns, refusals) {
        Ok(worker) => worker.run(),
        Err(error) => {
            tracing::error!("a worker could not start: {error}");
            1
        }
    }
}

/// A process that runs sessions, one beside the other: their Perl code in turns.
pub(crate) struct Worker {
    pub loaded: Loaded,
    pub pump: Rc<Pump>,
    pub link: Rc<AsyncLink>,
    /// Where there is an interpreter: whose turn it is.
    pub stage: Option<Rc<Stage>>,
    pub open: Open,
    pub rdns: bool,
    /// The hooks of plugins that are to have a process for each session, a bit for each, and when
    /// that was found, by the count of marks.
    isolating: Cell<(u64, u32)>,
    /// Where the supervisor wants to know what is refused.
    pub refusals: Option<Rc<Refusals>>,
    /// It was forked for one session.
    for_one: bool,
}

/// How a session has ended for its worker.
enum Ended {
    Here,
    Exited,
    /// It goes on in another process.
    Left,
}

impl Worker {
    fn new(
        loaded: Loaded,
        link: WorkerLink,
        rdns: bool,
        refusals: Option<Rc<Refusals>>,
    ) -> std::io::Result<Worker> {
        let null = open_null()?;
        release_stdio(&null)?;
        let host = loaded.host.as_ref();
        let stage = host.map(|host| Rc::new(Stage::new(host, null)));
        Worker::with_stage(loaded, link, stage, rdns, refusals)
    }

    /// A worker in this process, which was forked for it.
    pub(crate) fn with_stage(
        loaded: Loaded,
        link: WorkerLink,
        stage: Option<Rc<Stage>>,
        rdns: bool,
        refusals: Option<Rc<Refusals>>,
    ) -> std::io::Result<Worker> {
        if stage.is_some() {
            let mut seed = [0; 4];
            rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
            interpreter::adopt(u32::from_ne_bytes(seed));
            take_ends();
        }
        let pump = Pump::new()?;
        let link = pump.run(async { link.into_async() })?;
        if stage.is_some() {
            pump.take_interrupts()?;
        }
        let marks = watch::marks();
        let isolating = Cell::new((loaded.guards.isolating_hooks(), marks));
        Ok(Worker {
            loaded,
            pump,
            link: Rc::new(link),
            stage,
            open: Open::default(),
            rdns,
            isolating,
            refusals,
            for_one: false,
        })
    }

    /// Whether a plugin is called in this hook that is to have a process for each session.
    pub(crate) fn isolates(&self, hook: Hook) -> bool {
        let (mut hooks, seen) = self.isolating.get();
        let marks = watch::marks();
        if marks != seen {
            hooks = self.loaded.guards.isolating_hooks();
            self.isolating.set((hooks, marks));
        }
        hooks >> (hook as u8) & 1 == 1
    }

    pub(crate) fn for_one(self) -> Worker {
        Worker {
            for_one: true,
            ..self
        }
    }

    fn run(self) -> i32 {
        if post_fork::run(&self.loaded, &self.pump).is_err() {
            return 1;
        }
        let worker = Rc::new(self);
        worker.pump.run(worker.clone().serve());
        worker.tell_last_refusals();
        worker.open.see_off();
        if worker.stage.is_some() {
            interpreter::stop();
        }
        0
    }

    /// Takes sessions until there will be no more, and sees them to their ends.
    async fn serve(self: Rc<Self>) {
        let mut sessions = JoinSet::new();
        let mut more = true;
        let mut telling = pin!(self.tell_refusals());
        loop {
            tokio::select! {
                biased;
                Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                    // As anywhere else, a panic ends the process.
                    if let Err(error) = ended
                        && let Ok(panic) = error.try_into_panic()
                    {
                        std::panic::resume_unwind(panic);
                    }
                }
                given = self.link.next(), if more => match given {
                    Some(Given::Session(incoming)) => {
                        sessions.spawn_local(self.clone().session(incoming));
                    }
                    Some(Given::ChildEnded) => self.bury().await,
                    Some(Given::Line(level, text)) => self.log_for_service(level, text).await,
                    None => more = false,
                },
                () = &mut telling, if more || !sessions.is_empty() => {}
                // Others may be told to stop before their supervisor is gone.
                () = self.link.keep(), if !more && !self.link.is_lost() && !sessions.is_empty() => {}
                else => return,
            }
        }
    }

    /// One session from its socket to its end.
    async fn session(self: Rc<Self>, incoming: Incoming) {
        let id = incoming.session;
        let Some((session, port)) = self.welcome(incoming) else {
            // Out of descriptors, most likely: it is of no more use.
            self.link.done(id, SessionEnd { reuse: false });
            return;
        };
        // Where others are served here, a client that has hung up before its turn does not keep them waiting.
        let others = !self.open.is_empty();
        self.enter(&session);
        let begun = {
            let (worker, session) = (self.clone(), session.clone());
            let begin = move || match others && session.transport.has_hung_up() {
                true => Ok(false),
                false => worker.begin(&session, port).map(|()| true),
            };
            self.pump.outside(id, begin).await
        };
        let ended = match begun {
            Ok(false) => {
                self.leave(&session);
                let reuse = !watch::is_worn();
                self.link.done(id, SessionEnd { reuse });
                session.transport.shutdown();
                return;
            }
            Ok(true) => {
                let machine = session::conversation(session.state.clone());
                let halted = start(&session, machine);
                self.converse(&session, halted).await
            }
            Err(Exited) => Ended::Exited,
        };
        self.leave(&session);
        self.end(session, ended).await;
    }

    fn enter(&self, session: &Rc<Session>) {
        self.open.enter(session);
        self.show_sessions();
    }

    fn leave(&self, session: &Session) {
        self.open.leave(session);
        self.show_sessions();
    }

    /// In `ps`: cheap enough for each session.
    fn show_sessions(&self) {
        match self.open.count() {
            0 => set_title("camelpost: worker"),
            1 => set_title("camelpost: worker (1 session)"),
            some => set_title(&format!("camelpost: worker ({some} sessions)")),
        }
    }

    /// The session that this process was forked for, to its end.
    pub(crate) async fn go_on(self: Rc<Self>, session: Rc<Session>, halted: Halted) {
        self.open.enter(&session);
        let conversation = self.converse(&session, halted);
        let kept = async {
            self.link.keep().await;
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = conversation => ended,
            () = kept => return,
            () = self.tell_refusals() => return,
        };
        self.open.leave(&session);
        self.tell_last_refusals();
        self.end(session, ended).await;
    }

    /// Tells the supervisor of refusals as long as it is polled, where that is wanted.
    async fn tell_refusals(&self) {
        match &self.refusals {
            Some(refusals) => refusals.report(&self.link).await,
            None => std::future::pending().await,
        }
    }

    fn tell_last_refusals(&self) {
        if let Some(refusals) = &self.refusals {
            refusals.report_now(&self.link);
        }
    }

    async fn converse(self: &Rc<Self>, session: &Rc<Session>, halted: Halted) -> Ended {
        let exit = ForkOut(self.clone());
        // Boxed, as a future that is pinned in its place takes that place twice.
        let mut conversation = Box::pin(drive_on(session.clone(), halted, Some(&exit)));
        let watched = poll_fn(|context| {
            let polled = conversation.as_mut().poll(context);
            session.keep_dropped();
            polled
        });
        tokio::select! {
            biased;
            outcome = watched => match outcome {
                Some(_) => Ended::Here,
                None => Ended::Left,
            },
            () = session.exited() => Ended::Exited,
        }
    }

    /// Puts back what the session's Perl code has changed, and tells of its end.
    async fn end(self: &Rc<Self>, session: Rc<Session>, ended: Ended) {
        let ended = match ended {
            Ended::Left => return,
            Ended::Exited => {
                let work = |worker: &Worker, session: &Rc<Session>| {
                    say_last(session);
                    let _ = worker.put_back(session);
                    Err(Exited)
                };
                self.outside(&session, work).await
            }
            Ended::Here => {
                let work = |worker: &Worker, session: &Rc<Session>| {
                    let ended = worker.put_back(session);
                    say_last(session);
                    ended
                };
                self.outside(&session, work).await
            }
        };
        // The handles of a plugin that took the client over are the process's: it serves nobody
        // else.
        let reuse = ended.is_ok() && !session.is_taken() && !watch::is_worn() && !self.for_one;
        // A client that sees the close may come again at once, and is then to find this worker
        // free: the supervisor hears of the end before the client does.
        self.link.done(session.id, SessionEnd { reuse });
        session.transport.shutdown();
    }

    async fn outside(
        self: &Rc<Self>,
        session: &Rc<Session>,
        work: impl FnOnce(&Worker, &Rc<Session>) -> Result<(), Exited> + 'static,
    ) -> Result<(), Exited> {
        let (worker, session) = (self.clone(), session.clone());
        let work = move || work(&worker, &session);
        self.pump.outside(0, work).await
    }

    /// Outside the runtime: the session has its turn.
    fn begin(&self, session: &Rc<Session>, port: Rc<dyn Port>) -> Result<(), Exited> {
        match &self.stage {
            Some(stage) => stage.begin(session, port).map_err(|_| Exited),
            None => {
                self.loaded.config.begin_session();
                Ok(())
            }
        }
    }

    /// Outside the runtime: the process is as it was before the session.
    fn put_back(&self, session: &Rc<Session>) -> Result<(), Exited> {
        let (Some(stage), Some(host)) = (&self.stage, &self.loaded.host) else {
            session.let_go();
            return Ok(());
        };
        stage.enter(session).map_err(|_| Exited)?;
        host.run_ends().map_err(|_| Exited)?;
        session.let_go();
        session.run_perl(|_| Ok(()))?;
        stage.end(session)?;
        if self.open.is_empty() {
            host.process_state.reap();
        }
        release_dropped().map_err(|_| Exited)
    }

    /// A session that can begin, and the way in which Perl code reaches it.
    fn welcome(&self, incoming: Incoming) -> Option<(Rc<Session>, Rc<dyn Port>)> {
        let connection = connection(&incoming);
        let arrival = arrival(&incoming, self.rdns);
        let neighbours = Neighbours {
            max_conn_ip: incoming.max_from_ip.into(),
            child_addrs: incoming.child_addrs.iter().map(packed).collect(),
        };
        let seat = self.seat(
            incoming.session,
            Some(incoming.number),
            environment(&connection),
        );
        let settings = self.loaded.settings.clone();
        let state = Rc::new(State::new(
            settings,
            connection,
            Some(neighbours),
            SystemTime::now(),
        ));
        let transport = Transport::new(incoming.socket).ok()?;
        transport.depend_on(self.link.clone());
        let session = Session::new(
            incoming.session,
            state,
            transport,
            &self.loaded,
            &self.pump,
            arrival,
            seat,
        );
        let port = Rc::new(SessionPort(Rc::downgrade(&session)));
        Some((session, port))
    }

    pub(crate) fn seat(
        &self,
        session: u64,
        number: Option<u32>,
        environment: Vec<(&'static str, Vec<u8>)>,
    ) -> Seat {
        let link = self.link.clone();
        Seat {
            number,
            stage: self.stage.clone(),
            // From then on the supervisor must not write to the client in clear.
            on_secured: Box::new(move || link.tls_started(session)),
            environment,
        }
    }
}

/// What is still to be said to the client. After an exit, what a plugin has printed is still in
/// its handle.
fn say_last(session: &Session) {
    if session.perl_side.is_some() {
        stdio::flush();
    }
    session.transport.flush_blocking();
}

/// What is still to be done for the client.
fn arrival(incoming: &Incoming, rdns: bool) -> Arrival {
    let (open, limit) = (incoming.open, incoming.limit);
    let address = incoming.peer.ip();
    Arrival {
        look_up: rdns.then_some(address),
        accepted: Some(format!(
            "Accepted connection {open}/{limit} from {address} / "
        )),
    }
}

/// What is known of the client before it is looked up.
fn connection(incoming: &Incoming) -> Connection {
    let text = |address: SocketAddr| canonical(address.ip()).to_string().into_bytes();
    let connection = Connection::default();
    connection.remote_ip.replace(Some(text(incoming.peer)));
    connection.remote_host.replace(Some(UNKNOWN.to_vec()));
    connection.remote_info.replace(Some(UNKNOWN.to_vec()));
    connection
        .remote_port
        .set(Some(incoming.peer.port().into()));
    connection.local_ip.replace(Some(text(incoming.local)));
    connection
        .local_port
        .set(Some(incoming.local.port().into()));
    connection
}

/// The variables that plugins know from the original.
pub(in crate::net) fn environment(connection: &Connection) -> Vec<(&'static str, Vec<u8>)> {
    let value = |field: &RefCell<Option<Vec<u8>>>| field.borrow().clone().unwrap_or_default();
    vec![
        ("TCPLOCALIP", value(&connection.local_ip)),
        ("TCPREMOTEIP", value(&connection.remote_ip)),
        ("TCPREMOTEHOST", value(&connection.remote_host)),
    ]
}

/// An IPv4 client on an IPv6 socket is an IPv4 client.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn packed(address: &IpAddr) -> Vec<u8> {
    match canonical(*address) {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
