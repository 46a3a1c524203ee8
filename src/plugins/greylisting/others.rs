//! Whom greylisting leaves alone because of what other plugins have found: `p0f` names what ident/p0f has to have
//! found for a client to be greylisted at all, `geoip` the countries (ident/geoip's) of those that are not.

use super::settings::Settings;
use crate::log::{LOGDEBUG, LOGERROR, LOGINFO};
use crate::plugin::{Cx, Failure};
use crate::plugins::list::is_true;
use crate::plugins::pairs::number;
use crate::plugins::pattern;

const KNOWN: [&str; 5] = ["genre", "detail", "uptime", "link", "distance"];

/// The names and values of `p0f`.
fn wanted(value: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut words: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
    while words.last().is_some_and(|word| word.is_empty()) {
        words.pop();
    }
    // A name at the end has no value, and matches nothing.
    let pairs = words.chunks(2).filter_map(|words| {
        let [name, value] = words else {
            return None;
        };
        Some((*name, *value))
    });
    pairs.filter(|(name, _)| is_true(name)).collect()
}

/// What of `p0f` cannot be read.
pub(super) fn unreadable(settings: &Settings) -> Vec<String> {
    let pairs = wanted(settings.get_true("p0f").unwrap_or_default());
    let wrong = pairs
        .into_iter()
        .filter(|(name, _)| is_pattern(name))
        .filter_map(|(_, value)| {
            pattern::perl(value, true)
                .err()
                .map(|why| told(value, &why))
        });
    wrong.collect()
}

fn is_pattern(name: &[u8]) -> bool {
    matches!(name, b"genre" | b"link")
}

fn told(pattern: &[u8], why: &str) -> String {
    let shown = String::from_utf8_lossy(pattern);
    format!("p0f: the pattern '{shown}' cannot be read: {why}")
}

/// Whether the client is one of those that `p0f` names.
pub(super) async fn is_p0f_match(cx: &Cx<'_>, settings: &Settings) -> Result<bool, Failure> {
    let Some(value) = settings.get_true("p0f") else {
        return Ok(true);
    };
    let Some(found) = cx.note_values("p0f", &KNOWN).await? else {
        return Ok(false);
    };
    for (name, value) in wanted(value) {
        let shown = String::from_utf8_lossy(name);
        let Some(at) = KNOWN.iter().position(|known| known.as_bytes() == name) else {
            let text = format!("discarding invalid match key ({shown})");
            cx.log(LOGERROR, text);
            continue;
        };
        let Some(known) = found.get(at).and_then(Option::as_deref) else {
            continue;
        };
        let matches = match name {
            b"distance" => number(known) > number(value),
            b"uptime" => number(known) < number(value),
            name if is_pattern(name) => {
                let pattern = pattern::perl(value, true);
                pattern
                    .map_err(|why| Failure::new(told(value, &why)))?
                    .is_match(known)
            }
            _ => false,
        };
        if matches {
            let text = format!("p0f {shown} match (");
            cx.log(LOGDEBUG, [text.as_bytes(), value, b")"].concat());
            return Ok(true);
        }
    }
    cx.log(LOGINFO, "skip: no p0f match");
    Ok(false)
}

/// Whether the client is in one of the countries of `geoip`.
pub(super) fn is_geoip_match(cx: &Cx<'_>, settings: &Settings) -> bool {
    let countries = settings.get_true("geoip").unwrap_or_default();
    let country = cx.notes().bytes("geoip_country").unwrap_or_default();
    let mut countries = countries.split(|byte| *byte == b',');
    is_true(&country) && countries.any(|one| one.eq_ignore_ascii_case(&country))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p0f_has_names_and_values_in_turns() {
        let pairs = wanted(b"genre,windows,,x,distance,3,link,,");
        let expected: [(&[u8], &[u8]); 2] = [(b"genre", b"windows"), (b"distance", b"3")];
        assert_eq!(pairs, expected);
        assert!(wanted(b"").is_empty());
    }
}
