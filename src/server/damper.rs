//! How long something that keeps failing waits until it is tried again. Does not know what it is.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// Holds back the start of processes that die at once, longer each time.
#[derive(Debug, Default)]
pub(super) struct Damper {
    failures: u32,
    until: Option<Instant>,
}

impl Damper {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// One has died at once; gives the time until the next start.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = Self::FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(Self::LONGEST);
        self.failures += 1;
        self.until = Some(Instant::now() + wait);
        wait
    }

    /// One did its work.
    pub(super) fn well(&mut self) {
        *self = Damper::default();
    }

    /// Whether nothing may be started now.
    pub(super) fn holds_back(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    /// When it is time to try again; stays set, even if that has passed, until `try_again`.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the wait is over; if so, it is forgotten.
    pub(super) fn try_again(&mut self) -> bool {
        let over = self.until.is_some() && !self.holds_back();
        if over {
            self.until = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_is_over_is_not_forgotten_before_it_was_acted_on() {
        let mut damper = Damper::default();
        let wait = damper.failed();
        assert!(!damper.try_again());
        std::thread::sleep(wait);
        assert!(!damper.holds_back() && damper.wake_at().is_some());
        assert!(damper.try_again());
        assert!(damper.wake_at().is_none());
    }

    #[test]
    fn the_damper_waits_longer_each_time_and_not_at_all_after_a_success() {
        let mut damper = Damper::default();
        assert!(!damper.holds_back());
        let waits: Vec<_> = (0..8).map(|_| damper.failed().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(damper.holds_back());
        damper.well();
        assert!(!damper.holds_back());
    }
}
