//! The worker's side of its link to the supervisor: sessions come in, ends of sessions go out.
//! What a session is, and the runtime it runs in, is the engine's.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::channel::{Channel, MAX_MESSAGE, Received, Wait};
use super::message::{FromWorker, ToWorker};
use super::process;

/// A session that the supervisor gives to this worker.
#[derive(Debug)]
pub struct Incoming {
    /// The client's socket, in blocking mode. The supervisor holds a duplicate until `done` or
    /// longer: end the session with shutdown(2), closing alone does not reach the client.
    pub socket: OwnedFd,
    pub session: u64,
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
    pub(super) fn new(channel: Channel) -> WorkerLink {
        WorkerLink(channel)
    }

    /// The link for use in a tokio runtime; must be called inside one.
    pub fn into_async(self) -> io::Result<AsyncLink> {
        Ok(AsyncLink {
            channel: process::readiness(self.0, Interest::READABLE)?,
            buffer: RefCell::new(vec![0; MAX_MESSAGE]),
            sessions: RefCell::default(),
            stop: Cell::new(false),
        })
    }
}

/// The link in a worker's runtime. All methods take `&self`: one task may wait for the next
/// session while others run sessions.
#[derive(Debug)]
pub struct AsyncLink {
    channel: AsyncFd<Channel>,
    buffer: RefCell<Vec<u8>>,
    sessions: RefCell<VecDeque<Incoming>>,
    stop: Cell<bool>,
}

impl AsyncLink {
    /// The next session; `None` when no other will come (told to stop, retired, or the supervisor
    /// is gone). The worker is then to end.
    pub async fn next(&self) -> Option<Incoming> {
        loop {
            let waiting = self.sessions.borrow_mut().pop_front();
            if waiting.is_some() {
                return waiting;
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

    /// Tells the supervisor that a session is over. What remains may be to shut the client's
    /// socket down, but no more than that.
    pub fn done(&self, session: u64, end: SessionEnd) {
        if !end.reuse {
            self.stop.set(true);
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

    fn tell(&self, message: &FromWorker) {
        // The messages are few and small, so the only failure is that the supervisor is gone.
        if self
            .channel
            .get_ref()
            .send(&message.encode(), None, Wait::No)
            .is_err()
        {
            self.stop.set(true);
        }
    }

    /// Waits until there is something to read and takes at most one message.
    async fn receive(&self) {
        let Ok(mut ready) = self.channel.readable().await else {
            self.stop.set(true);
            return;
        };
        let mut buffer = self.buffer.borrow_mut();
        match ready.try_io(|channel| channel.get_ref().receive(&mut buffer, Wait::No)) {
            Ok(Ok(Received::Message { len, descriptor })) => {
                match (ToWorker::decode(&buffer[..len]), descriptor) {
                    (Some(ToWorker::Session(given)), Some(socket)) => {
                        self.sessions.borrow_mut().push_back(Incoming {
                            socket,
                            session: given.session,
                            peer: given.peer,
                            local: given.local,
                            open: given.open,
                            limit: given.limit,
                            child_addrs: given.child_addrs,
                            max_from_ip: given.max_from_ip,
                        });
                    }
                    // A session without its socket happens when this process is out of
                    // descriptors; it ends, and the supervisor answers the client.
                    _ => self.stop.set(true),
                }
            }
            Ok(Ok(Received::Closed) | Err(_)) => self.stop.set(true),
            // Another task of this worker was faster.
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Assignment;
    use super::*;
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
            assert_eq!(link.next().await.unwrap().session, 1);
            assert_eq!(link.next().await.unwrap().session, 2);
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
            assert_eq!(link.next().await.unwrap().session, 1);
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
