//! The worker's side of its link to the supervisor: sessions come in, ends of sessions go out.
//! What a session is, and the runtime it runs in, is the engine's.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};

use super::channel::{Channel, MAX_MESSAGE, Received, Wait};
use super::message::{FromWorker, ToWorker};
use crate::server::number;
use crate::server::process;
use crate::server::refusal::RefusalReport;

/// A session that the supervisor gives to this worker.
#[derive(Debug)]
pub struct Incoming {
    /// The client's socket, in blocking mode. The supervisor holds a duplicate until `done` or
    /// longer: end the session with shutdown(2), closing alone does not reach the client.
    pub socket: OwnedFd,
    pub session: u64,
    /// What people and plugins know the session by: above all process ids.
    pub number: u32,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Sessions open before this one, and how many may be (0: any number).
    pub open: u32,
    pub limit: u32,
    /// The addresses of the sessions now open without this one; only filled in where the loaded
    /// plugins hook pre-connection.
    pub child_addrs: Vec<IpAddr>,
    pub max_from_ip: u32,
}

/// What comes to a worker.
#[derive(Debug)]
pub enum Given {
    Session(Incoming),
    /// A process that was forked for a session has ended.
    ChildEnded,
    /// A line of the service at a level, for the logging plugins.
    Line(u8, String),
}

/// Where a session that asked for a process of its own goes on.
#[derive(Debug)]
pub enum GoOn {
    /// In a process to be forked for it, which has this link.
    There(WorkerLink),
    Here {
        /// No other session will come as long as it lasts.
        alone: bool,
    },
}

/// How a session ended for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// Whether this worker may take another session.
    pub reuse: bool,
}

/// The link as a fresh worker has it, before there is a runtime.
#[derive(Debug)]
pub struct WorkerLink(Channel);

impl WorkerLink {
    pub(in crate::server) fn new(channel: Channel) -> WorkerLink {
        WorkerLink(channel)
    }

    /// Takes the page, which the supervisor has sent before this process was forked. False where
    /// that fails: then nothing is written down, and nobody watches.
    pub fn attach_page(&self) -> bool {
        let mut buffer = [0; 64];
        let page = match self.0.receive(&mut buffer, Wait::No) {
            Ok(Received::Message { len, descriptor })
                if ToWorker::decode(&buffer[..len]) == Some(ToWorker::Page) =>
            {
                descriptor.map(|memory| process::SharedPage::map(&memory))
            }
            _ => None,
        };
        match page {
            Some(Ok(page)) => {
                crate::watch::attach(page.keep());
                return true;
            }
            Some(Err(error)) => tracing::error!("a worker has no page: {error}"),
            None => tracing::error!("a worker has no page: none was sent"),
        }
        false
    }

    /// The link for use in a tokio runtime; must be called inside one.
    pub fn into_async(self) -> io::Result<AsyncLink> {
        Ok(AsyncLink {
            channel: process::readiness(self.0, Interest::READABLE)?,
            buffer: RefCell::new(vec![0; MAX_MESSAGE]),
            given: RefCell::default(),
            stop: Cell::new(false),
            lost: Cell::new(false),
            losing: Notify::new(),
            long: Cell::new(None),
            answers: RefCell::default(),
            unheard: Cell::new(false),
            hearing: Notify::new(),
        })
    }
}

/// The link in a worker's runtime. All methods take `&self`: one task may wait for the next
/// session while others run sessions.
#[derive(Debug)]
pub struct AsyncLink {
    channel: AsyncFd<Channel>,
    buffer: RefCell<Vec<u8>>,
    given: RefCell<VecDeque<Given>>,
    stop: Cell<bool>,
    /// Whether the supervisor is gone, or does not say what can be understood.
    lost: Cell<bool>,
    /// Called when that is found.
    losing: Notify,
    /// The hooks that run long, a bit for each, where this worker may have several sessions.
    long: Cell<Option<u64>>,
    /// Sessions that have asked for a process of their own.
    answers: RefCell<HashMap<u64, oneshot::Sender<GoOn>>>,
    /// A report of refusals is on its way.
    unheard: Cell<bool>,
    /// Called when it has come.
    hearing: Notify,
}

impl AsyncLink {
    /// The next session; `None` when no other will come (told to stop, retired, or the supervisor
    /// is gone). The worker is then to end with those that it has.
    pub async fn next(&self) -> Option<Given> {
        loop {
            let waiting = self.given.borrow_mut().pop_front();
            if let Some(given) = waiting {
                if let Given::Session(incoming) = &given {
                    crate::watch::begin_session(incoming.session);
                }
                return Some(given);
            }
            if self.stop.get() {
                return None;
            }
            self.receive().await;
        }
    }

    /// Returns when the sessions that are open are to end soon: the service stops, or the
    /// supervisor is gone.
    pub async fn stopped(&self) {
        while !self.stop.get() {
            self.receive().await;
        }
    }

    /// Sees to the link while nobody is in `next`, and returns when the supervisor is gone.
    pub async fn keep(&self) {
        while !self.lost.get() {
            self.receive().await;
        }
    }

    /// Returns when the supervisor is gone, which somebody in `next` or `keep` finds: nobody would
    /// end the sessions that are open, or count them.
    pub async fn lost(&self) {
        let told = self.losing.notified();
        if !self.lost.get() {
            told.await;
        }
    }

    /// Whether the supervisor is known to be gone.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Whether this worker may have several sessions at a time.
    pub fn is_shared(&self) -> bool {
        self.long.get().is_some()
    }

    /// Whether a hook, by its number, is seen to run long.
    pub fn runs_long(&self, hook: u8) -> bool {
        let long = self.long.get().unwrap_or_default();
        hook < 64 && long >> hook & 1 == 1
    }

    /// Asks for a process of its own for a session. Where it `must` have one, this waits until
    /// there is one, unless no other session is here. Somebody else has to be in `next`.
    pub async fn ask_to_leave(&self, session: u64, must: bool) -> GoOn {
        let (sender, answer) = oneshot::channel();
        self.answers.borrow_mut().insert(session, sender);
        self.tell(&FromWorker::Asks { session, must });
        answer.await.unwrap_or(GoOn::Here { alone: false })
    }

    /// Tells the supervisor that a session goes on in a process that was forked for it, or, without
    /// one, that it stays.
    pub fn left(&self, session: u64, child: Option<Pid>) {
        let pidfd = child.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let message = match (child, &pidfd) {
            (Some(pid), Some(_)) => FromWorker::Left {
                session,
                pid: pid.as_raw_nonzero().get(),
            },
            // One that could neither be watched nor killed ends as soon as it finds its link
            // closed.
            _ => FromWorker::Stayed { session },
        };
        self.tell_with(&message, pidfd.as_ref().map(AsFd::as_fd));
    }

    /// The link's descriptor, for a process that was forked from this one and is to close it.
    pub fn descriptor(&self) -> RawFd {
        self.channel.get_ref().as_raw_fd()
    }

    /// Lets the supervisor know that a session is over. What remains may be to shut the client's
    /// socket down, but no more than that.
    pub fn done(&self, session: u64, end: SessionEnd) {
        if !end.reuse {
            self.stop.set(true);
        } else if crate::watch::end_session(session) {
            return;
        }
        self.tell(&FromWorker::Done {
            session,
            reuse: end.reuse,
        });
    }

    /// Tells the supervisor that the session's socket carries TLS from now on, so that it writes
    /// no 421 in clear if this worker dies.
    pub fn tls_started(&self, session: u64) {
        self.tell(&FromWorker::Secured { session });
    }

    /// Tells the supervisor what was refused. Who goes on waits for `heard` before: reports that have not been heard
    /// would take the room of words that have to come through. The last one has it.
    pub fn refused(&self, report: RefusalReport) {
        self.unheard.set(true);
        self.tell(&FromWorker::Refused { report });
    }

    /// Waits until the last report was heard. Somebody else has to be in `next` or `keep`.
    pub async fn heard(&self) {
        while self.unheard.get() {
            self.hearing.notified().await;
        }
    }

    fn tell(&self, message: &FromWorker) {
        self.tell_with(message, None);
    }

    fn tell_with(&self, message: &FromWorker, descriptor: Option<BorrowedFd<'_>>) {
        // The messages are few and small, so the only failure is that the supervisor is gone.
        if self
            .channel
            .get_ref()
            .send(&message.encode(), descriptor, Wait::No)
            .is_err()
        {
            self.cut_off();
        }
    }

    /// Waits until there is something to read and takes at most one message.
    async fn receive(&self) {
        let Ok(mut ready) = self.channel.readable().await else {
            self.cut_off();
            return;
        };
        let mut buffer = self.buffer.borrow_mut();
        match ready.try_io(|channel| channel.get_ref().receive(&mut buffer, Wait::No)) {
            Ok(Ok(Received::Message { len, descriptor })) => {
                let message = ToWorker::decode(&buffer[..len]);
                drop(buffer);
                if self.take(message, descriptor).is_none() {
                    self.cut_off();
                }
            }
            Ok(Ok(Received::Closed) | Err(_)) => self.cut_off(),
            // Another task of this worker was faster.
            Err(_would_block) => {}
        }
    }

    /// `None`: no message that can be obeyed, and so the last.
    fn take(&self, message: Option<ToWorker>, descriptor: Option<OwnedFd>) -> Option<()> {
        match message? {
            // A session without its socket happens when this process is out of descriptors; it
            // ends, and the supervisor answers the client.
            ToWorker::Session(given) => {
                let incoming = Incoming {
                    socket: descriptor?,
                    session: given.session,
                    number: number::of_session(given.session),
                    peer: given.peer,
                    local: given.local,
                    open: given.open,
                    limit: given.limit,
                    child_addrs: given.child_addrs,
                    max_from_ip: given.max_from_ip,
                };
                self.given.borrow_mut().push_back(Given::Session(incoming));
            }
            ToWorker::ChildEnded => self.given.borrow_mut().push_back(Given::ChildEnded),
            ToWorker::Line { level, text } => {
                let line = Given::Line(level, text);
                self.given.borrow_mut().push_back(line);
            }
            ToWorker::Shared { long } => self.long.set(Some(long)),
            ToWorker::Heard => {
                self.unheard.set(false);
                self.hearing.notify_one();
            }
            ToWorker::Leave { session } => {
                let link = descriptor.and_then(Channel::from_descriptor);
                match link {
                    Some(link) => self.answer(session, GoOn::There(WorkerLink(link))),
                    None => {
                        self.left(session, None);
                        self.answer(session, GoOn::Here { alone: false });
                    }
                }
            }
            ToWorker::Stay { session, alone } => self.answer(session, GoOn::Here { alone }),
            ToWorker::Stop => self.stop.set(true),
            ToWorker::Page => return None,
        }
        Some(())
    }

    fn answer(&self, session: u64, answer: GoOn) {
        if let Some(waiting) = self.answers.borrow_mut().remove(&session) {
            // The session may have ended meanwhile; then so has what was made for it.
            if let Err(GoOn::There(_)) = waiting.send(answer) {
                self.left(session, None);
            }
        }
    }

    /// The supervisor is gone, or does not say what can be understood.
    fn cut_off(&self) {
        self.stop.set(true);
        self.answers.borrow_mut().clear();
        self.lost.set(true);
        self.losing.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ipc::message::Assignment;
    use std::os::fd::AsFd;

    fn session(number: u64) -> ToWorker {
        ToWorker::Session(Assignment {
            session: number,
            peer: "127.0.0.1:1".parse().unwrap(),
            local: "127.0.0.1:25".parse().unwrap(),
            open: 0,
            limit: 0,
            max_from_ip: 0,
            child_addrs: vec![],
        })
    }

    fn number(given: Option<Given>) -> u64 {
        match given {
            Some(Given::Session(incoming)) => incoming.session,
            other => panic!("no session: {other:?}"),
        }
    }

    fn in_runtime(test: impl AsyncFnOnce(Channel, AsyncLink)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (ours, theirs) = Channel::pair().unwrap();
            test(ours, WorkerLink::new(theirs).into_async().unwrap()).await;
        });
    }

    #[test]
    fn sessions_come_in_order_and_then_the_end() {
        in_runtime(async |supervisor, link| {
            let null = std::fs::File::open("/dev/null").unwrap();
            for number in [1, 2] {
                supervisor
                    .send(&session(number).encode(), Some(null.as_fd()), Wait::No)
                    .unwrap();
            }
            assert_eq!(number(link.next().await), 1);
            assert_eq!(number(link.next().await), 2);
            drop(supervisor);
            assert!(link.next().await.is_none());
        });
    }

    #[test]
    fn a_session_that_the_stop_watcher_read_is_not_lost() {
        in_runtime(async |supervisor, link| {
            let null = std::fs::File::open("/dev/null").unwrap();
            supervisor
                .send(&session(1).encode(), Some(null.as_fd()), Wait::No)
                .unwrap();
            supervisor
                .send(&ToWorker::Stop.encode(), None, Wait::No)
                .unwrap();
            link.stopped().await;
            assert_eq!(number(link.next().await), 1);
            assert!(link.next().await.is_none());
        });
    }

    #[test]
    fn a_worker_that_is_not_to_be_reused_gets_no_next_session() {
        in_runtime(async |supervisor, link| {
            link.done(5, SessionEnd { reuse: false });
            assert!(link.next().await.is_none());
            let mut buffer = [0; 64];
            let Received::Message { len, .. } = supervisor.receive(&mut buffer, Wait::No).unwrap()
            else {
                panic!("no message")
            };
            assert_eq!(
                FromWorker::decode(&buffer[..len]),
                Some(FromWorker::Done {
                    session: 5,
                    reuse: false
                })
            );
        });
    }
}
