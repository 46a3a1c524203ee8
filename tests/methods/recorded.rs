//! What upstream's 1.00 answered to the rows, `tests/recorded_100/methods.txt`: read, and written anew.
//!
//! The file holds our questions and what came out, in the form of the rows; nothing else. It asks nobody.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use super::ask::Answers;
use super::read::Row;

const HEAD: &str =
    "# What qpsmtpd 1.00 answered to the rows of tests/methods (README.md). Not written by hand.\n";

fn path() -> PathBuf {
    super::root().join("tests/recorded_100/methods.txt")
}

/// A row's questions as the file has them, so that another question has no old answer.
fn questions(row: &Row) -> Vec<String> {
    let question = |ask: &super::read::Ask| {
        let lines = ask.code.replace('\n', "\n    ");
        format!("{} {lines}", ask.hook)
    };
    row.asks.iter().map(question).collect()
}

pub fn write(rows: &[Row], answers: &[Answers]) -> Result<(), String> {
    let mut text = HEAD.to_owned();
    for (row, answers) in rows.iter().zip(answers) {
        let _ = writeln!(text, "=== {}", row.name());
        for (question, value) in questions(row).iter().zip(&answers.values) {
            let _ = writeln!(text, "- {question}\n= {value}");
        }
        for (key, lines) in [("reply", &answers.replies), ("log", &answers.log)] {
            for line in lines {
                let _ = writeln!(text, "{key} {line}");
            }
        }
    }
    let path = path();
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The answers of each row. Rows that are not recorded as they stand, and recorded ones that no
/// row asks, are an error; `all` is false where only some of the rows are asked.
pub fn read(rows: &[Row], all: bool) -> Result<Vec<Answers>, String> {
    let path = path();
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut sections = parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for row in rows {
        match sections.remove(&row.name()) {
            Some((asked, answers)) if asked == questions(row) => found.push(answers),
            Some(_) => wrong.push(format!(
                "{} ({}) asks something else",
                row.name(),
                row.place
            )),
            None => wrong.push(format!("{} ({}) is not recorded", row.name(), row.place)),
        }
    }
    if all {
        let stale = sections.into_keys();
        wrong.extend(stale.map(|name| format!("{name} is recorded, and no row asks it")));
    }
    if wrong.is_empty() {
        return Ok(found);
    }
    Err(format!(
        "{}: QPSMTPD_100=DIR make record-100 writes it anew, DIR being a checkout of upstream's \
         repository:\n{}",
        path.display(),
        wrong.join("\n")
    ))
}

type Section = (Vec<String>, Answers);

fn parse(text: &str) -> Result<BTreeMap<String, Section>, String> {
    let mut sections = BTreeMap::new();
    let mut name = None;
    let mut section = Section::default();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(next) = line.strip_prefix("=== ") {
            if let Some(name) = name.replace(next.to_owned()) {
                sections.insert(name, std::mem::take(&mut section));
            }
            continue;
        }
        let (asked, answers) = &mut section;
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match (key, asked.last_mut()) {
            ("-", _) => asked.push(value.to_owned()),
            ("=", Some(_)) => answers.values.push(value.to_owned()),
            ("reply", _) => answers.replies.push(value.to_owned()),
            ("log", _) => answers.log.push(value.to_owned()),
            ("", Some(question)) => {
                question.push('\n');
                question.push_str(line);
            }
            _ => return Err(format!("line {}: not known here: {line}", number + 1)),
        }
        if answers.values.len() > asked.len() {
            return Err(format!("line {}: two answers", number + 1));
        }
    }
    sections.extend(name.map(|name| (name, section)));
    match sections
        .iter()
        .find(|(_, (a, b))| a.len() != b.values.len())
    {
        Some((name, _)) => Err(format!("{name}: a question without an answer")),
        None => Ok(sections),
    }
}
