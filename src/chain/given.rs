//! What the call of a plugin of either kind came to.

use crate::base::trace::CameTo;
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

impl Given {
    /// The same for who listens; none where the plugin was not asked.
    pub(crate) fn told(&self) -> Option<CameTo<'_>> {
        Some(match self {
            Given::Verdict(verdict) => CameTo::Verdict(
                verdict.code.name().unwrap_or("another code"),
                verdict.values.first().and_then(Option::as_deref),
            ),
            Given::Undef => CameTo::Undef,
            Given::Died(why) => CameTo::Died(why),
            Given::TooLate(_) => CameTo::TooLate,
            Given::Quarantined => CameTo::Quarantined,
            Given::Unsafe(why) => CameTo::Unsafe(why),
            Given::Nothing => return None,
        })
    }
}
