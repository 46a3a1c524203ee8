//! What workers have told of refusals: how often each reason was one in each of the last sixty minutes, and the
//! last refusals whole. Kept only where a page shows it (`--web`); workers run plugins, so nothing here grows
//! with what they say.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::server::refusal::{Reason, ReasonCount, Refusal, RefusalReport, RefusalsShown};

/// How far back refusals are counted.
const MINUTES: u64 = 60;
/// Refusals that are kept whole.
const WHOLE: usize = 50;
/// Reasons of a minute; what is beyond them is counted without its plugin.
const REASONS: usize = 500;
/// Stages and codes of those: sessions have some twenty.
const SURPLUS: usize = 500;

/// The last hour.
pub(super) struct RecentRefusals {
    is_kept: bool,
    began: Instant,
    /// The oldest first, each with its number since the beginning.
    minutes: VecDeque<(u64, HashMap<Reason, u64>)>,
    last: VecDeque<Refusal>,
    serial: u64,
}

impl RecentRefusals {
    pub(super) fn new(is_kept: bool) -> RecentRefusals {
        RecentRefusals {
            is_kept,
            began: Instant::now(),
            minutes: VecDeque::new(),
            last: VecDeque::new(),
            serial: 0,
        }
    }

    pub(super) fn add(&mut self, report: RefusalReport) {
        self.add_at(self.minute(), report);
    }

    /// The daemon has refused a client by itself.
    pub(super) fn add_own(&mut self, why: &str) {
        let reason = Reason {
            plugin: None,
            stage: why.to_owned(),
            code: 421,
        };
        self.add(RefusalReport {
            counts: vec![ReasonCount { reason, count: 1 }],
            last: Vec::new(),
        });
    }

    /// None where it is not kept.
    pub(super) fn shown(&self) -> Option<RefusalsShown> {
        self.is_kept.then(|| self.shown_at(self.minute()))
    }

    fn minute(&self) -> u64 {
        self.began.elapsed().as_secs() / 60
    }

    fn add_at(&mut self, minute: u64, report: RefusalReport) {
        if !self.is_kept {
            return;
        }
        if self.minutes.back().is_none_or(|(last, _)| *last != minute) {
            self.minutes.push_back((minute, HashMap::new()));
            let is_old = |first: &(u64, _)| first.0 + MINUTES <= minute;
            while self.minutes.front().is_some_and(is_old) {
                self.minutes.pop_front();
            }
        }
        let Some((_, counts)) = self.minutes.back_mut() else {
            return;
        };
        for ReasonCount { mut reason, count } in report.counts {
            if counts.len() >= REASONS && !counts.contains_key(&reason) {
                reason.plugin = None;
            }
            if counts.len() < REASONS + SURPLUS || counts.contains_key(&reason) {
                let sum = counts.entry(reason).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        for mut refusal in report.last {
            refusal.at = refusal.at.min(now);
            self.serial += 1;
            refusal.serial = self.serial;
            self.last.push_back(refusal);
        }
        // Workers tell when they get to it.
        let last = self.last.make_contiguous();
        last.sort_by_key(|one| one.at);
        let surplus = self.last.len().saturating_sub(WHOLE);
        self.last.drain(..surplus);
    }

    fn shown_at(&self, now: u64) -> RefusalsShown {
        let recent = self
            .minutes
            .iter()
            .filter(|(minute, _)| minute + MINUTES > now);
        let mut sums: HashMap<&Reason, u64> = HashMap::new();
        let mut by_minute = vec![0_u64; MINUTES as usize];
        for (minute, counts) in recent {
            let all: u64 = counts.values().fold(0, |all, one| all.saturating_add(*one));
            let ago = now.saturating_sub(*minute) as usize;
            if let Some(place) = by_minute.iter_mut().rev().nth(ago) {
                *place = all;
            }
            for (reason, count) in counts {
                let sum = sums.entry(reason).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        let mut by_reason: Vec<ReasonCount> = sums
            .into_iter()
            .map(|(reason, count)| ReasonCount {
                reason: reason.clone(),
                count,
            })
            .collect();
        by_reason.sort_by(|one, other| {
            let by_count = other.count.cmp(&one.count);
            by_count.then_with(|| one.reason.cmp(&other.reason))
        });
        RefusalsShown {
            by_reason,
            by_minute,
            last: self.last.iter().rev().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(plugin: &str, count: u64) -> RefusalReport {
        RefusalReport {
            counts: vec![ReasonCount {
                reason: Reason::of_rcpt(plugin),
                count,
            }],
            last: Vec::new(),
        }
    }

    #[test]
    fn an_hour_is_summed_up_and_what_is_older_is_forgotten() {
        let mut recent = RecentRefusals::new(true);
        recent.add_at(0, report("dnsbl", 7));
        recent.add_at(1, report("dnsbl", 1));
        recent.add_at(60, report("rcpt_ok", 2));
        recent.add_at(60, report("rcpt_ok", 3));
        let shown = recent.shown_at(60);
        let counts: Vec<u64> = shown.by_reason.iter().map(|one| one.count).collect();
        assert_eq!(counts, [5, 1]);
        assert_eq!(
            (shown.by_minute[0], shown.by_minute[59]),
            (1, 5),
            "minutes 1 and 60"
        );
        assert_eq!(recent.minutes.len(), 2);
        assert_eq!(recent.shown_at(200).by_reason, []);
    }

    #[test]
    fn a_worker_that_invents_reasons_takes_no_more_than_its_room() {
        let mut recent = RecentRefusals::new(true);
        for number in 0..5000 {
            let mut invented = report(&format!("plugin{number}"), 1);
            invented.counts[0].reason.stage = format!("stage{number}");
            recent.add_at(3, invented);
        }
        assert_eq!(recent.minutes[0].1.len(), REASONS + SURPLUS);
    }

    #[test]
    fn where_no_page_shows_it_nothing_is_kept() {
        let mut recent = RecentRefusals::new(false);
        recent.add(report("dnsbl", 7));
        recent.add_own("rate");
        assert_eq!(recent.shown(), None);
        assert!(recent.minutes.is_empty());
    }
}
