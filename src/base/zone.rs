//! The host's time zone, as Received lines and logs show it: the TZif file (RFC 8536) that
//! `$TZ` or /etc/localtime names, or a rule in `$TZ` itself. Read once; knows no clock.

use std::path::{Path, PathBuf};

use super::zone_rule::Rule;

/// Where zone files lie.
const ZONES: &str = "/usr/share/zoneinfo";

/// Offsets from UTC, in seconds to the east. The default is UTC.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Zone {
    /// The offset before the first change.
    first: i32,
    /// When the offset changed, and to what, in order.
    changes: Vec<(i64, i32)>,
    /// How it goes on after the last change.
    rule: Option<Rule>,
}

impl Zone {
    /// The zone of this process; UTC where it cannot be found, as in the C library.
    pub fn local() -> Zone {
        Zone::named(std::env::var("TZ").ok().as_deref())
    }

    fn named(name: Option<&str>) -> Zone {
        let path = match name.map(|name| name.strip_prefix(':').unwrap_or(name)) {
            None => PathBuf::from("/etc/localtime"),
            Some("") => return Zone::default(),
            Some(name) if name.split('/').any(|part| part == "..") => return Zone::default(),
            Some(name) => Path::new(ZONES).join(name),
        };
        let from_file = std::fs::read(path).ok().and_then(|file| Zone::parse(&file));
        from_file
            .or_else(|| Zone::of_rule(Rule::parse(name?.as_bytes())?))
            .unwrap_or_default()
    }

    fn of_rule(rule: Rule) -> Option<Zone> {
        Some(Zone {
            rule: Some(rule),
            ..Zone::default()
        })
    }

    /// The offset at a time (seconds since 1970).
    pub fn offset_at(&self, time: i64) -> i32 {
        let passed = self.changes.partition_point(|(at, _)| *at <= time);
        match (&self.rule, passed.checked_sub(1)) {
            (Some(rule), _) if passed == self.changes.len() => rule.offset_at(time),
            (_, Some(last)) => self.changes.get(last).map_or(self.first, |change| change.1),
            (_, None) => self.first,
        }
    }

    /// A TZif file. Version 1, whose times have 32 bits, is not read.
    fn parse(file: &[u8]) -> Option<Zone> {
        let old = Counts::parse(file)?;
        let file = file.get(Counts::LENGTH + old.data_length(4)?..)?;
        let counts = Counts::parse(file)?;
        let data = file.get(Counts::LENGTH..)?;
        let (times, rest) = data.split_at_checked(counts.times.checked_mul(8)?)?;
        let (indices, rest) = rest.split_at_checked(counts.times)?;
        let types = rest.get(..counts.types.checked_mul(6)?)?;
        let offset = |index: usize| {
            let bytes = types.get(index * 6..index * 6 + 4)?;
            Some(i32::from_be_bytes(bytes.try_into().ok()?))
        };
        let mut changes = Vec::with_capacity(counts.times);
        for (time, index) in times.chunks_exact(8).zip(indices) {
            let time = i64::from_be_bytes(time.try_into().ok()?);
            changes.push((time, offset(usize::from(*index))?));
        }
        let footer = data.get(counts.data_length(8)?..)?;
        let footer = footer.strip_prefix(b"\n")?.strip_suffix(b"\n")?;
        Some(Zone {
            first: offset(0)?,
            changes,
            rule: Rule::parse(footer),
        })
    }
}

/// The counts in a TZif header.
struct Counts {
    ut: usize,
    standard: usize,
    leaps: usize,
    times: usize,
    types: usize,
    characters: usize,
}

impl Counts {
    const LENGTH: usize = 44;

    fn parse(header: &[u8]) -> Option<Counts> {
        let header = header.get(..Counts::LENGTH)?;
        if !header.starts_with(b"TZif") || header[4] < b'2' {
            return None;
        }
        let mut counts = header[20..].chunks_exact(4);
        let mut next = || -> Option<usize> {
            let bytes = counts.next()?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        Some(Counts {
            ut: next()?,
            standard: next()?,
            leaps: next()?,
            times: next()?,
            types: next()?,
            characters: next()?,
        })
    }

    /// The length of the data after the header, with times of this size.
    fn data_length(&self, time: usize) -> Option<usize> {
        let times = self.times.checked_mul(time + 1)?;
        let types = self.types.checked_mul(6)?;
        let leaps = self.leaps.checked_mul(time + 4)?;
        [types, self.characters, leaps, self.standard, self.ut]
            .into_iter()
            .try_fold(times, usize::checked_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: &[u8] = include_bytes!("../../tests/fixtures/berlin.tzif");

    #[test]
    fn a_zone_file_gives_the_offset_of_each_time() {
        let berlin = Zone::parse(BERLIN).unwrap();
        for (time, offset) in [
            (1_767_590_000, 3600), // January 2026
            (1_782_864_000, 7200), // July 2026
            (1_774_745_999, 3600), // the second before summer time
            (1_774_746_000, 7200), // its first second
            (1_792_889_999, 7200), // its last
            (1_792_890_000, 3600),
            (-1_700_000_000, 3600), // 1916, before summer time was invented
            (4_118_000_000, 7200),  // June 2100, by the rule
        ] {
            assert_eq!(berlin.offset_at(time), offset, "{time}");
        }
    }

    #[test]
    fn a_rule_without_a_file_is_a_zone() {
        let zone = Zone::named(Some("XYZ-5:30"));
        assert_eq!(zone.offset_at(0), 19_800);
    }

    #[test]
    fn what_is_no_zone_is_utc() {
        for name in [
            "",
            ":",
            "Nowhere/At_All",
            "../../../etc/passwd",
            "/etc/passwd",
        ] {
            assert_eq!(Zone::named(Some(name)).offset_at(0), 0, "{name}");
        }
    }

    #[test]
    fn a_damaged_file_is_no_zone_and_no_panic() {
        for length in 0..BERLIN.len() {
            assert_eq!(Zone::parse(&BERLIN[..length]), None);
        }
        for at in 0..BERLIN.len() {
            let mut file = BERLIN.to_vec();
            file[at] = 0xff;
            if let Some(zone) = Zone::parse(&file) {
                zone.offset_at(1_767_590_000);
            }
        }
    }
}
