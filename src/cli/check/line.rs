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
    let whole = || (None, None, text.to_owned());
    let Some((place, rest)) = text.split_once(": ") else {
        return whole();
    };
    // Words are none, even where they name one.
    if !place.contains('/') || place.contains(' ') {
        return whole();
    }
    match place.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() => {
            (Some(file.to_owned()), line.parse().ok(), rest.to_owned())
        }
        _ => (Some(place.to_owned()), None, rest.to_owned()),
    }
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
            place("what /usr/bin/x is: that"),
            (String::new(), None, "what /usr/bin/x is: that".into())
        );
        assert_eq!(
            place("nothing: of that"),
            (String::new(), None, "nothing: of that".into())
        );
    }
}
