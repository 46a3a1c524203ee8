//! The list of rows in which Camelpost differs from the original, `tests/matrix/differences.txt`.
//!
//! It holds the reasons. What both do stands in docs/hooks.md, which the test keeps up to date.

use super::rows::Row;
use crate::compare::known::matches;

const LIST: &str = include_str!("differences.txt");

#[derive(Debug, Default)]
pub struct Entry {
    pub line: usize,
    settings: Vec<String>,
    hooks: Vec<String>,
    verdicts: Vec<String>,
    pub reason: String,
}

impl Entry {
    pub fn names(&self, setting: &str, row: &Row) -> bool {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|p| matches(p, name));
        any(&self.settings, setting)
            && any(&self.hooks, row.place.hook)
            && any(&self.verdicts, row.verdict)
    }
}

pub fn read() -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in LIST.lines().enumerate() {
        let at = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| Err(format!("differences.txt line {at}: {what}: {line}"));
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        if key == "settings" {
            entries.push(Entry {
                line: at,
                settings: words,
                ..Entry::default()
            });
            continue;
        }
        let Some(entry) = entries.last_mut() else {
            return wrong("no `settings` before it");
        };
        match key {
            "hooks" => entry.hooks.extend(words),
            "verdicts" => entry.verdicts.extend(words),
            "because" => value.clone_into(&mut entry.reason),
            _ => return wrong("not known"),
        }
    }
    let empty = |e: &&Entry| e.reason.is_empty() || e.hooks.is_empty() || e.verdicts.is_empty();
    match entries.iter().find(empty) {
        Some(entry) => Err(format!(
            "differences.txt line {}: an entry needs `hooks`, `verdicts` and `because`",
            entry.line
        )),
        None => Ok(entries),
    }
}
