//! Numbers: what is computed from counts and classes of durations, and how people read it.

use crate::server::{DurationClass, three_digits};
pub(super) use crate::server::{Quantile, bytes, duration, quantile, quantile_text};

/// What was counted between two looks.
pub(super) fn classes_since(now: &[DurationClass], before: &[DurationClass]) -> Vec<DurationClass> {
    let earlier = before.iter().map(|class| class.calls);
    now.iter()
        .zip(earlier.chain(std::iter::repeat(0)))
        .map(|(class, earlier)| DurationClass {
            calls: class.calls.saturating_sub(earlier),
            ..*class
        })
        .collect()
}

/// Per second.
pub(super) fn rate(rate: f64) -> String {
    format!("{}/s", three_digits(rate))
}

/// How many calls each class had, as bars from the first class with any to the last, with the
/// bounds of these.
pub(super) fn bars(classes: &[DurationClass]) -> Option<(String, String, String)> {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let first = classes.iter().position(|class| class.calls > 0)?;
    let last = classes.iter().rposition(|class| class.calls > 0)?;
    let most = classes.iter().map(|class| class.calls).max()?.max(1);
    let bars = classes[first..=last].iter().map(|class| {
        // The smallest number is seen, too.
        let height = class.calls.saturating_mul(8).div_ceil(most);
        BARS.get(height as usize).copied().unwrap_or('█')
    });
    let from = match first.checked_sub(1).and_then(|at| classes.get(at)) {
        Some(before) => before.below_nanoseconds.unwrap_or(0),
        None => 0,
    };
    let to = match classes[last].below_nanoseconds {
        Some(end) => duration(end as f64),
        None => "any time".to_owned(),
    };
    Some((duration(from as f64), bars.collect(), to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(calls: &[u64]) -> Vec<DurationClass> {
        let last = calls.len() - 1;
        let class = |(at, calls): (usize, &u64)| DurationClass {
            below_nanoseconds: (at < last).then(|| 1000 << at),
            calls: *calls,
        };
        calls.iter().enumerate().map(class).collect()
    }

    #[test]
    fn a_quantile_lies_within_its_class_by_how_many_calls_are_below_it() {
        let classes = classes(&[0, 100, 0, 100, 1]);
        assert_eq!(quantile(&classes, 0.25).unwrap(), Quantile::About(1502.5));
        let Some(Quantile::About(high)) = quantile(&classes, 0.75) else {
            panic!("in the last class")
        };
        assert!((4000.0..8000.0).contains(&high), "{high}");
        assert_eq!(quantile(&classes, 1.0), Some(Quantile::Over(8000.0)));
    }

    #[test]
    fn without_calls_there_is_no_quantile_and_are_no_bars() {
        assert_eq!(quantile(&classes(&[0, 0]), 0.5), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(bars(&classes(&[0, 0])), None);
        assert_eq!(bars(&[]), None);
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanoseconds, text) in [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (999.9, "1.00 us"),
            (1234.0, "1.23 us"),
            (45_678.0, "45.7 us"),
            (999_600.0, "1.00 ms"),
            (123_456_789.0, "123 ms"),
            (2.5e9, "2.50 s"),
            (1200e9, "20 min"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
        assert_eq!(quantile_text(Quantile::Over(68.7e9)), ">68.7 s");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(bytes(1_500_000_000), "1.50 GB");
        assert_eq!(rate(0.0), "0.00/s");
    }

    #[test]
    fn what_was_counted_since_is_the_difference_and_never_below_zero() {
        let since = classes_since(&classes(&[5, 3, 1]), &classes(&[2, 4, 1]));
        let calls: Vec<u64> = since.iter().map(|class| class.calls).collect();
        assert_eq!(calls, [3, 0, 0]);
        assert_eq!(classes_since(&since, &[]), since);
    }

    #[test]
    fn bars_go_from_the_first_class_with_calls_to_the_last() {
        let (from, bars, to) = bars(&classes(&[0, 8, 0, 1, 0])).unwrap();
        assert_eq!((from.as_str(), to.as_str()), ("1.00 us", "8.00 us"));
        assert_eq!(bars, "█ ▁");
    }
}
