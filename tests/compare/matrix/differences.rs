//! The list of rows in which Camelpost differs from the original, `tests/compare/matrix/differences.txt`.
//!
//! It holds the reasons. What both do stands in docs/tables/hooks.md, which the test keeps up to date.

use super::Compared;
use super::rows::Row;
use camelpost_oracle::known::matches;

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
    /// Words without which it would name the same rows.
    pub fn idle_words(&self, all: &[Compared]) -> Vec<&str> {
        let named: Vec<&Compared> = all
            .iter()
            .filter(|one| self.names(one.setting, &one.row))
            .collect();
        type Name = fn(&Compared) -> &str;
        let lists: [(&[String], Name); 3] = [
            (&self.settings, |one| one.setting),
            (&self.hooks, |one| one.row.place.hook),
            (&self.verdicts, |one| one.row.verdict),
        ];
        let mut idle = Vec::new();
        for (words, name) in lists {
            let unused = |word: &&String| !named.iter().any(|one| matches(word, name(one)));
            idle.extend(words.iter().filter(unused).map(String::as_str));
        }
        idle
    }

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
