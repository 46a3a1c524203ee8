//! Replies of 4xx and 5xx, by the stage of the session in which they were given. Knows neither hooks nor
//! what the replies say.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where a session was when it refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalStage {
    /// Before and at the greeting.
    Connect,
    Helo,
    Auth,
    Mail,
    Rcpt,
    /// From DATA to the end of the message.
    Data,
    Queue,
    /// Other commands, and what is none.
    Other,
}

/// How many there are.
const STAGES: usize = RefusalStage::ALL.len();

impl RefusalStage {
    /// In the order of a session.
    pub const ALL: [RefusalStage; 8] = [
        RefusalStage::Connect,
        RefusalStage::Helo,
        RefusalStage::Auth,
        RefusalStage::Mail,
        RefusalStage::Rcpt,
        RefusalStage::Data,
        RefusalStage::Queue,
        RefusalStage::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            RefusalStage::Connect => "connect",
            RefusalStage::Helo => "helo",
            RefusalStage::Auth => "auth",
            RefusalStage::Mail => "mail",
            RefusalStage::Rcpt => "rcpt",
            RefusalStage::Data => "data",
            RefusalStage::Queue => "queue",
            RefusalStage::Other => "other",
        }
    }
}

/// The place of the counts in a worker's page: of each stage the 4xx, then the 5xx.
#[repr(C)]
pub(super) struct RefusalCells([AtomicU64; STAGES * 2]);

impl RefusalCells {
    pub(super) fn none() -> RefusalCells {
        RefusalCells(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// The one for a reply that refuses; none for other replies.
    pub(super) fn cell(&self, stage: RefusalStage, code: u16) -> Option<&AtomicU64> {
        let class = match code / 100 {
            4 => 0,
            5 => 1,
            _ => return None,
        };
        self.0.get(stage as usize * 2 + class)
    }

    pub(super) fn read(&self) -> RefusalCounts {
        let count = |at: usize| {
            let cell = self.0.get(at);
            cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
        };
        RefusalCounts(std::array::from_fn(|stage| {
            (count(stage * 2), count(stage * 2 + 1))
        }))
    }
}

/// How much was refused at each stage: for now (4xx) and for good (5xx).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusalCounts([(u64, u64); STAGES]);

impl RefusalCounts {
    pub fn add(&mut self, other: RefusalCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (RefusalStage, (u64, u64))> {
        RefusalStage::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replies_that_refuse_have_a_place_and_each_its_own() {
        let cells = RefusalCells::none();
        for code in [220, 250, 354, 600] {
            assert!(cells.cell(RefusalStage::Other, code).is_none(), "{code}");
        }
        for (number, stage) in RefusalStage::ALL.into_iter().enumerate() {
            for _ in 0..=number {
                let cell = cells.cell(stage, 450).unwrap();
                cell.fetch_add(1, Ordering::Relaxed);
            }
        }
        let cell = cells.cell(RefusalStage::Rcpt, 550).unwrap();
        cell.fetch_add(7, Ordering::Relaxed);
        for (number, (stage, counts)) in cells.read().iter().enumerate() {
            let permanent = if stage == RefusalStage::Rcpt { 7 } else { 0 };
            assert_eq!(counts, (number as u64 + 1, permanent), "{stage:?}");
        }
    }
}
