//! Writes to the embedded store. Those of a name wait in a row while a thread is at work, and are done in one
//! transaction then, which is one wait for the disk: under load, many writes share it. Does not start threads.

use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::embedded::{Opened, live, lock_file, now};
use super::error::StoreError;
use super::record::{Place, Record, end};
use crate::config::reason;

/// What a thread does.
pub type Job = Box<dyn FnOnce() + Send>;

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is, and as long as it would have.
    Keep,
    /// It is this, for so long (without a time: until it is removed).
    Set(Vec<u8>, Option<Duration>),
    /// There is none any more.
    Remove,
}

/// What becomes of a value, by what it is. It may be asked more than once.
pub type Decide = Box<dyn Fn(Option<&[u8]>) -> Change + Send>;

/// A value before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    pub before: Option<Vec<u8>>,
    pub after: Option<Vec<u8>>,
}

/// A change that is to be made.
pub struct Pending {
    pub key: Vec<u8>,
    pub decide: Decide,
    pub done: oneshot::Sender<Result<Changed, StoreError>>,
}

/// How many expired records a transaction looks for, for each change that it makes.
const SWEPT: usize = 16;
/// After how many transactions the slots of dead readers are cleared.
const CLEARED: u32 = 1000;

/// The changes of a name that wait.
pub(super) struct Queue {
    name: Vec<u8>,
    state: Mutex<Waiting>,
    /// Of who is at work.
    sweep: Mutex<Sweep>,
}

#[derive(Default)]
struct Waiting {
    pending: Vec<Pending>,
    at_work: bool,
}

impl Queue {
    pub(super) fn new(name: &[u8]) -> Queue {
        Queue {
            name: name.to_vec(),
            state: Mutex::default(),
            sweep: Mutex::default(),
        }
    }

    /// Adds a change. The job is for a thread, where none is at work.
    pub(super) fn push(self: Arc<Queue>, pending: Pending, opened: Opened) -> Option<Job> {
        let mut state = self.lock();
        state.pending.push(pending);
        if state.at_work {
            return None;
        }
        state.at_work = true;
        drop(state);
        let work = AtWork(Some(self));
        Some(Box::new(move || work.run(&opened)))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the last change, and until all of it is on disk.
    fn work(&self, opened: &Opened) {
        let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_synced = true;
        loop {
            let mut state = self.lock();
            let batch = std::mem::take(&mut state.pending);
            if batch.is_empty() {
                if is_synced {
                    state.at_work = false;
                    return;
                }
                drop(state);
                // Where it fails the next commit does it.
                let _ = opened.env.force_sync();
                is_synced = true;
                continue;
            }
            drop(state);
            self.make(opened, batch, &mut sweep);
            is_synced = false;
        }
    }

    fn make(&self, opened: &Opened, batch: Vec<Pending>, sweep: &mut Sweep) {
        let held = match hold(opened, &self.name) {
            Ok(held) => held,
            Err(error) => return answer_all(batch, &error),
        };
        let changes = || batch.iter().map(|one| (&one.key[..], &*one.decide));
        match transaction(opened, &self.name, changes(), sweep) {
            Ok(done) => {
                for (one, changed) in batch.into_iter().zip(done) {
                    // Who waited may have been given up.
                    let _ = one.done.send(changed);
                }
            }
            // One that is too large must not take the others along.
            Err(StoreError::Full { .. }) if batch.len() > 1 => {
                for one in batch {
                    let single = [(&one.key[..], &*one.decide)].into_iter();
                    let done = transaction(opened, &self.name, single, sweep);
                    let done = done.map(|mut done| done.pop());
                    let _ = one.done.send(match done {
                        Ok(Some(changed)) => changed,
                        Ok(None) => Err(StoreError::NoAnswer),
                        Err(error) => Err(error),
                    });
                }
            }
            Err(error) => answer_all(batch, &error),
        }
        drop(held);
    }
}

fn answer_all(batch: Vec<Pending>, error: &StoreError) {
    for one in batch {
        let _ = one.done.send(Err(error.clone()));
    }
}

/// A thread is at work, or will be. If it never is, or does not come to its end, who waits hears so.
struct AtWork(Option<Arc<Queue>>);

impl AtWork {
    fn run(mut self, opened: &Opened) {
        if let Some(queue) = &self.0 {
            queue.work(opened);
        }
        // It has come to its end, and another may have begun.
        self.0 = None;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            let mut state = queue.lock();
            state.at_work = false;
            state.pending.clear();
        }
    }
}

/// The lock of a name, as a Perl plugin has it too.
fn hold(opened: &Opened, name: &[u8]) -> Result<File, StoreError> {
    let path = lock_file(&opened.dir, name);
    let failed = |error: std::io::Error| StoreError::Unreachable {
        place: path.display().to_string(),
        reason: reason(&error),
    };
    let mut options = File::options();
    let file = options.append(true).create(true).open(&path);
    let file = file.map_err(failed)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
            Ok(()) => return Ok(file),
        }
    }
}

/// Where the search for expired records has come to.
#[derive(Default)]
pub(super) struct Sweep {
    at: Option<Vec<u8>>,
    transactions: u32,
}

type Answers = Vec<Result<Changed, StoreError>>;

/// Makes changes, all or none of them, and removes some of what is expired.
pub(super) fn transaction<'a>(
    opened: &Opened,
    name: &[u8],
    changes: impl Iterator<Item = (&'a [u8], &'a (dyn Fn(Option<&[u8]>) -> Change + Send))>,
    sweep: &mut Sweep,
) -> Result<Answers, StoreError> {
    let failed = |error| opened.failed(error);
    if sweep.transactions % CLEARED == CLEARED - 1 {
        opened.env.clear_stale_readers().map_err(failed)?;
    }
    sweep.transactions = sweep.transactions.wrapping_add(1);
    let records = opened.records;
    let now = now();
    let mut writing = opened.env.write_txn().map_err(failed)?;
    let mut answers = Vec::new();
    for (key, decide) in changes {
        let place = Place::of(name, key);
        // Not always from the first one on, as processes come and go.
        sweep.at.get_or_insert_with(|| place.bytes.clone());
        let record = records.get(&writing, &place.bytes).map_err(failed)?;
        let before = record.and_then(|record| live(&place.bytes, record, now));
        let decided = catch_unwind(AssertUnwindSafe(|| decide(before.as_deref())));
        let Ok(decided) = decided else {
            answers.push(Err(StoreError::Panicked));
            continue;
        };
        let after = match decided {
            Change::Keep => before.clone(),
            Change::Set(value, lives) => {
                let record = place.record(key, &value, end(now, lives));
                let put = records.put(&mut writing, &place.bytes, &record);
                put.map_err(failed)?;
                Some(value)
            }
            Change::Remove => {
                let removed = records.delete(&mut writing, &place.bytes);
                removed.map_err(failed)?;
                None
            }
        };
        answers.push(Ok(Changed { before, after }));
    }
    // Not where there is no room to write what is removed.
    let expired = sweep.expired(opened, &writing, now, SWEPT * answers.len());
    for place in expired.map_err(failed)? {
        records.delete(&mut writing, &place).map_err(failed)?;
    }
    writing.commit().map_err(failed)?;
    Ok(answers)
}

impl Sweep {
    /// What is expired of the next records, round and round.
    fn expired(
        &mut self,
        opened: &Opened,
        reading: &heed::RwTxn<'_>,
        now: u64,
        count: usize,
    ) -> heed::Result<Vec<Vec<u8>>> {
        let mut expired = Vec::new();
        let (mut last, mut seen) = (Vec::new(), 0);
        let from = match self.at.as_deref() {
            None | Some([]) => Bound::Unbounded,
            Some(at) => Bound::Excluded(at),
        };
        let from: (Bound<&[u8]>, Bound<&[u8]>) = (from, Bound::Unbounded);
        for found in opened.records.range(reading, &from)?.take(count) {
            let (place, record) = found?;
            last = place.to_vec();
            seen += 1;
            if Record::read(place, record).is_none_or(|record| record.is_expired(now)) {
                expired.push(place.to_vec());
            }
        }
        // Behind the last one comes the first: also where a later one is added each time.
        if seen < count {
            last.clear();
        }
        self.at = Some(last);
        Ok(expired)
    }
}
