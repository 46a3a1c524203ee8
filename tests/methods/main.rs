//! Every documented method, asked with the original daemon and with Camelpost in both profiles.
//!
//! The rows are `tests/methods/*.txt` (see README.md there). The probe plugin `asks` evaluates each
//! expression inside a session. `docs/tables/methods.md` is made of what came out; `UPDATE_EXPECTED=1`
//! writes it, otherwise it is checked.
//!
//! What upstream's 1.00 answers is recorded in `tests/recorded_100/methods.txt`, so that this needs no
//! checkout of it. Where `QPSMTPD_100` names one, its daemon is asked, too: it has to answer as recorded,
//! or, with UPDATE_EXPECTED=1, that is written anew.

#![forbid(unsafe_code)]

mod ask;
mod read;
mod recorded;
mod table;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ask::Answers;
use camelpost_oracle::daemon::{Which, require_original, upstream};
use camelpost_oracle::facts;
use read::{Ask, Row};

const CAMELPOST: Which = Which::Camelpost(env!("CARGO_BIN_EXE_camelpost"));
const PLAIN: Which = Which::Plain(env!("CARGO_BIN_EXE_camelpost"));

/// Everything that was asked, and all answers.
pub struct Run {
    pub rows: Vec<Row>,
    pub original: Vec<Answers>,
    pub old: Vec<Answers>,
    pub new: Vec<Answers>,
    /// Both profiles without fast paths (src/perl/fast).
    pub plain: [Vec<Answers>; 2],
    /// Recorded, or just given where a checkout is named.
    pub upstream: Vec<Answers>,
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
        if let Some(only) = only() {
            rows.retain(|row| row.name().contains(&only));
        }
        rows.extend(table::introspection());
        let rows = &rows;
        let [original, old, new, upstream, plain, plain_new] = std::thread::scope(|scope| {
            [
                (Which::Original, facts::package()),
                (CAMELPOST, facts::package()),
                (CAMELPOST, "1.00"),
                (Which::Upstream, "1.00"),
                (PLAIN, facts::package()),
                (PLAIN, "1.00"),
            ]
            .map(|(which, profile)| {
                scope.spawn(move || match (which, upstream()) {
                    (Which::Upstream, None) => recorded::read(rows, only().is_none()),
                    _ => ask::ask_all(which, profile, rows),
                })
            })
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a thread died".to_owned()))
            })
        });
        let run = Run {
            rows: rows.clone(),
            original: original?,
            old: old?,
            new: new?,
            plain: [plain?, plain_new?],
            upstream: upstream?,
        };
        if upstream_is_recorded_now() {
            recorded::write(rows, &run.upstream)?;
        }
        Ok(run)
    })
}

fn only() -> Option<String> {
    std::env::var("METHODS_ONLY").ok()
}

fn upstream_is_recorded_now() -> bool {
    upstream().is_some() && std::env::var_os("UPDATE_EXPECTED").is_some() && only().is_none()
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

/// Where two daemons gave something else without a reason, or the same with one.
fn differences(
    [(name, theirs), (our_name, ours)]: [(&str, &[Answers]); 2],
    reason: fn(&Ask) -> Option<&String>,
    is_measure: impl Fn(usize, &Row) -> bool,
) -> String {
    let run = done();
    let mut report = String::new();
    for (r, row, a, ask) in run.asks() {
        if table::is_introspection(row) || !is_measure(r, row) {
            continue;
        }
        let (want, got) = (&theirs[r].values[a], &ours[r].values[a]);
        if (want == got) == reason(ask).is_some() {
            report.push_str(&format!(
                "{} ({}) at {}: {}\n    {name:10} {want}\n    {our_name:10} {got}\n    {}\n",
                row.name(),
                row.place,
                ask.hook,
                ask.code,
                match reason(ask) {
                    Some(reason) => format!("should differ: {reason}"),
                    None => format!("`differs {our_name}: REASON` below it where that is meant"),
                }
            ));
        }
    }
    for (r, row) in run.rows.iter().enumerate() {
        let (theirs, ours) = (&theirs[r], &ours[r]);
        if is_measure(r, row) && (theirs.replies != ours.replies || theirs.log != ours.log) {
            report.push_str(&format!(
                "{} ({}):\n  {name} {:#?}\n  {our_name} {:#?}\n",
                row.name(),
                row.place,
                (&theirs.replies, &theirs.log),
                (&ours.replies, &ours.log)
            ));
        }
    }
    report
}

#[test]
fn each_expression_gives_what_the_original_gives() {
    let run = done();
    fail_if(differences(
        [("original", &run.original), ("0.94", &run.old)],
        |ask| ask.differs.as_ref(),
        |r, _| !table::is_new(run, r),
    ));
}

#[test]
fn each_expression_gives_what_upstream_gives_in_1_00() {
    let run = done();
    // Where a checkout is named it was asked just now: else this is the recording itself.
    let recorded = recorded::read(&run.rows, only().is_none()).unwrap_or_else(|e| panic!("{e}"));
    let mut report = differences(
        [("upstream", &run.upstream), ("1.00", &run.new)],
        |ask| ask.differs_100.as_ref(),
        |_, _| true,
    );
    for (row, (recorded, now)) in run.rows.iter().zip(recorded.iter().zip(&run.upstream)) {
        if recorded != now {
            let name = row.name();
            report.push_str(&format!("{name}: recorded {recorded:#?}\nnow {now:#?}\n"));
        }
    }
    fail_if(report);
}

#[test]
fn each_expression_gives_the_same_without_fast_paths() {
    let run = done();
    let [plain, plain_new] = &run.plain;
    for (name, fast, plain) in [("0.94", &run.old, plain), ("1.00", &run.new, plain_new)] {
        let pair = [(name, &fast[..]), ("plain", &plain[..])];
        fail_if(differences(pair, |_| None, |_, _| true));
    }
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
    if only().is_none() {
        fail_if(table::without_a_row(&done().rows, &done().original));
    }
}

#[test]
fn each_public_method_of_upstream_has_a_row() {
    if only().is_none() {
        fail_if(table::without_a_row(&done().rows, &done().upstream));
    }
}

#[test]
fn the_table_in_docs_is_what_was_seen() {
    if only().is_some() {
        return;
    }
    let path = root().join("docs/tables/methods.md");
    let text = table::markdown(done());
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &text).expect("docs/tables/methods.md can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "docs/tables/methods.md is not what the rows give now: UPDATE_EXPECTED=1 writes it"
    );
}
