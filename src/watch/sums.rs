//! Sums of what plugins did: per place in one worker's page, and added up over workers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::page::{BUCKETS, Page, PluginHook, Row, VERDICTS};

/// What is known of the calls of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    pub calls: u64,
    /// Those that died.
    pub died: u64,
    /// Those whose time was over.
    pub late: u64,
    /// Those that have ended the process: by exit, or because it crashed or was killed.
    pub ended: u64,
    pub time: Duration,
    /// How many calls took less than [`upper_bound`] of the class, and not less than that of the
    /// class before.
    pub buckets: [u64; BUCKETS],
    /// How many calls gave each of [`VERDICTS`].
    pub verdicts: [u64; VERDICTS.len()],
}

/// The end of a class of durations; the last has none.
pub fn upper_bound(bucket: usize) -> Option<Duration> {
    (bucket + 1 < BUCKETS).then(|| Duration::from_nanos(1 << (bucket + FIRST)))
}

/// The first class ends at 2^10 nanoseconds, each other one at twice the one before.
const FIRST: usize = 10;

pub(super) fn bucket(nanoseconds: u64) -> usize {
    let bits = (u64::BITS - nanoseconds.leading_zeros()) as usize;
    bits.saturating_sub(FIRST).min(BUCKETS - 1)
}

impl Sum {
    pub fn add(&mut self, other: &Sum) {
        self.calls += other.calls;
        self.died += other.died;
        self.late += other.late;
        self.ended += other.ended;
        self.time += other.time;
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        for (mine, theirs) in self.verdicts.iter_mut().zip(other.verdicts) {
            *mine += theirs;
        }
    }
}

impl Sum {
    /// Whether half of the calls, and not only a few, took longer than this, as far as classes can
    /// tell: a class counts that begins there or later.
    pub fn mostly_longer(&self, time: Duration) -> bool {
        const FEW: u64 = 3;
        let begins = |bucket: usize| {
            bucket
                .checked_sub(1)
                .and_then(upper_bound)
                .unwrap_or_default()
        };
        let buckets = self.buckets.iter().enumerate();
        let longer = buckets.filter(|(bucket, _)| begins(*bucket) >= time);
        let longer: u64 = longer.map(|(_, calls)| calls).sum();
        self.calls >= FEW && longer * 2 >= self.calls
    }
}

impl Page {
    /// The sums of this worker's life so far.
    pub fn sums(&self) -> impl Iterator<Item = (PluginHook, Sum)> + '_ {
        self.rows.iter().map_while(Row::read)
    }
}

impl Row {
    fn read(&self) -> Option<(PluginHook, Sum)> {
        let place = PluginHook::unpacked(self.place.load(Ordering::Acquire))?;
        let sum = Sum {
            calls: self.calls.load(Ordering::Relaxed),
            died: self.died.load(Ordering::Relaxed).into(),
            late: self.late.load(Ordering::Relaxed).into(),
            ended: self.exited.load(Ordering::Relaxed).into(),
            time: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed).into()),
            verdicts: std::array::from_fn(|at| self.verdicts[at].load(Ordering::Relaxed).into()),
        };
        Some((place, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_mostly_longer_than_a_time_where_half_of_them_are() {
        let mut sum = Sum::default();
        let limit = Duration::from_millis(50);
        let mut call = |milliseconds: u64| {
            sum.calls += 1;
            sum.buckets[bucket(milliseconds * 1_000_000)] += 1;
            sum.mostly_longer(limit)
        };
        assert!(!call(1000) && !call(1000), "two calls say nothing");
        assert!(call(1000));
        assert!(call(1) && call(1) && call(1));
        assert!(!call(1));
        assert!(!call(45) && !call(100) && call(100));
    }

    #[test]
    fn a_duration_falls_into_the_class_whose_end_is_above_it() {
        for (nanoseconds, class) in [(0, 0), (1023, 0), (1024, 1), (2047, 1), (2048, 2)] {
            assert_eq!(bucket(nanoseconds), class, "{nanoseconds} ns");
            let end = upper_bound(class).unwrap();
            assert!(Duration::from_nanos(nanoseconds) < end);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(upper_bound(BUCKETS - 1), None);
    }
}
