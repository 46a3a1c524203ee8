//! What upstream's 1.00 has come to in the rows of a setting: `tests/recorded_100/matrix_*.txt`.
//!
//! It has no process here. Parts of a line are set off by tabs, which no reply has.

use super::play::{Outcome, Setting};
use super::rows::Row;
use super::talk::{ENDS, LATER, Said};
use std::fmt::Write;

fn path(setting: &Setting) -> String {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded_100");
    format!("{dir}/matrix_{}.txt", setting.name)
}

/// In the rows' order.
pub fn read(setting: &Setting) -> Result<Vec<Outcome>, String> {
    let path = path(setting);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        format!("{path}: {e}; QPSMTPD_100=DIR make record-100 writes it, DIR being a checkout")
    })?;
    let rows = setting.rows();
    let names = |line: &str, row: &Row| {
        let mut words = line.strip_prefix("=== ").unwrap_or_default().split(' ');
        words.next() == Some(row.place.hook) && words.any(|verdict| verdict == row.verdict)
    };
    let find = |row: &Row| {
        let lines = text.lines().skip_while(|line| !names(line, row)).skip(1);
        let lines: Vec<&str> = lines.take_while(|line| !line.starts_with("=== ")).collect();
        outcome(&lines)
            .ok_or_else(|| format!("{path}: nothing that can be read for {}", row.name()))
    };
    rows.iter().map(find).collect()
}

pub fn write(setting: &Setting, outcomes: &[Outcome]) -> Result<(), String> {
    let mut text = format!(
        "# What qpsmtpd 1.00 came to in the rows of tests/compare/matrix ({}).\n",
        setting.name
    );
    // Verdicts of a hook with the same outcome share one.
    let mut groups: Vec<(String, &str, &Outcome)> = Vec::new();
    for (row, outcome) in setting.rows().iter().zip(outcomes) {
        let hook = row.place.hook;
        match groups
            .iter_mut()
            .find(|(_, h, o)| *h == hook && *o == outcome)
        {
            Some((head, ..)) => head.push_str(&format!(" {}", row.verdict)),
            None => groups.push((format!("=== {hook} {}", row.verdict), hook, outcome)),
        }
    }
    for (head, _, outcome) in groups {
        let _ = writeln!(text, "{head}");
        for reply in &outcome.said.replies {
            let _ = writeln!(text, "reply\t{reply}");
        }
        if let Some(state) = &outcome.said.state {
            let _ = writeln!(text, "state\t{state}");
        }
        for (command, replies) in &outcome.said.after {
            let _ = writeln!(text, "after\t{}", joined(command, replies));
        }
        for hooks in &outcome.hooks {
            let _ = writeln!(text, "hooks{}", joined("", hooks));
        }
        for line in &outcome.log {
            let _ = writeln!(text, "log\t{line}");
        }
        let _ = writeln!(text, "end\t{}", outcome.said.end);
    }
    let path = path(setting);
    std::fs::write(&path, text).map_err(|e| format!("{path}: {e}"))
}

fn joined(first: &str, rest: &[String]) -> String {
    let rest = rest.iter().map(|text| format!("\t{text}"));
    std::iter::once(first.to_owned()).chain(rest).collect()
}

fn outcome(lines: &[&str]) -> Option<Outcome> {
    let mut said = Said::default();
    let (mut hooks, mut log, mut whole) = (Vec::new(), Vec::new(), false);
    for line in lines {
        let mut parts = line.split('\t');
        let key = parts.next()?;
        let values: Vec<&str> = parts.collect();
        let owned = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect();
        match (key, &values[..]) {
            ("reply", [text]) => said.replies.push((*text).to_owned()),
            ("state", [text]) => said.state = Some((*text).to_owned()),
            ("after", [command, replies @ ..]) => {
                let command = LATER.iter().find(|one| *one == command)?;
                said.after.push((*command, owned(replies)));
            }
            ("hooks", names) => hooks.push(owned(names)),
            ("log", [text]) => log.push((*text).to_owned()),
            ("end", [text]) => {
                said.end = ENDS.iter().find(|one| *one == text)?;
                whole = true;
            }
            _ => return None,
        }
    }
    whole.then_some(Outcome { said, hooks, log })
}
