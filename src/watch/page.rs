//! The layout of the shared page: atomics only, written by one worker, read by the supervisor,
//! which stops nobody. Does not know how it came to be in both processes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::ends::Ends;
use super::queue::{OUTCOMES, QueueCounts};
use super::refused::{RefusalCells, RefusalCounts};
use crate::base::stderr::LostLines;

/// Calls that may run at a time in one worker, one within the other or in several sessions.
pub(super) const SLOTS: usize = 32;
/// Pairs of a plugin and a hook of which account is kept.
pub(super) const ROWS: usize = 1024;
/// Classes of durations; see [`super::upper_bound`].
pub const BUCKETS: usize = 28;

/// The verdicts that are counted, by qpsmtpd's names; the last stands for any other.
pub const VERDICTS: [&str; 8] = [
    "OK",
    "DENY",
    "DENYSOFT",
    "DENY_DISCONNECT",
    "DENYSOFT_DISCONNECT",
    "DECLINED",
    "DONE",
    "other",
];

const NATIVE: u32 = 1 << 31;

/// A plugin and a hook of it, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginHook {
    pub plugin: u16,
    pub hook: u8,
    /// A native plugin: it ends by itself when its time is over, and takes no interrupt.
    pub native: bool,
}

impl PluginHook {
    /// As it stands in the page, where 0 is no place.
    pub(super) fn packed(self) -> u32 {
        let native = if self.native { NATIVE } else { 0 };
        ((u32::from(self.plugin) + 1) << 8) | u32::from(self.hook) | native
    }

    pub(super) fn unpacked(packed: u32) -> Option<PluginHook> {
        let plugin = ((packed & !NATIVE) >> 8).checked_sub(1)?;
        Some(PluginHook {
            plugin: u16::try_from(plugin).ok()?,
            hook: packed.to_le_bytes()[0],
            native: packed & NATIVE != 0,
        })
    }
}

/// A call that runs.
#[repr(C)]
pub(super) struct Slot {
    /// The call's number in this worker, from 1; 0: the slot is free. Written last, cleared first.
    pub serial: AtomicU64,
    pub session: AtomicU64,
    /// When it began, by [`super::now`].
    pub since: AtomicU64,
    pub place: AtomicU32,
    /// Its time in milliseconds; 0: any.
    pub limit: AtomicU32,
}

/// What is known of the calls of one place.
#[repr(C)]
pub(super) struct Row {
    /// 0: not used yet.
    pub place: AtomicU32,
    pub died: AtomicU32,
    pub late: AtomicU32,
    /// Calls in which the process was to end, by exit.
    pub exited: AtomicU32,
    pub calls: AtomicU64,
    pub nanoseconds: AtomicU64,
    pub buckets: [AtomicU32; BUCKETS],
    pub verdicts: [AtomicU32; VERDICTS.len()],
}

/// What one worker tells of its calls and sessions. Zeroed memory is a page on which nothing has happened.
#[repr(C)]
pub struct Page {
    /// The serial of the call that the supervisor wants to end; 0: none.
    pub(super) interrupt: AtomicU64,
    /// Why, a `Reason`.
    pub(super) reason: AtomicU32,
    /// The latest session that the worker has begun: those given to it later have met no plugin.
    pub(super) latest: AtomicU64,
    pub(super) slots: [Slot; SLOTS],
    pub(super) rows: [Row; ROWS],
    /// Messages by what became of them.
    pub(super) queue: [AtomicU64; OUTCOMES],
    pub(super) refused: RefusalCells,
    pub(super) lost_lines: LostLines,
    pub(super) ends: Ends,
}

/// Why a call is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// It is over its time.
    Time,
    /// Its process has taken most of the memory that it may have, and most of that in this call.
    Memory,
}

/// A call that runs in a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Tells the calls of a worker apart; a later call has a greater one.
    pub serial: u64,
    pub place: PluginHook,
    pub session: u64,
    /// When it began, by [`super::now`].
    pub since: u64,
    /// How long it may take; `None`: any time.
    pub limit: Option<Duration>,
}

impl Running {
    /// How long it has run.
    pub fn age(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.since))
    }

    /// By how much its time is over, if it is.
    pub fn overdue(&self, now: u64) -> Option<Duration> {
        self.age(now).checked_sub(self.limit?)
    }
}

impl Page {
    /// An empty page, for tests and for processes that share it with nobody.
    pub fn empty() -> Box<Page> {
        let row = || Row {
            place: AtomicU32::new(0),
            died: AtomicU32::new(0),
            late: AtomicU32::new(0),
            exited: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
            verdicts: std::array::from_fn(|_| AtomicU32::new(0)),
        };
        let slot = || Slot {
            serial: AtomicU64::new(0),
            session: AtomicU64::new(0),
            since: AtomicU64::new(0),
            place: AtomicU32::new(0),
            limit: AtomicU32::new(0),
        };
        Box::new(Page {
            interrupt: AtomicU64::new(0),
            reason: AtomicU32::new(0),
            latest: AtomicU64::new(0),
            slots: std::array::from_fn(|_| slot()),
            rows: std::array::from_fn(|_| row()),
            queue: std::array::from_fn(|_| AtomicU64::new(0)),
            refused: RefusalCells::none(),
            lost_lines: LostLines::default(),
            ends: Ends::none(),
        })
    }

    /// What runs now, the outermost call first. A worker that is writing is never waited for: a
    /// call that changes meanwhile is left out.
    pub fn running(&self) -> Vec<Running> {
        let mut running: Vec<Running> = self.slots.iter().filter_map(Slot::read).collect();
        running.sort_by_key(|call| call.serial);
        running
    }

    /// Whether a call of Perl code runs for longer than this.
    pub fn is_busy(&self, now: u64, longer: Duration) -> bool {
        let calls = self.slots.iter().filter_map(Slot::read);
        let mut perl = calls.filter(|call| !call.place.native);
        perl.any(|call| call.age(now) > longer)
    }

    /// What became of this worker's messages so far.
    pub fn queue_counts(&self) -> QueueCounts {
        QueueCounts::new(std::array::from_fn(|at| {
            self.queue[at].load(Ordering::Relaxed)
        }))
    }

    /// What this worker's sessions have refused so far.
    /// Lines of the log that this worker could not write.
    pub(crate) fn lost_lines(&self) -> &LostLines {
        &self.lost_lines
    }

    pub fn refusals(&self) -> RefusalCounts {
        self.refused.read()
    }

    /// Whether the worker has begun this session, which was given to it: sessions have ascending
    /// numbers, and a worker begins them in that order.
    pub fn has_begun(&self, session: u64) -> bool {
        session <= self.latest.load(Ordering::Acquire)
    }

    /// A session that the worker has ended without telling so.
    pub fn next_end(&self) -> Option<u64> {
        self.ends.read()
    }

    /// Whether the worker is to tell each end; see `next_end` for those before.
    pub fn tell_ends(&self, all: bool) {
        self.ends.tell(all);
    }

    /// Asks the worker to end a call. It finds that when a signal makes it look.
    pub fn interrupt(&self, serial: u64, reason: Reason) {
        self.reason.store(reason as u32, Ordering::Relaxed);
        self.interrupt.store(serial, Ordering::Release);
    }
}

impl Slot {
    fn read(&self) -> Option<Running> {
        let serial = self.serial.load(Ordering::Acquire);
        if serial == 0 {
            return None;
        }
        let limit = self.limit.load(Ordering::Relaxed);
        let call = Running {
            serial,
            place: PluginHook::unpacked(self.place.load(Ordering::Relaxed))?,
            session: self.session.load(Ordering::Relaxed),
            since: self.since.load(Ordering::Relaxed),
            limit: (limit > 0).then(|| Duration::from_millis(limit.into())),
        };
        std::sync::atomic::fence(Ordering::Acquire);
        (self.serial.load(Ordering::Relaxed) == serial).then_some(call)
    }
}
