//! A time zone's rule in POSIX form (`CET-1CEST,M3.5.0,M10.5.0/3`), as `$TZ` and the end of
//! zone files have it, and the calendar that it needs.

/// Standard time, and summer time where there is one. Offsets are seconds to the east.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Summer {
    offset: i32,
    start: Change,
    end: Change,
}

/// A day of each year, and the local time of that day in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    day: Day,
    time: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Day {
    /// `Jn`: 1 to 365; the leap day is not counted.
    Julian(i64),
    /// `n`: 0 to 365.
    OfYear(i64),
    /// `Mm.w.d`: the `week`th (5: the last) such weekday of a month.
    OfMonth { month: i64, week: i64, weekday: i64 },
}

impl Rule {
    pub(super) fn parse(text: &[u8]) -> Option<Rule> {
        let mut reader = Reader { rest: text };
        reader.name()?;
        let standard = i32::try_from(-reader.time()?).ok()?;
        if reader.rest.is_empty() {
            return Some(Rule {
                standard,
                summer: None,
            });
        }
        reader.name()?;
        let offset = match reader.rest.first() {
            Some(b',') | None => standard.checked_add(3600)?,
            Some(_) => i32::try_from(-reader.time()?).ok()?,
        };
        reader.byte(b',')?;
        let start = reader.change()?;
        reader.byte(b',')?;
        let end = reader.change()?;
        let summer = Some(Summer { offset, start, end });
        reader.rest.is_empty().then_some(Rule { standard, summer })
    }

    pub(super) fn offset_at(&self, time: i64) -> i32 {
        let Some(summer) = &self.summer else {
            return self.standard;
        };
        let (year, ..) = civil_date((time + i64::from(self.standard)).div_euclid(86_400));
        let start = summer.start.in_year(year) - i64::from(self.standard);
        let end = summer.end.in_year(year) - i64::from(summer.offset);
        let is_summer = match start <= end {
            true => (start..end).contains(&time),
            // South of the equator it is winter between the two.
            false => !(end..start).contains(&time),
        };
        match is_summer {
            true => summer.offset,
            false => self.standard,
        }
    }
}

impl Change {
    /// Local seconds since 1970.
    fn in_year(&self, year: i64) -> i64 {
        let first = days_before(year, 1);
        let day = match self.day {
            Day::Julian(day) => {
                let leap = days_before(year + 1, 1) - first == 366;
                first + day - 1 + i64::from(leap && day > 59)
            }
            Day::OfYear(day) => first + day,
            Day::OfMonth {
                month,
                week,
                weekday,
            } => {
                let first = days_before(year, month);
                // 1970 began on a Thursday.
                let to_weekday = (weekday - first - 4).rem_euclid(7);
                let day = first + to_weekday + 7 * (week - 1);
                let next = days_before(year + month / 12, month % 12 + 1);
                if day >= next { day - 7 } else { day }
            }
        };
        day * 86_400 + self.time
    }
}

/// Days from 1970 to the first day of a month (from 1 on).
pub(crate) fn days_before(year: i64, month: i64) -> i64 {
    // Years that begin in March: the leap day is each year's last.
    let year = year - i64::from(month <= 2);
    let month = (month + 9) % 12;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let days = of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5;
    era * 146_097 + days - 719_468
}

/// Year, month and day (both from 1 on) of a day since 1970.
pub(crate) fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    (era * 400 + year + i64::from(month <= 2), month, day)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// `CET` or `<+03>`.
    fn name(&mut self) -> Option<()> {
        let length = match self.rest.first()? {
            b'<' => self.rest.iter().position(|byte| *byte == b'>')? + 1,
            _ => self
                .rest
                .iter()
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count(),
        };
        self.rest = self.rest.get(length..)?;
        (length >= 3).then_some(())
    }

    fn number(&mut self) -> Option<i64> {
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        // More digits than any of these numbers has are an error, not an overflow.
        if length == 0 || length > 4 {
            return None;
        }
        Some(
            digits
                .iter()
                .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')),
        )
    }

    /// `[+-]h[:mm[:ss]]` in seconds.
    fn time(&mut self) -> Option<i64> {
        let sign = match self.rest.first() {
            Some(b'-') => -1,
            _ => 1,
        };
        if matches!(self.rest.first(), Some(b'-' | b'+')) {
            self.rest = &self.rest[1..];
        }
        let mut seconds = self.number()? * 3600;
        for unit in [60, 1] {
            if self.byte(b':').is_some() {
                seconds += self.number()? * unit;
            }
        }
        Some(sign * seconds)
    }

    fn change(&mut self) -> Option<Change> {
        let day = match self.rest.first()? {
            b'J' => {
                self.byte(b'J')?;
                Day::Julian(self.number()?)
            }
            b'M' => {
                self.byte(b'M')?;
                let month = self.number().filter(|month| (1..=12).contains(month))?;
                self.byte(b'.')?;
                let week = self.number().filter(|week| (1..=5).contains(week))?;
                self.byte(b'.')?;
                let weekday = self.number().filter(|day| (0..=6).contains(day))?;
                Day::OfMonth {
                    month,
                    week,
                    weekday,
                }
            }
            _ => Day::OfYear(self.number()?),
        };
        let time = match self.byte(b'/') {
            Some(()) => self.time()?,
            None => 7200,
        };
        Some(Change { day, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(rule: &str, time: i64) -> i32 {
        Rule::parse(rule.as_bytes()).unwrap().offset_at(time)
    }

    #[test]
    fn summer_time_lies_between_its_two_days() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(offset(berlin, 1_774_745_999), 3600);
        assert_eq!(offset(berlin, 1_774_746_000), 7200);
        assert_eq!(offset(berlin, 1_792_889_999), 7200);
        assert_eq!(offset(berlin, 1_792_890_000), 3600);
    }

    #[test]
    fn south_of_the_equator_summer_spans_the_year_s_end() {
        let sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        assert_eq!(offset(sydney, 1_767_590_000), 39_600);
        assert_eq!(offset(sydney, 1_782_864_000), 36_000);
    }

    #[test]
    fn offsets_may_have_minutes_and_names_signs() {
        assert_eq!(offset("<+0545>-5:45", 0), 20_700);
        assert_eq!(offset("EST5", 0), -18_000);
        assert_eq!(offset("NST3:30NDT,M3.2.0,M11.1.0", 1_782_864_000), -9000);
    }

    #[test]
    fn days_may_be_counted_from_the_year_s_start() {
        // 1 March 2028, a leap year, and the same day by both ways of counting.
        let noon = 1_835_524_800;
        assert_eq!(offset("AAA0BBB,J60/0,J61/0", noon), 3600);
        assert_eq!(offset("AAA0BBB,60/0,61/0", noon), 3600);
    }

    #[test]
    fn a_date_is_that_of_the_calendar() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(-1), (1969, 12, 31));
        for days in -200_000..200_000 {
            let (year, month, day) = civil_date(days);
            assert_eq!(days_before(year, month) + day - 1, days);
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "CET",
            "C-1",
            "CET-1CEST",
            "CET-1CEST,M3",
            "CET-1x,M3.5.0,M10.5.0",
        ] {
            assert_eq!(Rule::parse(text.as_bytes()), None, "{text}");
        }
        for text in [
            "CET-99999999999",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.5.0,M10.5.0 ",
        ] {
            assert_eq!(Rule::parse(text.as_bytes()), None, "{text}");
        }
    }
}
