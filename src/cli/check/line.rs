//! A finding as one line of JSON, with its place. Does not show it.

use serde::{Deserialize, Serialize};

use crate::base::finding::{Finding, Severity};

/// A finding as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) severity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) line: Option<u32>,
    pub(super) text: String,
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Line {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let (file, line, text) = placed(&finding.text);
        Line {
            severity: severity.to_owned(),
            file,
            line,
            text,
        }
    }
}

/// `FILE:LINE: TEXT` or `FILE: TEXT` in its parts.
fn placed(text: &str) -> (Option<String>, Option<u32>, String) {
    let within = || {
        let (file, line) = within(text).unzip();
        (file, line.flatten(), text.to_owned())
    };
    let Some((place, rest)) = text.split_once(": ") else {
        return within();
    };
    // Words are none, even where they name one.
    if !place.contains('/') || place.contains(' ') {
        return within();
    }
    let (file, line) = parts(place);
    (Some(file), line, rest.to_owned())
}

/// `FILE:LINE` or `FILE`.
fn parts(place: &str) -> (String, Option<u32>) {
    match place.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() => (file.to_owned(), line.parse().ok()),
        _ => (place.to_owned(), None),
    }
}

/// The place in those words about a config file that are the original's, and begin in another way.
fn within(text: &str) -> Option<(String, Option<u32>)> {
    const BEGINNINGS: [&str; 3] = ["Circular $include", "config ", "could not open configfile "];
    let is_one = !text.starts_with("config directory ")
        && BEGINNINGS.iter().any(|words| text.starts_with(words));
    let mut words = text.split(' ').filter(|_| is_one);
    let place = words.find(|word| word.starts_with('/'))?;
    Some(parts(place.trim_end_matches(':')))
}

impl Line {
    /// Whether the service would not start with it.
    pub(super) fn is_error(&self) -> bool {
        self.severity == "error"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_and_perhaps_a_line() {
        let place = |text| {
            let (file, line, text) = placed(text);
            (file.unwrap_or_default(), line, text)
        };
        assert_eq!(
            place("/etc/x/plugins:3: what"),
            ("/etc/x/plugins".into(), Some(3), "what".into())
        );
        assert_eq!(
            place("/etc/x/me: what: and"),
            ("/etc/x/me".into(), None, "what: and".into())
        );
        assert_eq!(
            place("Circular $include reference in config a: /x/b:1 includes /x/a again"),
            (
                "/x/b".into(),
                Some(1),
                "Circular $include reference in config a: /x/b:1 includes /x/a again".into()
            )
        );
        assert_eq!(
            place("could not open configfile /x/a: denied"),
            (
                "/x/a".into(),
                None,
                "could not open configfile /x/a: denied".into()
            )
        );
        assert_eq!(
            place("what /usr/bin/x is: that"),
            (String::new(), None, "what /usr/bin/x is: that".into())
        );
        assert_eq!(
            place("nothing: of that"),
            (String::new(), None, "nothing: of that".into())
        );
    }
}
