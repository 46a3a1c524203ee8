//! What became of the messages that sessions wanted to queue, by the verdict of the queue hook, or
//! of queue_pre where that had the last word. Knows nothing of replies, nor of who gave the verdict.

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueOutcome {
    /// A plugin has taken it.
    Queued,
    /// The client was asked to try again.
    Deferred,
    /// The client was told not to.
    Refused,
    /// No plugin wanted it: the client is to try again.
    None,
    /// A plugin has seen to everything, the reply too.
    Done,
}

/// How many there are.
pub(super) const OUTCOMES: usize = QueueOutcome::ALL.len();

impl QueueOutcome {
    pub const ALL: [QueueOutcome; 5] = [
        QueueOutcome::Queued,
        QueueOutcome::Deferred,
        QueueOutcome::Refused,
        QueueOutcome::None,
        QueueOutcome::Done,
    ];

    pub fn name(self) -> &'static str {
        match self {
            QueueOutcome::Queued => "queued",
            QueueOutcome::Deferred => "deferred",
            QueueOutcome::Refused => "refused",
            QueueOutcome::None => "none",
            QueueOutcome::Done => "done",
        }
    }
}

/// How many messages had each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts([u64; OUTCOMES]);

impl QueueCounts {
    pub(super) fn new(counts: [u64; OUTCOMES]) -> QueueCounts {
        QueueCounts(counts)
    }

    pub fn add(&mut self, other: QueueCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (QueueOutcome, u64)> {
        QueueOutcome::ALL.into_iter().zip(self.0)
    }
}
