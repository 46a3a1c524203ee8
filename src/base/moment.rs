//! A moment as people read it: date and time of day here.

use super::{Zone, civil_date};

/// `2026-11-28 06:41:02`, of seconds since 1970.
pub(crate) fn moment(seconds: u64, zone: &Zone) -> String {
    let time = i64::try_from(seconds).unwrap_or(i64::MAX / 2);
    let local = time.saturating_add(zone.offset_at(time).into());
    let (year, month, day) = civil_date(local.div_euclid(86_400));
    let second = local.rem_euclid(86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_and_a_time() {
        assert_eq!(moment(0, &Zone::default()), "1970-01-01 00:00:00");
        assert_eq!(moment(951_868_799, &Zone::default()), "2000-02-29 23:59:59");
    }
}
