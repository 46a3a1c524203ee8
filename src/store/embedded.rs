//! The embedded store: one LMDB environment that all processes of a machine have open at once. Reads need no
//! lock and are done where they are asked for. Writes are done by one thread for each name (writer.rs).
//!
//! What is promised, and why it holds:
//! * kill -9 at any point never corrupts it. Pages are written beside those in use, and a commit is one page that
//!   names them; the locks are robust mutexes, which the next process takes over from a dead one. A dead reader's
//!   slot is cleared when a process opens the store, and now and then by writers.
//! * A commit has its pages on disk before the page that names them is written (MDB_NOMETASYNC, and not
//!   MDB_NOSYNC: with that, a machine that loses its power could have the second without the first). That last
//!   page is synced right after the answer was given, so a lost power takes back what was acknowledged a few
//!   milliseconds before, and leaves the state before that, whole.
//! * A process opens its own: what it has of the one it was forked from is closed first, which touches nothing of
//!   the other's (LMDB compares the process's number).

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heed::types::Bytes;
use heed::{Database, Env, MdbError};

use super::error::StoreError;
use super::record::{Place, Record, prefix};
use super::writer::{Job, Pending, Queue};
use crate::config::reason;

/// How long a process waits for what it has open itself.
const CLOSING: Duration = Duration::from_secs(1);

/// Opens an environment in a directory that is there, for so many bytes.
pub type OpenEnv = fn(&Path, usize) -> heed::Result<Env>;

/// The environment of this process.
#[derive(Clone)]
pub(super) struct Opened {
    pub env: Env,
    pub records: Database<Bytes, Bytes>,
    pub dir: Arc<Path>,
    pub size: u64,
}

/// The store in a directory.
pub struct Embedded {
    dir: Arc<Path>,
    size: u64,
    open: OpenEnv,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Whose the rest is.
    process: u32,
    opened: Option<Opened>,
    queues: HashMap<Vec<u8>, Arc<Queue>>,
}

impl Embedded {
    pub fn new(dir: PathBuf, size: u64, open: OpenEnv) -> Embedded {
        Embedded {
            dir: dir.into(),
            size,
            open,
            state: RefCell::default(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory where it is missing, not those above it.
    pub fn prepare(&self) -> Result<(), StoreError> {
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(self.unreachable(format!("cannot make the directory: {}", reason(&error))))
            }
            _ => Ok(()),
        }
    }

    fn unreachable(&self, reason: String) -> StoreError {
        StoreError::Unreachable {
            place: self.dir.display().to_string(),
            reason,
        }
    }

    /// This process's environment.
    pub(super) fn opened(&self) -> Result<Opened, StoreError> {
        let mut state = self.state.borrow_mut();
        if state.process != std::process::id() {
            // The other process's is closed here, and what waited there waits there.
            *state = State::default();
            state.process = std::process::id();
        }
        if let Some(opened) = &state.opened {
            return Ok(opened.clone());
        }
        self.prepare()?;
        let failed = |error: heed::Error| match error {
            heed::Error::Io(error) => {
                let reason = reason(&error);
                self.unreachable(format!(
                    "{reason}: the user that runs the plugins must be able to write there"
                ))
            }
            other => self.unreachable(other.to_string()),
        };
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let env = match (self.open)(&self.dir, size) {
            // A thread of a session before, in the same process, is not done yet.
            Err(heed::Error::EnvAlreadyOpened) => {
                let path = self.dir.canonicalize().unwrap_or_default();
                if let Some(closing) = heed::env_closing_event(path) {
                    closing.wait_timeout(CLOSING);
                }
                (self.open)(&self.dir, size)
            }
            opened => opened,
        };
        let env = env.map_err(failed)?;
        // A process that was killed while it read keeps pages from being used again.
        env.clear_stale_readers().map_err(failed)?;
        let reading = env.read_txn().map_err(failed)?;
        let records = env.open_database(&reading, None).map_err(failed)?;
        // The handle is to be known to all transactions.
        reading.commit().map_err(failed)?;
        let Some(records) = records else {
            return Err(self.unreachable("there is no database in it".to_owned()));
        };
        let opened = Opened {
            env,
            records,
            dir: self.dir.clone(),
            size: self.size,
        };
        state.opened = Some(opened.clone());
        Ok(opened)
    }

    pub fn get(&self, name: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.opened()?;
        let place = Place::of(name, key);
        let read = || {
            let reading = opened.env.read_txn()?;
            let record = opened.records.get(&reading, &place.bytes)?;
            Ok(record.and_then(|record| live(&place.bytes, record, now())))
        };
        read().map_err(|error| opened.failed(error))
    }

    /// The keys of a name.
    pub fn keys(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let opened = self.opened()?;
        let now = now();
        let read = || {
            let reading = opened.env.read_txn()?;
            let mut keys = Vec::new();
            for found in opened.records.prefix_iter(&reading, &prefix(name))? {
                let (place, record) = found?;
                if let Some(record) = Record::read(place, record)
                    && !record.is_expired(now)
                {
                    keys.push(record.key.to_vec());
                }
            }
            Ok(keys)
        };
        read().map_err(|error| opened.failed(error))
    }

    /// Has a value changed: by a thread that does this job, or by one that is at work already.
    pub fn change(&self, name: &[u8], pending: Pending) -> Result<Option<Job>, StoreError> {
        let opened = self.opened()?;
        let mut state = self.state.borrow_mut();
        let queue = match state.queues.get(name) {
            Some(queue) => queue.clone(),
            None => {
                let queue = Arc::new(Queue::new(name));
                state.queues.insert(name.to_vec(), queue.clone());
                queue
            }
        };
        Ok(queue.push(pending, opened))
    }

    /// The file whose lock says who may change what a name has: `flock`, by which a process that dies gives it
    /// back.
    pub fn lock_file(&self, name: &[u8]) -> PathBuf {
        lock_file(&self.dir, name)
    }
}

pub(super) fn lock_file(dir: &Path, name: &[u8]) -> PathBuf {
    let mut file = "lock.".to_owned();
    for byte in name {
        match byte.is_ascii_alphanumeric() || b"-_".contains(byte) {
            true => file.push(char::from(*byte)),
            false => file.push_str(&format!("%{byte:02x}")),
        }
    }
    dir.join(file)
}

impl Opened {
    /// LMDB's word in this store's.
    pub(super) fn failed(&self, error: heed::Error) -> StoreError {
        let dir = self.dir.to_path_buf();
        match error {
            heed::Error::Mdb(MdbError::MapFull) => StoreError::Full {
                dir,
                size: self.size,
            },
            heed::Error::Mdb(MdbError::MapResized) => StoreError::Outgrown { dir },
            other => StoreError::Unreachable {
                place: dir.display().to_string(),
                reason: other.to_string(),
            },
        }
    }
}

/// The value, unless it is expired.
pub(super) fn live(place: &[u8], record: &[u8], now: u64) -> Option<Vec<u8>> {
    let record = Record::read(place, record)?;
    (!record.is_expired(now)).then(|| record.value.to_vec())
}

/// In ms since 1970: what is written down outlives the machine's run.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
