//! The ends of sessions and of workers: what is found of the former and told, what becomes of a
//! dead worker's clients, and what the log says.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::super::workers::WorkerRecord;
use super::upgrading::Succession;
use super::{Client, Placed, Supervisor, watching};
use crate::server::event::{Event, Word};
use crate::server::front::clients::{linger, refuse};
use crate::server::front::listen::Connection;
use crate::server::ipc::message::{FromWorker, ProcessEnd};

/// A worker that dies younger than this without a session died at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// So many workers may die before they begin with a client, until that gets a 421.
const TRIES: u8 = 3;

const WORKER_DIED: &str = "421 4.3.0 Internal error, closing connection\r\n";

impl Supervisor<'_> {
    /// Takes the ends of sessions that no worker has told of: each wakeup for one would cost more
    /// than all else that is done here for a connection.
    pub(super) fn take_ends(&mut self) {
        for (worker, session) in self.workers.found_ends() {
            let done = FromWorker::Done {
                session,
                reuse: true,
            };
            self.worker_says(worker, (done, None));
        }
    }

    /// Has the ends of sessions told at once where something waits for them. Else they are found
    /// at the next connection, or when the watchdog looks.
    pub(super) fn ask_for_ends(&mut self) {
        let waits = !self.waiting.is_empty()
            || self.leaving.is_waited_for()
            || self.places.are_few(self.listeners.len())
            || self.stop.is_some()
            || self.succession != Succession::None
            || self.generations.len() > 1;
        if self.workers.tell_ends(waits) {
            self.take_ends();
        }
    }

    /// The clients of a worker that has died before it began their sessions, for instance in its
    /// post-fork hook, wait for another one, unless that has happened to them too often: they have
    /// seen nothing yet. Returns how many.
    fn take_back(&mut self, gone: &WorkerRecord) -> usize {
        if gone.forked_by.is_some() || self.stop.is_some() {
            return 0;
        }
        let mut taken = 0;
        for number in gone.sessions.iter().rev() {
            let waits_again = |session: &Placed| session.tries < TRIES && session.socket.is_some();
            if gone.has_begun(*number) || !self.sessions.get(number).is_some_and(waits_again) {
                continue;
            }
            if let Some(Placed {
                socket: Some(socket),
                peer,
                local,
                counted,
                permit,
                since,
                tries,
            }) = self.close_session(*number)
            {
                taken += 1;
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
                    tries: tries + 1,
                    waited: true,
                });
            }
        }
        taken
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
        last_words: Vec<Word>,
    ) {
        for message in last_words {
            self.worker_says(number, message);
        }
        // What it has written down is there still.
        self.take_ends();
        let Some(worker) = self.workers.remove(number) else {
            return;
        };
        watching::add(&mut self.past, &worker);
        let culprit = match self.is_killing() {
            true => None,
            false => self.blame(&worker),
        };
        self.look_at_ledgers();
        self.gone_with_sessions(number, &worker);
        let pid = worker.pid;
        let running = match culprit {
            Some((plugin, hook)) => format!(" (plugin {plugin} was running the {hook} hook)"),
            None => String::new(),
        };
        let how = match end {
            Some(ProcessEnd::Status(status)) => format!("ended with status {status}"),
            Some(ProcessEnd::Signal(signal)) => format!("was killed by signal {signal}"),
            None if worker.forked_by.is_some() => "ended".to_string(),
            None => "ended after its zygote".to_string(),
        };
        if end.is_none() {
            self.orphans.push(pid);
            self.clean_up_orphans();
        }
        let taken_back = self.take_back(&worker);
        let mut served_someone = false;
        for session in &worker.sessions {
            let Some(session) = self.close_session(*session) else {
                continue;
            };
            served_someone = true;
            self.counters.sessions_lost += 1;
            let ip = session.peer.ip();
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
        } else if taken_back > 0 {
            tracing::error!(
                "worker {pid} {how} before it began with {taken_back} clients{running}"
            );
            self.relay.lost(number);
        } else if !served_someone {
            tracing::error!("idle worker {pid} {how}{running}");
            self.relay.lost(number);
        }
        let unasked = !in_order && self.stop.is_none();
        // One that has kept clients waiting for nothing counts, however long that took.
        let early = worker.born.elapsed() < AT_ONCE || taken_back > 0;
        if unasked && !served_someone && worker.served == 0 && early {
            let wait = self.forks.failed();
            tracing::error!("worker {pid} died at once; the next is forked in {wait:?}");
        }
        self.drop_unused(worker.generation);
        self.let_leave();
        self.place_waiting();
    }
}
