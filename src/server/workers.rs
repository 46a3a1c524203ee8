//! The workers as the supervisor holds them: who is idle, who runs what, how they are told
//! things and how they end. Which session goes where, and when to fork, is the supervisor's.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::UnboundedSender;

use super::event::{Event, Word};
use super::facts::Names;
use super::generation::Starting;
use crate::server::ipc::bounded::Bounded;
use crate::server::ipc::channel::{Channel, MAX_MESSAGE, Received, Wait};
use crate::server::ipc::message::{Assignment, FromWorker, ToWorker};
use crate::server::process::{self, SharedPage};
use crate::watch::{Page, now};

/// Perl code that has run for longer than this makes a session's clients wait.
pub(super) const LONG: Duration = Duration::from_millis(50);

/// How long it takes until a session that was given to a worker shows on its page.
const BEGIN: Duration = Duration::from_millis(5);

pub(super) struct WorkerRecord {
    pub(super) generation: u64,
    pub(super) pid: i32,
    pidfd: Rc<OwnedFd>,
    link: Rc<AsyncFd<Channel>>,
    page: SharedPage,
    /// What the numbers on the page stand for.
    pub(super) names: Rc<Names>,
    pub(super) sessions: Vec<u64>,
    /// When it was given the last one.
    given: Instant,
    /// The session that is to have it for itself.
    pub(super) alone: Option<u64>,
    /// Forked for one session: the worker from which that came.
    pub(super) forked_by: Option<u64>,
    pub(super) served: u32,
    pub(super) born: Instant,
    /// It was told to end, or said that it will.
    pub(super) dismissed: bool,
    /// Another one stands in for it already, while it ends its sessions.
    replaced: bool,
    /// Its link is closed from its side: no session can be given to it.
    broken: bool,
}

impl WorkerRecord {
    pub(super) fn new(
        number: u64,
        generation: u64,
        pid: i32,
        pidfd: OwnedFd,
        starting: Starting,
        names: Rc<Names>,
        events: Bounded<Event>,
    ) -> io::Result<WorkerRecord> {
        let Starting { link, page } = starting;
        let link = Rc::new(process::readiness(link, Interest::READABLE)?);
        tokio::task::spawn_local(listen(number, link.clone(), events));
        Ok(WorkerRecord {
            generation,
            pid,
            pidfd: Rc::new(pidfd),
            link,
            page,
            names,
            sessions: Vec::new(),
            given: Instant::now(),
            alone: None,
            forked_by: None,
            served: 0,
            born: Instant::now(),
            dismissed: false,
            replaced: false,
            broken: false,
        })
    }

    /// What it has written down of its plugins.
    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    /// Whether it has begun with this session, which was given to it. One that was forked for its
    /// session has gone on with it.
    pub(super) fn has_begun(&self, session: u64) -> bool {
        self.forked_by.is_some() || self.page().has_begun(session)
    }

    /// Sends it a signal. It may have ended just now.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&*self.pidfd, signal);
    }

    /// Reports its end by its pidfd, as no zygote does.
    pub(super) fn watch(&self, number: u64, events: &UnboundedSender<Event>) {
        let (pidfd, events) = (self.pidfd.clone(), events.clone());
        tokio::task::spawn_local(async move {
            if let Ok(pidfd) = process::readiness(pidfd, Interest::READABLE)
                && pidfd.readable().await.is_ok()
            {
                let _ = events.send(Event::WorkerEnded { worker: number });
            }
        });
    }

    /// Whether it may be given one more session.
    fn can_take(&self, most: usize) -> bool {
        let goes_on = !self.dismissed && !self.broken;
        let shared = self.forked_by.is_none() && self.alone.is_none();
        goes_on && shared && self.sessions.len() < most
    }

    /// Whether it is one of the workers that there may be at a time.
    fn counts(&self) -> bool {
        self.forked_by.is_none() && !self.replaced
    }

    pub(super) fn tell(
        &self,
        message: &ToWorker,
        socket: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        self.link
            .get_ref()
            .send(&message.encode(), socket, Wait::No)
    }

    /// Messages that are still in the link.
    fn last_words(&self) -> Vec<Word> {
        let mut words = Vec::new();
        while let Ok(Heard::Word(word)) = hear(self.link.get_ref()) {
            words.extend(word);
        }
        words
    }
}

/// What comes from a link.
enum Heard {
    /// None: nothing that a worker says.
    Word(Option<Word>),
    Closed,
}

thread_local! {
    /// For words on their way in, one after the other. Reports of refusals are long.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_MESSAGE]);
}

fn hear(link: &Channel) -> io::Result<Heard> {
    BUFFER.with_borrow_mut(|buffer| {
        Ok(match link.receive(buffer, Wait::No)? {
            Received::Message { len, descriptor } => {
                let message = FromWorker::decode(buffer.get(..len).unwrap_or_default());
                Heard::Word(message.map(|message| (message, descriptor)))
            }
            Received::Closed => Heard::Closed,
        })
    })
}

/// Passes on what a worker says until its link closes.
async fn listen(worker: u64, link: Rc<AsyncFd<Channel>>, bounded: Bounded<Event>) {
    while let Ok(mut ready) = link.readable().await {
        let Some(room) = bounded.room().await else {
            break;
        };
        match ready.try_io(|link| hear(link.get_ref())) {
            Ok(Ok(Heard::Word(Some(word)))) => {
                if bounded
                    .events
                    .send(Event::Worker { worker, word, room })
                    .is_err()
                {
                    return;
                }
            }
            Ok(Ok(Heard::Word(None) | Heard::Closed) | Err(_)) => break,
            Err(_would_block) => {}
        }
    }
    let _ = bounded.events.send(Event::LinkClosed { worker });
}

#[derive(Default)]
pub(super) struct Workers {
    all: HashMap<u64, WorkerRecord>,
    /// Those that can take a session now; the one used last is used next, for its caches.
    idle: Vec<u64>,
    /// They tell each end of a session.
    told: bool,
}

impl Workers {
    pub(super) fn add(&mut self, number: u64, worker: WorkerRecord) {
        worker.page.tell_ends(self.told);
        self.all.insert(number, worker);
        self.idle.push(number);
    }

    /// From now on they tell each end of a session at once, or leave it to be found. True if those
    /// before are to be looked for now.
    pub(super) fn tell_ends(&mut self, at_once: bool) -> bool {
        if self.told == at_once {
            return false;
        }
        self.told = at_once;
        for worker in self.all.values() {
            worker.page.tell_ends(at_once);
        }
        at_once
    }

    /// The sessions that have ended without being told of, each with its worker.
    pub(super) fn found_ends(&self) -> Vec<(u64, u64)> {
        let mut ends = Vec::new();
        for (number, worker) in &self.all {
            // No more than it has: what the page says is the worker's.
            let most = worker.sessions.len();
            let found = std::iter::from_fn(|| worker.page.next_end()).take(most);
            ends.extend(found.map(|session| (*number, session)));
        }
        ends
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &WorkerRecord)> {
        self.all.iter().map(|(number, worker)| (*number, worker))
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut WorkerRecord> {
        self.all.get_mut(&number)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// A process that was forked for a session.
    pub(super) fn add_busy(&mut self, number: u64, worker: WorkerRecord) {
        self.all.insert(number, worker);
    }

    /// Those that are not about to end, without those forked for one session.
    pub(super) fn staying(&self) -> usize {
        let staying = |worker: &&WorkerRecord| !worker.dismissed && worker.forked_by.is_none();
        self.all.values().filter(staying).count()
    }

    /// Those forked for one session.
    pub(super) fn forked(&self) -> usize {
        let forked = |worker: &&WorkerRecord| worker.forked_by.is_some();
        self.all.values().filter(forked).count()
    }

    /// The worker that can take one more session: of those whose Perl code has not run for longer
    /// than this, and has had time to begin for the last session given, the one with the fewest.
    pub(super) fn least_loaded(&self, most: usize, longer: Duration) -> Option<u64> {
        let now = now();
        let can_take = self.all.iter().filter(|(_, worker)| {
            let began = longer >= LONG || worker.given.elapsed() > BEGIN;
            worker.can_take(most) && began
        });
        let waits = can_take.filter(|(_, worker)| !worker.page.is_busy(now, longer));
        let least = waits.min_by_key(|(_, worker)| worker.sessions.len());
        least.map(|(number, _)| *number)
    }

    /// A worker that runs no session now, and may have one.
    pub(super) fn without_session(&self) -> Option<(u64, &WorkerRecord)> {
        let free = |worker: &WorkerRecord| worker.sessions.is_empty() && worker.can_take(1);
        let mut all = self.all.iter().map(|(number, worker)| (*number, worker));
        all.find(|(_, worker)| free(worker))
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) fn of(&self, generation: u64) -> usize {
        self.all
            .values()
            .filter(|worker| worker.generation == generation)
            .count()
    }

    /// Those that were neither forked for one session nor replaced.
    pub(super) fn shared(&self) -> usize {
        self.all.values().filter(|worker| worker.counts()).count()
    }

    /// Those of a generation among them.
    pub(super) fn shared_of(&self, generation: u64) -> usize {
        let counts = |worker: &&WorkerRecord| worker.generation == generation && worker.counts();
        self.all.values().filter(counts).count()
    }

    /// Others are to stand in for these, at once.
    pub(super) fn replace(&mut self, chosen: impl Fn(&WorkerRecord) -> bool) {
        for worker in self.all.values_mut() {
            worker.replaced |= chosen(worker);
        }
        self.dismiss_all(false, chosen);
    }

    /// A worker without sessions.
    pub(super) fn next_idle(&mut self) -> Option<u64> {
        let now = now();
        self.idle.retain(|number| self.all.contains_key(number));
        // One without a session may still be at work on a line of the service.
        let free = |number: &u64| {
            let worker = self.all.get(number);
            worker.is_some_and(|worker| !worker.page.is_busy(now, Duration::ZERO))
        };
        let at = self.idle.iter().rposition(free)?;
        Some(self.idle.remove(at))
    }

    /// Gives a session to a worker; false if it does not take it.
    pub(super) fn assign(
        &mut self,
        number: u64,
        given: Assignment,
        socket: BorrowedFd<'_>,
    ) -> bool {
        let session = given.session;
        let Some(worker) = self.all.get_mut(&number) else {
            return false;
        };
        // One that cannot be told is dying; its end will be reported.
        match worker.tell(&ToWorker::Session(given), Some(socket)) {
            Ok(()) => {
                worker.sessions.push(session);
                worker.given = Instant::now();
            }
            Err(_) => worker.broken = true,
        }
        !worker.broken
    }

    /// A session of this worker is over. It can be given another unless `keep` is false.
    pub(super) fn release(&mut self, number: u64, session: u64, keep: bool) {
        let Some(worker) = self.all.get_mut(&number) else {
            return;
        };
        worker.served = worker.served.saturating_add(1);
        self.lose(number, session, keep);
    }

    /// A session is no more this worker's. It can be given another unless `keep` is false.
    pub(super) fn lose(&mut self, number: u64, session: u64, keep: bool) {
        let Some(worker) = self.all.get_mut(&number) else {
            return;
        };
        worker.sessions.retain(|other| *other != session);
        worker.alone = worker.alone.filter(|other| *other != session);
        if !keep || worker.broken {
            worker.dismissed = true;
        }
        if !worker.sessions.is_empty() {
            return;
        }
        match worker.dismissed {
            true => self.dismiss(number),
            false => self.idle.push(number),
        }
    }

    /// Lets a worker without sessions end.
    pub(super) fn dismiss(&mut self, number: u64) {
        self.idle.retain(|other| *other != number);
        if let Some(worker) = self.all.get_mut(&number) {
            worker.dismissed = true;
            worker.link.get_ref().say_no_more();
        }
    }

    /// Lets idle workers end; asks the others to, if `hurry`, and to take no session more.
    pub(super) fn dismiss_all(&mut self, hurry: bool, chosen: impl Fn(&WorkerRecord) -> bool) {
        let numbers: Vec<u64> = self
            .all
            .iter()
            .filter(|(_, worker)| chosen(worker))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            let Some(worker) = self.all.get_mut(&number) else {
                continue;
            };
            if worker.sessions.is_empty() {
                self.dismiss(number);
            } else {
                worker.dismissed = true;
                if hurry {
                    // One that cannot be told is dying already.
                    let _ = worker.tell(&ToWorker::Stop, None);
                }
            }
        }
    }

    /// The worker has closed its end of the link.
    pub(super) fn link_closed(&mut self, number: u64) {
        self.idle.retain(|other| *other != number);
        if let Some(worker) = self.all.get_mut(&number) {
            worker.broken = true;
        }
    }

    pub(super) fn last_words(&self, number: u64) -> Vec<Word> {
        self.all
            .get(&number)
            .map(WorkerRecord::last_words)
            .unwrap_or_default()
    }

    /// The worker's process has ended.
    pub(super) fn remove(&mut self, number: u64) -> Option<WorkerRecord> {
        self.idle.retain(|other| *other != number);
        self.all.remove(&number)
    }

    pub(super) fn kill_all(&self) {
        for worker in self.all.values() {
            // It may have ended just now.
            let _ = pidfd_send_signal(&*worker.pidfd, Signal::KILL);
        }
    }

    /// Reports the end of each worker of a generation by its pidfd: its zygote no longer can.
    pub(super) fn watch(&self, generation: u64, events: &UnboundedSender<Event>) {
        let workers = self.all.iter();
        let watched = |worker: &WorkerRecord| worker.forked_by.is_some();
        for (number, worker) in workers.filter(|(_, w)| w.generation == generation && !watched(w)) {
            worker.watch(*number, events);
        }
    }
}
