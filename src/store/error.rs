//! What keeps a store from doing what it was asked, in words that say which store, why, and what to do.

use std::path::PathBuf;

/// Why a store has not done what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing of it can be reached, by nobody on this machine.
    #[error("store {place}: {reason}")]
    Unreachable { place: String, reason: String },
    #[error(
        "the store in {} is full: {size} bytes; raise size= in config/store and reload, or remove what is not needed",
        dir.display()
    )]
    Full { dir: PathBuf, size: u64 },
    /// Another process of a later load has given it more room.
    #[error(
        "the store in {} has grown beyond the size that this process was started with; it ends with its sessions",
        dir.display()
    )]
    Outgrown { dir: PathBuf },
    #[error("the name of a store has 1 to 100 bytes, not {0}")]
    Name(usize),
    #[error("'{0}' in the store is no number")]
    NotANumber(String),
    /// What was to be done to the value panicked.
    #[error("what was to change a value of the store panicked")]
    Panicked,
    /// Somebody else holds the lock of the name.
    #[error("store {place}: {name} is locked by another process")]
    Locked { place: String, name: String },
    /// The server does not do it.
    #[error("store {place}: the server says: {answer}")]
    Refused { place: String, answer: String },
    /// Who was to do it has ended.
    #[error("the store has given no answer")]
    NoAnswer,
}

impl StoreError {
    /// Whether it is the store as a whole that is missing.
    pub fn is_outage(&self) -> bool {
        matches!(self, StoreError::Unreachable { .. })
    }
}
