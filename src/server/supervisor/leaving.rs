//! Sessions that go on in a process of their own, which their worker forks: who may, and when.
//! Why a session asks for it is the worker's business.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::super::channel::{Channel, Wait};
use super::super::generation::Starting;
use super::super::message::ToWorker;
use super::super::process::SharedPage;
use super::super::workers::Worker;
use super::Supervisor;

/// See the module's description.
#[derive(Default)]
pub(super) struct Leaving {
    /// By their sessions: the processes that are being forked, and by which worker.
    starting: HashMap<u64, (u64, Starting)>,
    waiting: VecDeque<Waits>,
}

/// A session that waits for a process.
struct Waits {
    worker: u64,
    session: u64,
    /// When it stays where it is, if it may.
    until: Option<Instant>,
}

/// How long a session in a hook that runs long, or a client that comes to one, waits for a process:
/// in a shared worker it would keep the others waiting, and where many do that, no process becomes
/// free as fast as new ones are needed.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

impl Leaving {
    pub(super) fn starting(&self) -> usize {
        self.starting.len()
    }

    /// Whether sessions wait for a process to become free, or to be the last one of theirs.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When `let_leave` must be called next.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|waits| waits.until).min()
    }
}

impl Supervisor<'_> {
    /// A session would keep the others of its worker waiting; one that `must` leave would do so for
    /// as long as its client likes.
    pub(super) fn asks_to_leave(&mut self, number: u64, session: u64, must: bool) {
        if self.answer_alone(number, session, must) {
            return;
        }
        // Without any it would wait for ever, and others that must leave the same worker with it.
        let none_will_come = self.settings.extra_processes == 0;
        if self.free_processes() > 0 || (must && none_will_come) {
            return self.send_away(number, session);
        }
        if must {
            tracing::info!(
                "a session waits for a process of its own: all {} are in use (--extra-processes)",
                self.settings.extra_processes
            );
        }
        self.leaving.waiting.push_back(Waits {
            worker: number,
            session,
            until: (!must).then(|| Instant::now() + PATIENCE),
        });
    }

    /// Gives what has become free to those that wait for it.
    pub(super) fn let_leave(&mut self) {
        let now = Instant::now();
        for waits in std::mem::take(&mut self.leaving.waiting) {
            let Waits {
                worker, session, ..
            } = waits;
            if self.answer_alone(worker, session, waits.until.is_none()) {
                continue;
            }
            if self.free_processes() > 0 {
                self.send_away(worker, session);
            } else if waits.until.is_some_and(|until| until <= now) {
                self.tell_stay(worker, session, false);
            } else {
                self.leaving.waiting.push_back(waits);
            }
        }
    }

    /// Where the session is the only one of its worker, that is its process: to its end, if it
    /// `must` have one.
    fn answer_alone(&mut self, number: u64, session: u64, must: bool) -> bool {
        let Some(worker) = self.workers.get_mut(number) else {
            return true;
        };
        // Its end was found before its question was heard.
        if !worker.sessions.contains(&session) {
            return true;
        }
        let alone = worker.sessions == [session];
        if alone {
            worker.alone = must.then_some(session);
            self.tell_stay(number, session, must);
        }
        alone
    }

    fn tell_stay(&mut self, number: u64, session: u64, alone: bool) {
        if let Some(worker) = self.workers.get_mut(number) {
            // One that cannot be told is dying already.
            let _ = worker.tell(&ToWorker::Stay { session, alone }, None);
        }
    }

    fn send_away(&mut self, number: u64, session: u64) {
        match self.prepare(number, session) {
            Ok(starting) => {
                self.leaving.starting.insert(session, (number, starting));
            }
            Err(error) => {
                tracing::error!("a session cannot have a process of its own: {error}");
                self.tell_stay(number, session, false);
            }
        }
    }

    /// What the process will need, which goes to its worker.
    fn prepare(&mut self, number: u64, session: u64) -> io::Result<Starting> {
        let (ours, theirs) = Channel::pair()?;
        let memory = SharedPage::create()?;
        let page = SharedPage::map(&memory)?;
        ours.send(&ToWorker::Page.encode(), Some(memory.as_fd()), Wait::No)?;
        if let Some(worker) = self.workers.get_mut(number) {
            worker.tell(&ToWorker::Leave { session }, Some(theirs.as_fd()))?;
        }
        Ok(Starting { link: ours, page })
    }

    /// The worker has forked.
    pub(super) fn has_left(&mut self, number: u64, session: u64, pid: i32, pidfd: Option<OwnedFd>) {
        let Some((_, starting)) = self.leaving.starting.remove(&session) else {
            return;
        };
        let Some(parent) = self.workers.get_mut(number) else {
            return;
        };
        let (generation, names) = (parent.generation, parent.names.clone());
        // Without a pidfd (descriptors have run out) the link closes here, and the process ends.
        let made = pidfd
            .ok_or_else(|| io::Error::other("its pidfd did not come"))
            .and_then(|pidfd| {
                let (child, events) = (self.next_worker, self.events.clone());
                let names = names.clone();
                Worker::new(child, generation, pid, pidfd, starting, names, events)
            });
        let mut child = match made {
            Ok(child) => child,
            Err(error) => return tracing::error!("cannot watch process {pid}: {error}"),
        };
        tracing::debug!("worker {number} forked {pid} for a session");
        child.forked_by = Some(number);
        child.alone = Some(session);
        child.sessions.push(session);
        child.watch(self.next_worker, &self.events);
        self.workers.add_busy(self.next_worker, child);
        self.next_worker += 1;
        self.counters.sessions_forked += 1;
        self.workers.lose(number, session, true);
        self.let_leave();
        self.place_waiting();
    }

    /// The worker could not fork.
    pub(super) fn has_stayed(&mut self, session: u64) {
        self.leaving.starting.remove(&session);
        self.let_leave();
    }

    /// A process has ended: what it has asked for is nobody's, and who has forked it is told.
    pub(super) fn gone_with_sessions(&mut self, number: u64, gone: &Worker) {
        let leaving = &mut self.leaving;
        leaving.starting.retain(|_, (worker, _)| *worker != number);
        leaving.waiting.retain(|waits| waits.worker != number);
        if let Some(parent) = gone.forked_by
            && let Some(parent) = self.workers.get_mut(parent)
        {
            // One that cannot be told is dying already.
            let _ = parent.tell(&ToWorker::ChildEnded, None);
        }
    }
}
