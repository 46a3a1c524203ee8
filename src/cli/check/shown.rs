//! Findings as people or scripts want them. Knows nothing of how they were found.

use std::io::{IsTerminal, Write};

use super::line::Line;

/// Colours of a terminal.
const ERROR: &str = "31";
const WARNING: &str = "33";
const NOTE: &str = "36";
const GOOD: &str = "32";

/// Prints all of them, for people with the sum of them behind.
pub(super) fn show(findings: &[Line], json: bool) {
    let mut out = std::io::stdout().lock();
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut text = String::new();
    for line in findings {
        if json {
            text += &serde_json::to_string(line).unwrap_or_default();
        } else {
            let colour = match &*line.severity {
                "error" => ERROR,
                "warning" => WARNING,
                _ => NOTE,
            };
            match colours {
                true => text += &format!("\x1b[1;{colour}m{}\x1b[0m: ", line.severity),
                false => text += &format!("{}: ", line.severity),
            }
            let place = match (&line.file, line.line) {
                (Some(file), Some(at)) => format!("{file}:{at}: "),
                (Some(file), None) => format!("{file}: "),
                (None, _) => String::new(),
            };
            text += &place;
            text += &line.text;
        }
        text.push('\n');
    }
    if !json {
        text += &sum(findings, colours);
        text.push('\n');
    }
    // A reader that has gone wants no more.
    let _ = out.write_all(text.as_bytes());
}

/// How many of each kind there are.
fn sum(findings: &[Line], colours: bool) -> String {
    let count = |severity: &str| {
        let those = findings.iter().filter(|line| line.severity == severity);
        those.count()
    };
    let (errors, warnings, notes) = (count("error"), count("warning"), count("note"));
    let mut text = format!("{}, {}", some(errors, "error"), some(warnings, "warning"));
    if notes > 0 {
        text += &format!(", {}", some(notes, "note"));
    }
    let colour = match (errors, warnings) {
        (0, 0) => GOOD,
        (0, _) => WARNING,
        _ => ERROR,
    };
    match colours {
        true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
        false => text,
    }
}

fn some(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(severities: &[&str]) -> Vec<Line> {
        let line = |severity: &&str| Line {
            severity: (*severity).to_owned(),
            file: None,
            line: None,
            text: "x".to_owned(),
        };
        severities.iter().map(line).collect()
    }

    #[test]
    fn the_sum_says_how_many_there_are_and_is_as_bad_as_the_worst() {
        assert_eq!(sum(&[], false), "no errors, no warnings");
        let some = lines(&["error", "warning", "warning", "note"]);
        assert_eq!(sum(&some, false), "1 error, 2 warnings, 1 note");
        assert!(sum(&some, true).starts_with("\x1b[1;31m1 error"));
        assert!(sum(&some[3..], true).starts_with("\x1b[1;32mno errors"));
    }
}
