//! Times as C's strftime writes them in the locale C. A zone's name (`%Z`) is its offset from UTC; what is no
//! conversion stays as it is.

use crate::base::{Zone, civil_date, days_before};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A time (seconds since 1970) in this form and zone.
pub(super) fn format(form: &str, time: i64, zone: &Zone) -> String {
    let offset = zone.offset_at(time);
    let mut text = String::new();
    let local = Local::of(time, offset);
    local.put_all(form, &mut text);
    text
}

/// A time in its parts.
struct Local {
    time: i64,
    /// Seconds to the east of UTC.
    offset: i32,
    year: i64,
    month: i64,
    day: i64,
    /// Of the year, the first is 1.
    of_year: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// Seconds of the day.
    seconds: i64,
}

impl Local {
    fn of(time: i64, offset: i32) -> Local {
        let local = time + i64::from(offset);
        let days = local.div_euclid(86_400);
        let (year, month, day) = civil_date(days);
        Local {
            time,
            offset,
            year,
            month,
            day,
            of_year: days - days_before(year, 1) + 1,
            weekday: (days + 4).rem_euclid(7),
            seconds: local.rem_euclid(86_400),
        }
    }

    fn put_all(&self, form: &str, text: &mut String) {
        let mut rest = form.chars();
        while let Some(c) = rest.next() {
            match c {
                '%' => match rest.next() {
                    Some(conversion) => self.put(conversion, text),
                    None => text.push('%'),
                },
                c => text.push(c),
            }
        }
    }

    fn put(&self, conversion: char, text: &mut String) {
        let (hour, minute, second) = (
            self.seconds / 3600,
            self.seconds / 60 % 60,
            self.seconds % 60,
        );
        let hour_of_twelve = (hour + 11) % 12 + 1;
        let month = MONTHS[(self.month - 1).rem_euclid(12) as usize];
        let weekday = DAYS[self.weekday.rem_euclid(7) as usize];
        // The form of several others.
        let whole = match conversion {
            'c' => "%a %b %e %H:%M:%S %Y",
            'D' | 'x' => "%m/%d/%y",
            'F' => "%Y-%m-%d",
            'R' => "%H:%M",
            'r' => "%I:%M:%S %p",
            'T' | 'X' => "%H:%M:%S",
            _ => "",
        };
        if !whole.is_empty() {
            return self.put_all(whole, text);
        }
        let part = match conversion {
            'a' => weekday[..3].to_owned(),
            'A' => weekday.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'B' => month.to_owned(),
            'C' => format!("{:02}", self.year.div_euclid(100)),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'H' => format!("{hour:02}"),
            'I' => format!("{hour_of_twelve:02}"),
            'j' => format!("{:03}", self.of_year),
            'k' => format!("{hour:2}"),
            'l' => format!("{hour_of_twelve:2}"),
            'm' => format!("{:02}", self.month),
            'M' => format!("{minute:02}"),
            'n' => "\n".to_owned(),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            's' => self.time.to_string(),
            'S' => format!("{second:02}"),
            't' => "\t".to_owned(),
            'u' => (if self.weekday == 0 { 7 } else { self.weekday }).to_string(),
            'w' => self.weekday.to_string(),
            'y' => format!("{:02}", self.year.rem_euclid(100)),
            'Y' => self.year.to_string(),
            'z' | 'Z' => {
                let (sign, minutes) = (
                    if self.offset < 0 { '-' } else { '+' },
                    self.offset.abs() / 60,
                );
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        };
        text.push_str(&part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_date_writes_it() {
        let forms = [
            "%a %b %d %T %Y",
            "%A, %e %B %y %H:%M:%S",
            "%F %R %j %u %w %C",
            "%I %l %k %p %r",
            "%c|%x|%X|%D|%h",
            "%s%%%n%t",
        ];
        for time in [0, 951_827_696, 1_709_210_096, 1_790_000_000] {
            for form in forms {
                let output = std::process::Command::new("date")
                    .env("LC_ALL", "C")
                    .env("TZ", "UTC")
                    .arg(format!("--date=@{time}"))
                    .arg(format!("+{form}"))
                    .output()
                    .unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                let own = format(form, time, &Zone::default());
                assert_eq!(format!("{own}\n"), said, "{form} {time}");
            }
        }
        assert_eq!(format("%z %Q %", 0, &Zone::default()), "+0000 %Q %");
    }
}
