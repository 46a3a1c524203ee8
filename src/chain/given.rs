//! What the call of a plugin of either kind came to.

use crate::hook::Verdict;
use crate::watch::Reason;

/// What a plugin's call came to.
pub enum Given {
    Verdict(Verdict),
    /// It returned undef.
    Undef,
    /// It died, or panicked, with this text.
    Died(Vec<u8>),
    /// It was interrupted.
    TooLate(Reason),
    /// It has failed too often in a row, and was not called.
    Quarantined,
    /// It said OK, and what it has stored could be lost, for this reason.
    Unsafe(String),
    /// What runs around the call is to end: the plugin counts as one that was not asked.
    Nothing,
}
