//! Every documented method, asked with the original daemon and with Camelpost in both profiles.
//!
//! The rows are `tests/methods/*.txt` (see README.md there). The probe plugin `asks` evaluates each
//! expression inside a session. `docs/methods.md` is made of what came out; `UPDATE_EXPECTED=1`
//! writes it, otherwise it is checked.

#![forbid(unsafe_code)]

#[path = "methods/ask.rs"]
mod ask;
#[allow(dead_code)]
#[path = "compare/mod.rs"]
mod compare;
#[path = "methods/read.rs"]
mod read;
#[path = "methods/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ask::Answers;
use compare::daemon::{Which, require_original};
use read::{Ask, Row};

/// Everything that was asked, and all answers.
pub struct Run {
    pub rows: Vec<Row>,
    pub original: Vec<Answers>,
    pub old: Vec<Answers>,
    pub new: Vec<Answers>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dir() -> PathBuf {
    root().join("tests/methods")
}

/// Asked once for all tests of this file. METHODS_ONLY takes the rows with that in their name.
fn run() -> &'static Result<Run, String> {
    static RUN: OnceLock<Result<Run, String>> = OnceLock::new();
    RUN.get_or_init(|| {
        require_original()?;
        let mut rows = read::all(&dir())?;
        if let Ok(only) = std::env::var("METHODS_ONLY") {
            rows.retain(|row| row.name().contains(&only));
        }
        rows.extend(table::introspection());
        let rows = &rows;
        let [original, old, new] = std::thread::scope(|scope| {
            [
                (Which::Original, compare::facts::package()),
                (Which::Camelpost, compare::facts::package()),
                (Which::Camelpost, "1.00"),
            ]
            .map(|(which, profile)| scope.spawn(move || ask::ask_all(which, profile, rows)))
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a thread died".to_owned()))
            })
        });
        Ok(Run {
            rows: rows.clone(),
            original: original?,
            old: old?,
            new: new?,
        })
    })
}

fn done() -> &'static Run {
    match run() {
        Ok(run) => run,
        Err(error) => panic!("{error}"),
    }
}

fn fail_if(report: String) {
    assert!(report.is_empty(), "{report}");
}

impl Run {
    pub fn asks(&self) -> impl Iterator<Item = (usize, &Row, usize, &Ask)> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(r, row)| {
            row.asks
                .iter()
                .enumerate()
                .map(move |(a, ask)| (r, row, a, ask))
        })
    }
}

#[test]
fn each_expression_gives_what_the_original_gives() {
    let run = done();
    let mut report = String::new();
    for (r, row, a, ask) in run.asks() {
        if table::is_introspection(row) || table::is_new(run, r) {
            continue;
        }
        let (want, got) = (&run.original[r].values[a], &run.old[r].values[a]);
        if (want == got) == ask.differs.is_some() {
            report.push_str(&format!(
                "{} ({}) at {}: {}\n    original {want}\n    0.94     {got}\n    {}\n",
                row.name(),
                row.place,
                ask.hook,
                ask.code,
                match &ask.differs {
                    Some(reason) => format!("should differ: {reason}"),
                    None => "`differs: REASON` below it where that is meant".to_owned(),
                }
            ));
        }
    }
    for (r, row) in run.rows.iter().enumerate() {
        let (original, old) = (&run.original[r], &run.old[r]);
        if original.replies != old.replies || original.log != old.log {
            report.push_str(&format!(
                "{} ({}):\n  original {:#?}\n  0.94 {:#?}\n",
                row.name(),
                row.place,
                (&original.replies, &original.log),
                (&old.replies, &old.log)
            ));
        }
    }
    fail_if(report);
}

#[test]
fn the_profiles_differ_only_where_it_is_said() {
    let run = done();
    let mut report = String::new();
    for (r, row, a, ask) in run.asks() {
        if table::is_introspection(row) {
            continue;
        }
        let (old, new) = (&run.old[r].values[a], &run.new[r].values[a]);
        if (old == new) == ask.profile.is_some() {
            report.push_str(&format!(
                "{} ({}) at {}: {}\n    0.94 {old}\n    1.00 {new}\n",
                row.name(),
                row.place,
                ask.hook,
                ask.code
            ));
        }
    }
    fail_if(report);
}

#[test]
fn each_value_that_a_row_names_is_given() {
    let run = done();
    let mut report = String::new();
    for (r, row, a, ask) in run.asks() {
        let new = table::is_new(run, r) && !table::is_introspection(row);
        let got = &run.new[r].values[a];
        match &ask.value {
            None if new => report.push_str(&format!(
                "{} ({}): {}\n    the original has no such method, so `= VALUE` has to say what \
                 is right; it gave {got}\n",
                row.name(),
                row.place,
                ask.code
            )),
            Some(value) if value != got => report.push_str(&format!(
                "{} ({}): {}\n    want {value}\n    got  {got}\n",
                row.name(),
                row.place,
                ask.code
            )),
            _ => {}
        }
        if run.old[r].values[a] == "(not asked)" && ask.value.as_deref() != Some("(not asked)") {
            report.push_str(&format!("{}: {} was not asked\n", row.name(), ask.code));
        }
    }
    fail_if(report);
}

#[test]
fn each_public_method_of_the_original_has_a_row() {
    if std::env::var_os("METHODS_ONLY").is_none() {
        fail_if(table::without_a_row(done()));
    }
}

#[test]
fn the_table_in_docs_is_what_was_seen() {
    if std::env::var_os("METHODS_ONLY").is_some() {
        return;
    }
    let path = root().join("docs/methods.md");
    let text = table::markdown(done());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &text).expect("docs/methods.md can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "docs/methods.md is not what the rows give now: UPDATE_EXPECTED=1 writes it"
    );
}
