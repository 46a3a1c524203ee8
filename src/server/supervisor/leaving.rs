//! Sessions that go on in a process of their own, which their worker forks: who may, and when.
//! Why a session asks for it is the worker's business.

#![forbid(unsafe_code)]

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::super::generation::Starting;
use super::super::workers::WorkerRecord;
use super::Supervisor;
use crate::server::ipc::channel::{Channel, Wait};
use crate::server::ipc::message::ToWorker;
use crate::server::process::SharedPage;

/// Who has asked to leave its worker, and the processes that sessions have left for.
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

    /// Whether somebody is seeing to this session's process.
    fn knows(&self, session: u64) -> bool {
        let waits = |waits: &Waits| waits.session == session;
        self.starting.contains_key(&session) || self.waiting.iter().any(waits)
    }

    /// What is held for a session's process, if this worker is the one that forks it.
    fn take(&mut self, number: u64, session: u64) -> Option<Starting> {
        match self.starting.entry(session) {
            Entry::Occupied(entry) if entry.get().0 == number => Some(entry.remove().1),
            _ => None,
        }
    }

    /// A session of this worker's has ended: it leaves no more.
    pub(super) fn over(&mut self, number: u64, session: u64) {
        drop(self.take(number, session));
        let other = |waits: &Waits| (waits.worker, waits.session) != (number, session);
        self.waiting.retain(other);
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
        // Each asks once at a time.
        if self.leaving.knows(session) || self.answer_alone(number, session, must) {
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
        let Some(starting) = self.leaving.take(number, session) else {
            return;
        };
        let events = self.for_worker();
        let Some(parent) = self.workers.get_mut(number) else {
            return;
        };
        let may = |pidfd| self.user.may_be_worker(pid, pidfd);
        if !is_child(pid, parent.pid) || !pidfd.as_ref().is_none_or(may) {
            let worker = parent.pid;
            return tracing::error!("worker {worker} says that it forked {pid}, which it did not");
        }
        let (generation, names) = (parent.generation, parent.names.clone());
        // Without a pidfd (descriptors have run out) the link closes here, and the process ends.
        let made = pidfd
            .ok_or_else(|| io::Error::other("its pidfd did not come"))
            .and_then(|pidfd| {
                let names = names.clone();
                WorkerRecord::new(
                    self.next_worker,
                    generation,
                    pid,
                    pidfd,
                    starting,
                    names,
                    events,
                )
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
    pub(super) fn has_stayed(&mut self, number: u64, session: u64) {
        if self.leaving.take(number, session).is_some() {
            self.let_leave();
        }
    }

    /// A process has ended: what it has asked for is nobody's, and who has forked it is told.
    pub(super) fn gone_with_sessions(&mut self, number: u64, gone: &WorkerRecord) {
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

/// Whether a process is another one's child, as a worker has said. What cannot be seen any more, as one
/// of them has ended, is believed.
fn is_child(pid: i32, parent: i32) -> bool {
    let Some((_, found)) = state(pid) else {
        return pid > 0;
    };
    let gone = || state(parent).is_none_or(|(state, _)| state == "Z" || state == "X");
    found == parent || gone()
}

/// How a process is, and its parent.
fn state(pid: i32) -> Option<(String, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind its name, which may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting() -> Starting {
        let memory = SharedPage::create().unwrap();
        Starting {
            link: Channel::pair().unwrap().0,
            page: SharedPage::map(&memory).unwrap(),
        }
    }

    #[test]
    fn only_the_worker_that_forks_for_a_session_says_what_has_become_of_that() {
        let mut leaving = Leaving::default();
        leaving.starting.insert(7, (1, starting()));
        assert!(leaving.take(2, 7).is_none());
        leaving.over(2, 7);
        assert!(leaving.knows(7));
        assert!(leaving.take(1, 7).is_some());
        assert!(!leaving.knows(7) && leaving.take(1, 7).is_none());
    }

    #[test]
    fn a_session_that_is_over_waits_for_no_process() {
        let mut leaving = Leaving::default();
        leaving.starting.insert(7, (1, starting()));
        for (worker, session) in [(1, 8), (2, 9)] {
            leaving.waiting.push_back(Waits {
                worker,
                session,
                until: None,
            });
        }
        leaving.over(1, 7);
        leaving.over(1, 8);
        leaving.over(1, 9);
        assert_eq!(leaving.starting(), 0);
        assert!(!leaving.knows(8) && leaving.knows(9));
    }

    #[test]
    fn a_process_is_its_parent_s_child_and_nobody_else_s() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let (pid, me) = (child.id() as i32, std::process::id() as i32);
        let parent = std::os::unix::process::parent_id() as i32;
        assert!(is_child(pid, me));
        assert!(!is_child(pid, parent));
        assert!(!is_child(1, me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_child(pid, parent));
    }
}
