//! Figures as people read them, in the terminal and on the page: durations, sizes, and where most of a plugin's calls
//! lie.

#![forbid(unsafe_code)]

use super::control::DurationClass;

/// A duration by its place among others; in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Quantile {
    About(f64),
    /// It is in the last class, which has no end.
    Over(f64),
}

/// The duration that this part of the calls did not exceed. Within a class they are taken to be
/// spread evenly, so that it is right to a factor of two.
pub(crate) fn quantile(classes: &[DurationClass], part: f64) -> Option<Quantile> {
    let all: u64 = classes.iter().map(|class| class.calls).sum();
    let wanted = part * all as f64;
    let (mut below, mut seen) = (0.0, 0.0);
    for class in classes {
        let calls = class.calls as f64;
        let end = class.below_nanoseconds.map(|end| end as f64);
        if class.calls > 0 && seen + calls >= wanted {
            return Some(match end {
                Some(end) => Quantile::About(below + (end - below) * (wanted - seen) / calls),
                None => Quantile::Over(below),
            });
        }
        seen += calls;
        below = end.unwrap_or(below);
    }
    None
}

/// Three digits and a unit.
pub(crate) fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 999.5 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "us"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n if n < 999.5e9 => (n / 1e9, "s"),
        n => return format!("{:.0} min", n / 60e9),
    };
    format!("{} {unit}", three_digits(value))
}

pub(crate) fn quantile_text(quantile: Quantile) -> String {
    match quantile {
        Quantile::About(nanoseconds) => duration(nanoseconds),
        Quantile::Over(nanoseconds) => format!(">{}", duration(nanoseconds)),
    }
}

pub(crate) fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 999.5e6 => format!("{} MB", three_digits(b / 1e6)),
        b => format!("{} GB", three_digits(b / 1e9)),
    }
}

/// As many digits after the point as make three.
pub(crate) fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
