//! Sessions that go on in a process of their own: where a plugin takes the client over (`tls`),
//! or is seen to run long, or is to be isolated, the other sessions of a worker would have to
//! wait, or meet what it leaves behind. The worker forks; the child forgets the runtime that it
//! was forked with, makes its own, and runs that session alone to its end. The supervisor says
//! whether, as it counts the processes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::os::fd::{OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::threads;
use super::worker::Worker;
use crate::hook::{Hook, HookCall};
use crate::net::client::transport::{Transport, open_null};
use crate::net::perl_side::port::SessionPort;
use crate::net::perl_side::pump::Exited;
use crate::net::perl_side::stage::Stage;
use crate::net::session::driver::{Halted, WayOut};
use crate::net::session::{FLUSH_TIMEOUT, Session};
use crate::perl::stdio;
use crate::perl::turn::Belongings;
use crate::perl::{Sv, forget, release_dropped};
use crate::server::{self, GoOn, WorkerLink};
use crate::session::{Machine, State, Step};

/// How long a session waits for other threads of the process before it goes on where it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The port on which the client begins with TLS (RFC 8314 section 3.3), as plugin `tls` has it.
const SMTPS: i64 = 465;

/// The sessions that are open in a process.
#[derive(Default)]
pub(crate) struct Open {
    sessions: RefCell<HashMap<u64, Weak<Session>>>,
    /// Those that went on in children.
    gone: RefCell<Vec<Gone>>,
}

/// A session that goes on in a child. What belongs to it stays until that has ended: an object's
/// DESTROY may end what the child still uses, such as a connection to a database.
struct Gone {
    child: Pid,
    _state: Rc<State>,
    _belongings: Option<Belongings>,
    _client: Option<Sv>,
    _machine: Machine,
}

impl Open {
    pub(crate) fn enter(&self, session: &Rc<Session>) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.insert(session.id, Rc::downgrade(session));
    }

    pub(crate) fn leave(&self, session: &Session) {
        self.sessions.borrow_mut().remove(&session.id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.borrow().is_empty()
    }

    /// Waits for the sessions that go on in children: their messages are in files of this process's.
    pub(crate) fn see_off(&self) {
        for gone in self.gone.borrow().iter() {
            // An error: it was reaped with what plugins leave behind.
            while matches!(
                waitpid(Some(gone.child), WaitOptions::empty()),
                Err(Errno::INTR)
            ) {}
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.sessions.borrow().len()
    }

    fn descriptors(&self) -> Vec<RawFd> {
        let sessions = self.sessions.borrow();
        let sessions = sessions.values().filter_map(Weak::upgrade);
        sessions
            .flat_map(|session| session.transport.descriptors())
            .collect()
    }
}

/// The way out of a worker.
pub(crate) struct ForkOut(pub Rc<Worker>);

impl WayOut for ForkOut {
    fn is_due(&self, session: &Session, step: &Step) -> bool {
        let worker = &self.0;
        if session.alone.get() || !worker.link.is_shared() {
            return false;
        }
        match step {
            Step::Hook(call, _) => {
                must_leave(worker, session, call)
                    || (worker.link.runs_long(call.hook as u8)
                        && worker.loaded.has_entries(call.hook))
            }
            Step::Read { .. } => session.is_taken(),
            _ => false,
        }
    }

    fn take<'a>(
        &'a self,
        session: &'a Rc<Session>,
        halted: Halted,
    ) -> Pin<Box<dyn Future<Output = Option<Halted>> + 'a>> {
        Box::pin(async move {
            let worker = &self.0;
            // A fork while another thread runs would leave locks that nobody gives back.
            let Some(_none) = threads::pause(PATIENCE).await else {
                let seconds = PATIENCE.as_secs();
                tracing::warn!(
                    "what native plugins have offloaded runs for more than {seconds} s: a session \
                     that should go on in a process of its own goes on where it is"
                );
                return Some(halted);
            };
            let must = match &halted.1 {
                Step::Hook(call, _) => must_leave(worker, session, call),
                _ => true,
            };
            if !session.is_taken() {
                session.transport.flush(FLUSH_TIMEOUT).await;
            }
            let link = match worker.link.ask_to_leave(session.id, must).await {
                GoOn::There(link) => link,
                GoOn::Here { alone } => {
                    session.alone.set(alone);
                    return Some(halted);
                }
            };
            let work = {
                let (worker, session) = (worker.clone(), session.clone());
                move || Ok(worker.fork_for(&session, halted, link))
            };
            let stays = worker.pump.outside(session.id, work).await;
            stays.unwrap_or_default()
        })
    }
}

/// Whether the other sessions would have to wait for as long as this one's client likes, or are
/// not to be where its plugin was.
fn must_leave(worker: &Worker, session: &Session, call: &HookCall) -> bool {
    let takes_over = match call.hook {
        Hook::UnrecognizedCommand => call.is_for_verb(b"starttls"),
        Hook::Connect => session.state.connection.borrow().local_port.get() == Some(SMTPS),
        _ => false,
    };
    (takes_over && !worker.loaded.native_tls && worker.loaded.has_entries(call.hook))
        || worker.isolates(call.hook)
}

impl Worker {
    /// Outside the runtime: forks for a session. `None`: it goes on in the child.
    fn fork_for(
        self: &Rc<Self>,
        session: &Rc<Session>,
        halted: Halted,
        link: WorkerLink,
    ) -> Option<Halted> {
        let id = session.id;
        // What is in a buffer would be written twice, or its DESTROY run twice.
        let ready = || {
            let Some(stage) = &self.stage else {
                return true;
            };
            stage.enter(session).is_ok()
                && session.run_perl(|_| Ok(())).is_ok()
                && stdio::flush_all().is_ok()
        };
        if !ready() {
            self.link.left(id, None);
            return Some(halted);
        }
        match server::fork_session() {
            Ok(None) => {
                let status = self.be_child(session, halted, link);
                if self.stage.is_some() {
                    let _ = stdio::flush_all();
                }
                server::exit_now(status)
            }
            Ok(Some(child)) => {
                drop(link);
                if let Some(refusals) = &self.refusals {
                    refusals.forget(&session.state.connection.borrow().id.borrow());
                }
                let (machine, _step) = halted;
                let gone = Gone {
                    child,
                    _state: session.state.clone(),
                    _belongings: self
                        .stage
                        .as_ref()
                        .and_then(|stage| stage.leave(session).ok().flatten()),
                    _client: session.take_client(),
                    _machine: machine,
                };
                self.open.gone.borrow_mut().push(gone);
                self.link.left(id, Some(child));
                None
            }
            Err(error) => {
                tracing::error!("cannot fork for a session: {error}; it goes on where it is");
                self.link.left(id, None);
                Some(halted)
            }
        }
    }

    /// The child's life; gives its exit status. What belongs to the other sessions stays in
    /// memory, untouched: it is the parent's.
    fn be_child(self: &Rc<Self>, session: &Rc<Session>, halted: Halted, link: WorkerLink) -> i32 {
        // Never dropped: their descriptors are closed below, by number.
        std::mem::forget((self.clone(), session.clone()));
        let Ok(socket) = session.transport.duplicate() else {
            return 1;
        };
        let mut theirs = self.open.descriptors();
        theirs.push(self.link.descriptor());
        server::close_forgotten(&theirs);
        link.attach_page();
        let client = session.state.connection.borrow().clone();
        let client = client.remote_ip.borrow().clone().unwrap_or_default();
        let client = String::from_utf8_lossy(&client).into_owned();
        server::set_title(&format!("{}{client}", server::SESSION_TITLE));
        match self.go_on_in_child(session, socket, halted, link) {
            Ok(()) => 0,
            Err(error) => {
                tracing::error!("a session's own process could not start: {error}");
                1
            }
        }
    }

    fn go_on_in_child(
        &self,
        session: &Rc<Session>,
        socket: OwnedFd,
        halted: Halted,
        link: WorkerLink,
    ) -> std::io::Result<()> {
        let null = open_null()?;
        let stage = self.stage.as_ref();
        let stage = stage.map(|stage| Rc::new(Stage::alone(stage, null)));
        let refusals = self.refusals.clone();
        if let Some(refusals) = &refusals {
            refusals.begin_anew();
        }
        let worker = Worker::with_stage(self.loaded.clone(), link, stage, self.rdns, refusals)?;
        let worker = Rc::new(worker.for_one());
        let transport = worker.pump.run(async { Transport::new(socket) })?;
        transport.depend_on(worker.link.clone());
        let seat = worker.seat(session.id, session.number, session.environment());
        let session = session.moved(transport, &worker.loaded, &worker.pump, seat);
        if let (Some(host), Some(stage)) = (&worker.loaded.host, &worker.stage) {
            let port = Rc::new(SessionPort(Rc::downgrade(&session)));
            std::mem::forget(host.present.enter(port));
            stage.put_on(&session);
        }
        worker.pump.run(worker.clone().go_on(session, halted));
        Ok(())
    }

    /// Lets go of the sessions whose processes have ended.
    pub(crate) async fn bury(self: &Rc<Self>) {
        let worker = self.clone();
        let work = move || {
            let ended = |gone: &mut Gone| {
                // An error: it was reaped with what plugins leave behind.
                !matches!(waitpid(Some(gone.child), WaitOptions::NOHANG), Ok(None))
            };
            let gone: Vec<Gone> = worker
                .open
                .gone
                .borrow_mut()
                .extract_if(.., ended)
                .collect();
            let Some(stage) = &worker.stage else {
                return Ok(());
            };
            stage.clear().map_err(|_| Exited)?;
            // Its objects go in its own process.
            release_dropped().map_err(|_| Exited)?;
            forget(gone).map_err(|_| Exited)
        };
        // After an exit there, as after one in a session: the process ends when it can.
        if self.pump.outside(0, work).await.is_err() {
            crate::watch::wear_out();
        }
    }
}
