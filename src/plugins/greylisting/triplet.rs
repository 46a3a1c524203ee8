//! What is kept of a triplet (client, sender, recipient), and what becomes of it when it comes again: `TIME:1:B:W`, with
//! the time of its first try or last delivery (seconds since 1970), how often it came too early, and how many deliveries
//! there were. It is the form of qpsmtpd's plugin, so that both may have one store. Knows no store and no clock.

use std::time::Duration;

use crate::plugin::Change;
use crate::plugins::list::is_true;
use crate::plugins::pairs::number;

/// However short the times are: a second try has to find the first.
const HOUR: f64 = 3600.0;
/// Longer than any of them.
const AGES: f64 = 100.0 * 365.0 * 86_400.0;

/// How long each colour lasts, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    /// After the first try nothing is taken.
    pub black: f64,
    /// A triplet that comes in this time becomes a known one. In 1.00 none does.
    pub grey: Option<f64>,
    /// Without a delivery, what is known is forgotten.
    pub white: f64,
}

/// What a triplet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// It was not known.
    New,
    /// It comes too early, and for how many times.
    Black(i64),
    /// It comes in the grey time, and is known from now on.
    Grey,
    /// It is known; how many deliveries there were.
    White(i64),
    /// It comes late, and passes.
    TimedOut,
}

/// What was found, and what the log has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub finding: Finding,
    /// The time that was kept.
    pub since: Option<i64>,
    /// It was known, for too long.
    pub was_white: bool,
}

impl Judged {
    /// Whether the client is to come again.
    pub(super) fn is_early(&self) -> bool {
        matches!(self.finding, Finding::New | Finding::Black(_))
    }
}

/// An entry of the store.
struct Entry {
    since: i64,
    new: i64,
    black: i64,
    white: i64,
}

impl Entry {
    fn parse(text: &[u8]) -> Entry {
        let mut numbers = text.split(|byte| *byte == b':').map(number);
        let mut next = || numbers.next().unwrap_or_default() as i64;
        Entry {
            since: next(),
            new: next(),
            black: next(),
            white: next(),
        }
    }

    fn set(&self, lives: f64) -> Change {
        let Entry {
            since,
            new,
            black,
            white,
        } = self;
        let text = format!("{since}:{new}:{black}:{white}");
        let lives = Duration::try_from_secs_f64(lives.clamp(1.0, AGES)).ok();
        Change::Set(text.into_bytes(), lives)
    }
}

impl Times {
    /// How long a triplet is kept after the time in its entry.
    fn kept(&self) -> f64 {
        let grey = self.grey.unwrap_or_default();
        self.white.max(self.black).max(grey).max(HOUR)
    }
}

/// What a triplet is that comes now, and what is to be kept of it.
pub(super) fn judge(old: Option<&[u8]>, now: i64, times: &Times) -> (Judged, Change) {
    let kept = times.kept();
    let old = old.filter(|text| is_true(text)).map(Entry::parse);
    let age = |entry: &Entry| now.saturating_sub(entry.since) as f64;
    // What a Perl plugin has set does not expire by itself.
    let Some(mut entry) = old.filter(|entry| age(entry) < kept) else {
        let entry = Entry {
            since: now,
            new: 1,
            black: 0,
            white: 0,
        };
        let judged = Judged {
            finding: Finding::New,
            since: None,
            was_white: false,
        };
        return (judged, entry.set(kept));
    };
    let age = age(&entry);
    let is_white = entry.white != 0 && age < times.white;
    let judged = |finding| Judged {
        finding,
        since: Some(entry.since),
        was_white: entry.white != 0 && !is_white,
    };
    if is_white {
        let white = entry.white.saturating_add(1);
        let judged = judged(Finding::White(white));
        (entry.since, entry.white) = (now, white);
        return (judged, entry.set(kept));
    }
    if age < times.black {
        let black = entry.black.saturating_add(1);
        let judged = judged(Finding::Black(black));
        (entry.black, entry.white) = (black, 0);
        return (judged, entry.set(kept - age));
    }
    if times.grey.is_some_and(|grey| age < grey) {
        let judged = judged(Finding::Grey);
        (entry.since, entry.white) = (now, 1);
        return (judged, entry.set(kept));
    }
    (judged(Finding::TimedOut), Change::Keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 86_400.0;
    const OLD: Times = Times {
        black: 3000.0,
        grey: Some(12_000.0),
        white: 36.0 * DAY,
    };
    const NEW: Times = Times { grey: None, ..OLD };

    /// Plays tries at these times; what each came to, and what is kept in the end.
    fn play(times: &Times, tries: &[i64]) -> (Vec<Finding>, Option<String>) {
        let mut kept: Option<Vec<u8>> = None;
        let one = |now: &i64| {
            let (judged, change) = judge(kept.as_deref(), *now, times);
            match change {
                Change::Set(text, _) => kept = Some(text),
                Change::Keep => {}
                Change::Remove => kept = None,
            }
            judged.finding
        };
        let found = tries.iter().map(one).collect();
        (found, kept.map(|text| String::from_utf8(text).unwrap()))
    }

    fn lives(change: Change) -> Option<u64> {
        match change {
            Change::Set(_, lives) => lives.map(|lives| lives.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn a_triplet_is_new_then_black_then_grey_then_white() {
        use Finding::{Black, Grey, New, White};
        let (found, kept) = play(&OLD, &[1000, 1001, 3999, 4000, 4001, 90_000]);
        assert_eq!(found, [New, Black(1), Black(2), Grey, White(2), White(3)]);
        assert_eq!(kept.as_deref(), Some("90000:1:2:3"));
    }

    #[test]
    fn a_triplet_that_comes_late_passes_and_stays_what_it_was() {
        use Finding::{Black, New, TimedOut};
        let (found, kept) = play(&OLD, &[0, 5, 12_000, 13_000]);
        assert_eq!(found, [New, Black(1), TimedOut, TimedOut]);
        assert_eq!(kept.as_deref(), Some("0:1:1:0"));
    }

    #[test]
    fn in_1_00_no_triplet_becomes_a_known_one() {
        use Finding::{Black, New, TimedOut};
        let (found, kept) = play(&NEW, &[0, 2999, 3000, 3001]);
        assert_eq!(found, [New, Black(1), TimedOut, TimedOut]);
        assert_eq!(kept.as_deref(), Some("0:1:1:0"));
        // One that 0.94 has made.
        let (judged, _) = judge(Some(b"0:1:0:4"), 5000, &NEW);
        assert_eq!(judged.finding, Finding::White(5));
    }

    #[test]
    fn a_triplet_is_forgotten_when_the_white_time_is_over() {
        let over = 36 * 86_400;
        for entry in [&b"1:1:0:3"[..], b"1:1:7:0"] {
            let (judged, change) = judge(Some(entry), over + 1, &OLD);
            assert_eq!(judged.finding, Finding::New);
            assert!(judged.is_early());
            assert_eq!(lives(change), Some(over as u64));
            let (judged, _) = judge(Some(entry), over, &OLD);
            assert_ne!(judged.finding, Finding::New);
        }
    }

    #[test]
    fn a_triplet_that_comes_too_early_lives_no_longer_for_it() {
        let (_, first) = judge(None, 1000, &OLD);
        assert_eq!(lives(first), Some(36 * 86_400));
        let (_, again) = judge(Some(b"1000:1:0:0"), 1600, &OLD);
        assert_eq!(lives(again), Some(36 * 86_400 - 600));
    }

    #[test]
    fn a_white_time_that_ends_first_makes_a_triplet_grey_again() {
        let times = Times { white: 60.0, ..OLD };
        let (judged, _) = judge(Some(b"0:1:0:2"), 100, &times);
        assert!(judged.was_white && judged.is_early());
        assert_eq!(judged.finding, Finding::Black(1));
        let (judged, _) = judge(Some(b"0:1:0:2"), 5000, &times);
        assert!(judged.was_white && judged.finding == Finding::Grey);
    }

    #[test]
    fn odd_entries_and_odd_times_are_no_harm() {
        for entry in [&b""[..], b"0", b"nonsense", b"\xff:::", b"-1e300:x:9:9"] {
            let (judged, _) = judge(Some(entry), 1_000_000_000, &OLD);
            assert_eq!(judged.finding, Finding::New, "{entry:?}");
        }
        // From a machine whose clock goes ahead.
        let (judged, _) = judge(Some(b"5000:1:0:0"), 4000, &OLD);
        assert_eq!(judged.finding, Finding::Black(1));
        let (judged, _) = judge(Some(b"5000:1:99999999999999999999:0"), 5001, &OLD);
        assert_eq!(judged.finding, Finding::Black(i64::MAX));
        for time in [0.0, -5.0, f64::MAX, f64::INFINITY] {
            let times = Times {
                black: time,
                grey: Some(time),
                white: time,
            };
            let (_, change) = judge(None, i64::MAX, &times);
            assert!(lives(change).is_some());
            judge(Some(b"1:1:1:1"), i64::MIN, &times);
        }
    }
}
