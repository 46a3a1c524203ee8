//! The dates of `Date` fields as seconds since 1970: RFC 5322's with its obsolete forms, those of C's asctime, and
//! ISO 8601's. What else Perl's Date::Parse may make a time of is none here.

use crate::base::{Zone, days_before};

const MONTHS: &[u8] = b"janfebmaraprmayjunjulaugsepoctnovdec";
const DAYS: &[u8] = b"sunmontuewedthufrisat";
/// Hours to the east of UTC of the names that RFC 5322 has, and of some that it has not.
const ZONES: [(&[u8], i64); 14] = [
    (b"ut", 0),
    (b"utc", 0),
    (b"gmt", 0),
    (b"z", 0),
    (b"wet", 0),
    (b"cet", 1),
    (b"est", -5),
    (b"edt", -4),
    (b"cst", -6),
    (b"cdt", -5),
    (b"mst", -7),
    (b"mdt", -6),
    (b"pst", -8),
    (b"pdt", -7),
];

/// The time of a date; one without a zone is this host's. `now`, in seconds since 1970, says of which century a year
/// with two digits is.
pub(super) fn seconds(date: &[u8], now: i64) -> Option<i64> {
    let mut words = words(date).into_iter().peekable();
    words.next_if(|word| is_start_of(word, DAYS).is_some());
    let first = words.next()?;
    let (year, month, day, time) = if let Some(month) = is_start_of(&first, MONTHS) {
        let day = words.next()?;
        let time = words.next_if(|word| word.contains(&b':'));
        // asctime has the year behind the time, RFC 850's kin before it.
        let year = words.next()?;
        (year, month, day, time)
    } else if let Some((year, month, day)) = in_parts(&first) {
        (year, month, day, None)
    } else {
        let month = is_start_of(&words.next()?, MONTHS)?;
        (words.next()?, month, first, None)
    };
    let time = time.or_else(|| words.next_if(|word| word.contains(&b':')));
    let time = time.map_or(Some(0), |time| of_day(&time))?;
    let day = number(&day).filter(|day| (1..=31).contains(day))?;
    let year = full_year(number(&year)?, now);
    let local = (days_before(year, month) + day - 1) * 86_400 + time;
    let offset = match words.next() {
        Some(zone) => offset(&zone)?,
        None => {
            let zone = Zone::local();
            let near = local - i64::from(zone.offset_at(local));
            i64::from(zone.offset_at(near))
        }
    };
    Some(local - offset)
}

/// The words in lower case, without comments; a zone's sign begins a word, as do a date's and its time's `T`.
fn words(date: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut depth = 0_usize;
    for byte in date.to_ascii_lowercase() {
        let is_time = word.contains(&b':');
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            b' ' | b'\t' | b'\r' | b'\n' | b',' => words.push(std::mem::take(&mut word)),
            b't' if word.len() >= 8 && word[0].is_ascii_digit() => {
                words.push(std::mem::take(&mut word));
            }
            b'+' | b'-' | b'z' if is_time => {
                words.push(std::mem::take(&mut word));
                word.push(byte);
            }
            byte => word.push(byte),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Which of these a word begins with, in three letters each, the first is 1.
fn is_start_of(word: &[u8], names: &[u8]) -> Option<i64> {
    let start = word
        .get(..3)
        .filter(|_| word.iter().all(u8::is_ascii_alphabetic))?;
    let at = names.chunks(3).position(|name| name == start)?;
    i64::try_from(at + 1).ok()
}

/// `2001-01-31` and `31-jan-2001`.
fn in_parts(word: &[u8]) -> Option<(Vec<u8>, i64, Vec<u8>)> {
    let parts: Vec<&[u8]> = word.split(|byte| *byte == b'-').collect();
    let [first, month, last] = parts[..] else {
        return None;
    };
    match (is_start_of(month, MONTHS), first.len()) {
        (Some(month), _) => Some((last.to_vec(), month, first.to_vec())),
        (None, 4) => {
            let month = number(month).filter(|month| (1..=12).contains(month))?;
            Some((first.to_vec(), month, last.to_vec()))
        }
        _ => None,
    }
}

fn number(word: &[u8]) -> Option<i64> {
    let is_number = (1..=4).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(word).ok().filter(|_| is_number)?;
    text.parse().ok()
}

/// A year with two digits is of the century in which it is next to now.
fn full_year(year: i64, now: i64) -> i64 {
    if year >= 100 {
        return if year < 1000 { year + 1900 } else { year };
    }
    let this = crate::base::civil_date(now.div_euclid(86_400)).0;
    let year = this - this.rem_euclid(100) + year;
    match year - this {
        away if away > 50 => year - 100,
        away if away <= -50 => year + 100,
        _ => year,
    }
}

/// Seconds of `hh:mm`, `hh:mm:ss` and `hh:mm:ss.5`.
fn of_day(word: &[u8]) -> Option<i64> {
    let whole = word.split(|byte| *byte == b'.').next()?;
    let parts: Option<Vec<i64>> = whole.split(|byte| *byte == b':').map(number).collect();
    let (hour, minute, second) = match parts?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds to the east of UTC of `+0130`, `+01:30` or a name.
fn offset(word: &[u8]) -> Option<i64> {
    let (sign, digits) = match word.split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => {
            let known = ZONES.iter().find(|(name, _)| *name == word);
            return known.map(|(_, hours)| hours * 3600);
        }
    };
    let digits: Vec<u8> = digits
        .iter()
        .copied()
        .filter(|byte| *byte != b':')
        .collect();
    let number = number(&digits)?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number, 0),
        _ => (number / 100, number % 100),
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn dates_of_several_forms_are_times() {
        for (date, expected) in [
            ("Mon, 1 Jan 2001 00:00:00 +0000", 978_307_200),
            ("1 Jan 2001 01:30 +0130 (a zone (of its own))", 978_307_200),
            ("Sun, 31 Dec 2000 19:00:00 EST", 978_307_200),
            ("Mon Jan  1 00:00:00 2001 GMT", 978_307_200),
            ("2001-01-01T00:00:00Z", 978_307_200),
            ("2001-01-01 02:00:00.250+02:00", 978_307_200),
            ("1-Jan-2001 00:00:00 -0000", 978_307_200),
            ("Tue, 1 Jan 36 00:00:00 +0000", 2_082_758_400),
            ("Thu, 1 Jan 98 00:00:00 UT", 883_612_800),
            ("Thu, 01 January 1998 UT", 883_612_800),
        ] {
            assert_eq!(seconds(date.as_bytes(), NOW), Some(expected), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_has_no_time() {
        for date in [
            "next week",
            "",
            "Mon",
            "32 Jan 2001 00:00:00 +0000",
            "1 Foo 2001 00:00:00 +0000",
            "1 Jan 2001 25:00:00 +0000",
            "1 Jan 2001 00:00:00 NOWHERE",
            "1 Jan",
            "(1 Jan 2001",
        ] {
            assert_eq!(seconds(date.as_bytes(), NOW), None, "{date}");
        }
    }

    /// Where Date::Parse is there, it is asked.
    #[test]
    fn date_parse_says_the_same() {
        let dates = [
            "Mon, 1 Jan 2001 00:00:00 +0000",
            "Fri, 29 Feb 2008 23:59:59 -0330",
            "29 Feb 2008 23:59 GMT",
            "Wed, 31 Dec 1969 23:59:58 -0100",
            "Sat May  5 12:13:14 2012 PDT",
            "2012-05-05T12:13:14Z",
            "2012-05-05 12:13:14 +0200",
            "Fri, 5 May 12 12:13:14 +0200",
            "next week",
            "nonsense 2001",
        ];
        let script = "use Date::Parse; print map { (str2time($_) // 'none') . qq(\\n) } @ARGV";
        let output = std::process::Command::new("perl")
            .args(["-e", script])
            .args(dates)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let own = dates.map(|date| {
            seconds(date.as_bytes(), NOW).map_or("none".to_owned(), |time| time.to_string())
        });
        if output.status.success() {
            assert_eq!(said.lines().collect::<Vec<_>>(), own);
        }
    }
}
