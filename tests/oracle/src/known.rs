//! The lists of known differences, `tests/known_differences.txt` for 0.94 and
//! `tests/known_differences_100.txt` for 1.00: reads them and finds entries.
//!
//! An entry stands for one hunk of one dialogue, or of each dialogue that its pattern names. Where the hunk has
//! perl's own words, it may say of which perl: `perl before 5.38`, `perl from 5.38`.

use crate::diff::Hunk;
use crate::facts;

/// A list's name and its text.
pub type List = (&'static str, &'static str);

pub const LIST: List = (
    "known_differences.txt",
    include_str!("../../known_differences.txt"),
);

#[allow(dead_code, reason = "the suite of 1.00 reads it")]
pub const LIST_100: List = (
    "known_differences_100.txt",
    include_str!("../../known_differences_100.txt"),
);

#[derive(Debug, Default)]
pub struct Known {
    pub file: &'static str,
    pub entries: Vec<Entry>,
}

#[derive(Debug)]
pub struct Entry {
    pub pattern: String,
    pub line: usize,
    pub hunk: Hunk,
    pub reason: String,
    /// The perl before which, and from which on, the hunk is what shows.
    before: Option<(u32, u32)>,
    from: Option<(u32, u32)>,
}

impl Entry {
    fn is_of(&self, perl: (u32, u32)) -> bool {
        self.before.is_none_or(|version| perl < version)
            && self.from.is_none_or(|version| perl >= version)
    }
}

impl Known {
    pub fn read((file, list): List) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, line) in list.lines().enumerate() {
            let at = number + 1;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            if key == "dialogue" {
                let hunk = Hunk {
                    original: Vec::new(),
                    camelpost: Vec::new(),
                };
                let pattern = value.trim().to_owned();
                entries.push(Entry {
                    pattern,
                    line: at,
                    hunk,
                    reason: String::new(),
                    before: None,
                    from: None,
                });
                continue;
            }
            let Some(entry) = entries.last_mut() else {
                return Err(format!("{file} line {at}: no `dialogue` before it"));
            };
            match key {
                "-" => entry.hunk.original.push(value.to_owned()),
                "+" => entry.hunk.camelpost.push(value.to_owned()),
                "perl" => {
                    let (when, version) = value.split_once(' ').unwrap_or((value, ""));
                    let version = facts::version(version);
                    match (when, version) {
                        ("before", Some(_)) => entry.before = version,
                        ("from", Some(_)) => entry.from = version,
                        _ => return Err(format!("{file} line {at}: not known: {line}")),
                    }
                }
                "because" => entry.reason = value.to_owned(),
                _ => {
                    return Err(format!("{file} line {at}: not known: {line}"));
                }
            }
        }
        if let Some(entry) = entries.iter().find(|e| e.reason.is_empty()) {
            return Err(format!(
                "{file} line {}: {} has no reason (`because …`)",
                entry.line, entry.pattern
            ));
        }
        Ok(Self { file, entries })
    }

    /// The entries for a dialogue, which is named `set/dialogue`, and may have marks like ` (x)` behind
    /// it: those for its name alone count, too, and those with one of the marks, or all. Those of another perl do not.
    pub fn of<'a>(&'a self, dialogue: &'a str) -> impl Iterator<Item = &'a Entry> {
        let bare = without_mark(dialogue);
        let marks = dialogue[bare.len()..].split_inclusive(')');
        let mut names: Vec<String> = marks.map(|mark| format!("{bare}{mark}")).collect();
        names.extend([bare.to_owned(), dialogue.to_owned()]);
        let names = move |entry: &&Entry| {
            let named = |name: &String| matches(&entry.pattern, name);
            entry.is_of(facts::perl()) && names.iter().any(named)
        };
        self.entries.iter().filter(names)
    }
}

/// A dialogue's name without the mark behind it.
pub fn without_mark(name: &str) -> &str {
    name.split_once(" (").map_or(name, |(name, _)| name)
}

/// A hunk as it has to stand in the list, without its reason.
pub fn entry_text(dialogue: &str, hunk: &Hunk) -> String {
    let mut text = format!("dialogue {dialogue}\n");
    for (mark, lines) in [('-', &hunk.original), ('+', &hunk.camelpost)] {
        for line in lines {
            text.push_str(&format!("{mark} {line}\n"));
        }
    }
    text
}

/// `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|&i| tail.is_char_boundary(i))
                .any(|i| matches(rest, &tail[i..]))
        }),
    }
}
