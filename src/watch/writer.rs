//! The worker's side of the page: each plugin call is written down when it begins and when it
//! ends. Costs two looks at the clock and a few stores; allocates nothing.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::clock::now;
use super::ledger::{Ledger, Marked};
use super::page::{Page, PluginHook, ROWS, Reason, Row, SLOTS, VERDICTS};
use super::queue::QueueOutcome;
use super::refused::RefusalStage;
use super::sums::bucket;
use super::unfit::Unfit;

struct Writer {
    page: &'static Page,
    /// One bit for each slot that is taken.
    taken: Cell<u32>,
    serial: Cell<u64>,
    rows: Cell<u32>,
    session: Cell<u64>,
}

thread_local! {
    static WRITER: Cell<Option<&'static Writer>> = const { Cell::new(None) };
    /// Of the process that this one was forked from.
    static BEFORE: Cell<Option<&'static Writer>> = const { Cell::new(None) };
    /// What ran here may have left something behind that no other session is to meet.
    static WORN: Cell<bool> = const { Cell::new(false) };
    static LEDGER: Cell<Option<&'static Ledger>> = const { Cell::new(None) };
    static STORE_GONE: Cell<bool> = const { Cell::new(false) };
    /// An exit is on its way: what it leaves has not called it.
    static EXITING: Cell<bool> = const { Cell::new(false) };
}

/// A place that calls are written down for, as the worker holds it.
#[derive(Debug)]
pub struct Spot {
    pub place: PluginHook,
    /// A call's time in milliseconds; 0: any.
    pub limit: u32,
    /// Its failures in a row are counted.
    counted: bool,
    /// Its row in the page, once it has one.
    row: Cell<u32>,
}

const NO_ROW: u32 = u32::MAX;

impl Spot {
    pub fn new(place: PluginHook, limit: u32, counted: bool) -> Spot {
        Spot {
            place,
            limit,
            counted,
            row: Cell::new(NO_ROW),
        }
    }
}

/// From now on this process writes to a page that nobody else writes to. Once in a process, as the
/// rows that spots have hold for its whole life: those of the process that it was forked from, too.
pub fn attach(page: &'static Page) {
    let rows = BEFORE.take().map_or(0, |before| {
        let rows = before.rows.get();
        let both = page.rows.iter().zip(&before.page.rows);
        for (row, known) in both.take(rows as usize) {
            let place = known.place.load(Ordering::Relaxed);
            row.place.store(place, Ordering::Release);
        }
        rows
    });
    let writer = Writer {
        page,
        taken: Cell::new(0),
        serial: Cell::new(0),
        rows: Cell::new(rows),
        session: Cell::new(0),
    };
    WRITER.set(Some(Box::leak(Box::new(writer))));
    crate::base::stderr::count_lost_in(&page.lost_lines);
    // What ran in the process that this one was forked from does not count.
    WORN.set(false);
    EXITING.set(false);
}

/// The page is another process's from now on.
pub fn detach() {
    // The ledger is only read without a writer.
    BEFORE.set(WRITER.take());
}

/// What exits from here on does so because its session is over in order.
pub fn excuse_exit() {
    EXITING.set(true);
}

/// From now on this process, and those forked from it, count failures in this ledger.
pub fn attach_ledger(ledger: &'static Ledger) {
    LEDGER.set(Some(ledger));
}

/// The store cannot be reached. Whether nobody has said so yet.
pub fn has_store_gone() -> bool {
    set_store_gone(true)
}

/// The store has been reached. Whether that is to be said.
pub fn is_store_back() -> bool {
    set_store_gone(false)
}

fn set_store_gone(gone: bool) -> bool {
    match LEDGER.get() {
        Some(ledger) => ledger.set_store_gone(gone),
        // Of this process alone.
        None => STORE_GONE.replace(gone) != gone,
    }
}

/// Whether the plugin of this place has failed too often in a row and is not called for now.
pub fn is_out(spot: &Spot) -> bool {
    spot.counted
        && LEDGER
            .get()
            .is_some_and(|ledger| ledger.is_out(spot.place.plugin, now))
}

/// A variable of a plugin, by its number, cannot be exchanged between sessions: all workers of the
/// generation treat it as isolated from now on, and this process, in which it ran, serves no other
/// session. `None` where there is no ledger, and so no other session.
pub fn mark_unfit(plugin: u16, why: Unfit, variable: &str) -> Option<Marked> {
    let marked = LEDGER.get()?.mark_unfit(plugin, why, variable);
    if marked != Marked::Kept {
        wear_out();
    }
    Some(marked)
}

/// Whether a plugin, by its number, was marked as unfit to be shared.
pub fn is_unshared(plugin: u16) -> bool {
    LEDGER
        .get()
        .is_some_and(|ledger| ledger.is_unshared(plugin))
}

/// Changes whenever a plugin is marked so.
pub fn marks() -> u32 {
    LEDGER.get().map_or(0, Ledger::marks)
}

/// How a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Returned,
    Died,
    /// Its time was over.
    Late,
    /// It has called exit.
    Exited,
}

/// Plugins run for this session from now on.
pub fn set_session(session: u64) {
    if let Some(writer) = WRITER.get() {
        writer.session.set(session);
    }
}

/// A session that was given to this process begins.
pub fn begin_session(session: u64) {
    if let Some(writer) = WRITER.get() {
        writer.page.latest.store(session, Ordering::Release);
    }
}

/// A session is over, and this process goes on. Whether the supervisor finds that by itself: else
/// it is to be told.
pub fn end_session(session: u64) -> bool {
    let writer = WRITER.get();
    writer.is_some_and(|writer| writer.page.ends.write(session))
}

/// The process is to serve no other session.
pub fn wear_out() {
    WORN.set(true);
}

/// Whether the process is to serve no other session.
pub fn is_worn() -> bool {
    WORN.get()
}

/// A call that runs. To be ended by [`Call::end`]; one that is dropped is no more shown.
#[derive(Debug)]
pub struct Call<'a> {
    spot: &'a Spot,
    writer: Option<&'static Writer>,
    slot: u32,
    serial: u64,
    since: u64,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

/// A plugin is called. Where the process has no page, and where too many calls run, nothing is
/// written.
pub fn begin(spot: &Spot) -> Call<'_> {
    // An exit that was on its way has arrived.
    EXITING.set(false);
    let writer = WRITER.get().filter(|writer| writer.taken.get() != u32::MAX);
    let mut call = Call {
        spot,
        writer,
        slot: 0,
        serial: 0,
        since: 0,
    };
    if let Some(writer) = writer {
        call.since = now();
        call.serial = writer.serial.get() + 1;
        writer.serial.set(call.serial);
        call.slot = writer.taken.get().trailing_ones();
        writer.taken.set(writer.taken.get() | 1 << call.slot);
        let slot = &writer.page.slots[call.slot as usize % SLOTS];
        // A reader that still sees the slot's last call must not take it for this one.
        std::sync::atomic::fence(Ordering::Release);
        slot.session.store(writer.session.get(), Ordering::Relaxed);
        slot.since.store(call.since, Ordering::Relaxed);
        slot.place.store(spot.place.packed(), Ordering::Relaxed);
        slot.limit.store(spot.limit, Ordering::Relaxed);
        slot.serial.store(call.serial, Ordering::Release);
    }
    call
}

impl Call<'_> {
    /// Whether the supervisor wants this very call to end.
    pub fn is_interrupted(&self) -> bool {
        self.writer.is_some_and(|writer| {
            let wanted = writer.page.interrupt.load(Ordering::Acquire);
            wanted == self.serial && wanted != 0
        })
    }

    /// The call is over. Says whether it was this one that has called exit.
    pub fn end(self, end: End) -> bool {
        let Some(writer) = self.writer else {
            return false;
        };
        // What an exit leaves on its way out has not called it.
        let exited = end == End::Exited && !EXITING.replace(true);
        if self.spot.counted
            && let Some(ledger) = LEDGER.get()
        {
            match end {
                End::Returned => ledger.succeeded(self.spot.place),
                End::Late => ledger.failed(self.spot.place, now()),
                End::Exited if exited => ledger.failed(self.spot.place, now()),
                End::Exited | End::Died => {}
            }
        }
        if let Some(row) = writer.row(self.spot) {
            let took = now().saturating_sub(self.since);
            add(&row.calls, 1);
            add(&row.nanoseconds, took);
            count(&row.buckets[bucket(took)]);
            match end {
                End::Died => count(&row.died),
                End::Late => count(&row.late),
                End::Exited if exited => count(&row.exited),
                End::Exited | End::Returned => {}
            }
        }
        exited
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer {
            let slot = &writer.page.slots[self.slot as usize % SLOTS];
            slot.serial.store(0, Ordering::Release);
            writer.taken.set(writer.taken.get() & !(1 << self.slot));
        }
    }
}

impl Writer {
    fn row(&self, spot: &Spot) -> Option<&'static Row> {
        let mut at = spot.row.get();
        if at == NO_ROW {
            at = self.rows.get();
            let row = self.page.rows.get(at as usize)?;
            self.rows.set(at + 1);
            spot.row.set(at);
            row.place.store(spot.place.packed(), Ordering::Release);
        }
        self.page.rows.get(at as usize % ROWS)
    }
}

/// This became of a message of a session that is served here.
pub fn count_queue_outcome(outcome: QueueOutcome) {
    if let Some(writer) = WRITER.get()
        && let Some(count) = writer.page.queue.get(outcome as usize)
    {
        add(count, 1);
    }
}

/// A client of this process is sent a reply at a stage of its session.
pub fn count_refusal(stage: RefusalStage, code: u16) {
    let writer = WRITER.get();
    if let Some(cell) = writer.and_then(|writer| writer.page.refused.cell(stage, code)) {
        add(cell, 1);
    }
}

/// A call of this place gave the verdict with this name (of [`VERDICTS`]; any other name is "other").
pub fn count_verdict(spot: &Spot, name: &str) {
    if let Some(row) = WRITER.get().and_then(|writer| writer.row(spot)) {
        let found = VERDICTS.iter().position(|known| *known == name);
        count(&row.verdicts[found.unwrap_or(VERDICTS.len() - 1)]);
    }
}

/// Whether a call that runs is the one that the supervisor wants to end.
pub fn is_interrupted() -> bool {
    let Some(writer) = WRITER.get() else {
        return false;
    };
    let wanted = writer.page.interrupt.load(Ordering::Acquire);
    let runs = |slot: &super::page::Slot| slot.serial.load(Ordering::Relaxed) == wanted;
    wanted != 0 && writer.page.slots.iter().any(runs)
}

/// Why the call is to end that is to end, or was last.
pub fn interrupt_reason() -> Reason {
    let reason = (WRITER.get()).map(|writer| writer.page.reason.load(Ordering::Relaxed));
    match reason {
        Some(reason) if reason == Reason::Memory as u32 => Reason::Memory,
        _ => Reason::Time,
    }
}

/// Only this process writes: no locked instruction is needed.
fn add(to: &AtomicU64, more: u64) {
    to.store(
        to.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}

fn count(to: &AtomicU32) {
    to.store(
        to.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

#[cfg(test)]
mod tests;
