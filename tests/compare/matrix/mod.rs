//! The matrix hooks x verdicts: what each verdict of each hook becomes, with both daemons.
//!
//! The rows are generated (rows.rs), held with a daemon per setting (play.rs, talk.rs), compared,
//! and written down as docs/tables/hooks.md (table.rs): with UPDATE_EXPECTED=1 the file is written anew,
//! else it has to be what this run came to. differences.txt has the reason of each difference.

mod cells;
mod complaints;
mod differences;
mod facts;
mod fork;
mod play;
mod recorded;
mod rows;
mod table;
mod talk;

use crate::CAMELPOST;
use camelpost_oracle::daemon::{Which, require_original, upstream};
use camelpost_oracle::facts::{has_revision, package};
use play::{Outcome, Setting, play};
use rows::Row;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables/hooks.md");

/// The settings in which rows are compared with the original.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "plain",
        places: rows::PLACES,
        files: &[],
        besides: "",
        verdicts: &[],
        without: &[],
    },
    Setting {
        name: "logging",
        places: rows::PLACES,
        files: &[("config/logging", "logging/warn LOGWARN\n")],
        besides: "",
        verdicts: rows::CODES,
        without: &[],
    },
    Setting {
        name: "sources",
        places: rows::SOURCES,
        files: &[("config/matrix_value", "of the file\nsecond line\n")],
        besides: "config logging",
        verdicts: &[],
        without: &[],
    },
];

/// The settings in which rows are compared with what upstream's 1.00 has come to: the first one of
/// 0.94, and the hooks that only 1.00 has.
const LATER: &[Setting] = &[
    Setting {
        name: "1.00",
        without: NO_LONGER,
        ..SETTINGS[0]
    },
    ADDED,
];
/// Verdicts that 1.00 has no names for.
const NO_LONGER: &[&str] = &["YIELD", "CONTINUATION+text"];
const ADDED: Setting = Setting {
    name: "added",
    places: rows::LATER,
    files: &[("config/matrix_value", "of the file\nsecond line\n")],
    besides: "data_post_headers user_config",
    verdicts: &[],
    without: NO_LONGER,
};

/// One row as both daemons played it.
struct Compared {
    setting: &'static str,
    row: Row,
    original: Outcome,
    camelpost: Outcome,
}

/// The rows of a setting as both have played them.
fn compared(
    setting: &Setting,
    original: Vec<Outcome>,
    camelpost: Vec<Outcome>,
) -> impl Iterator<Item = Compared> {
    let name = setting.name;
    let outcomes = original.into_iter().zip(camelpost);
    let rows = setting.rows().into_iter().zip(outcomes);
    rows.map(move |(row, (original, camelpost))| Compared {
        setting: name,
        row,
        original,
        camelpost,
    })
}

#[test]
fn every_verdict_of_every_hook() {
    if let Err(report) = check() {
        panic!("{report}");
    }
}

fn check() -> Result<(), String> {
    require_original()?;
    let (mut all, mut report) = (Vec::new(), String::new());
    for setting in SETTINGS {
        let mut original = play(setting, Which::Original, package())?;
        let mut camelpost = play(setting, CAMELPOST, package())?;
        by_revision(setting, &mut original.outcomes);
        by_revision(setting, &mut camelpost.outcomes);
        report.push_str(&complaints::report(setting, &original, &camelpost));
        all.extend(compared(setting, original.outcomes, camelpost.outcomes));
    }
    for setting in LATER {
        if std::env::var_os("UPDATE_EXPECTED").is_some() && upstream().is_some() {
            let played = play(setting, Which::Upstream, "1.00")?;
            recorded::write(setting, &played.outcomes)?;
        }
        let original = recorded::read(setting)?;
        let camelpost = play(setting, CAMELPOST, "1.00")?.outcomes;
        all.extend(compared(setting, original, camelpost));
    }
    let entries = differences::read()?;
    report.push_str(&unlisted_and_stale(&all, &entries));
    report.push_str(&changed_by_logging(&all));
    report.push_str(&facts::report(&all));
    if !report.is_empty() {
        return Err(report);
    }
    up_to_date(&table::page(&all, &entries))
}

/// Hook received_line with OK: the field of the message that the package has from revision 6 on, and not
/// before, has brackets in the page. Where it is not so, it has none, and the page is found to differ.
fn by_revision(setting: &Setting, outcomes: &mut [Outcome]) {
    let kept = has_revision(6);
    for (row, outcome) in setting.rows().iter().zip(outcomes) {
        if row.place.hook != "received_line" || !row.verdict.starts_with("OK") {
            continue;
        }
        for line in outcome.hooks.iter_mut().flatten() {
            let Some(fields) = line.strip_prefix("header: ") else {
                continue;
            };
            match (kept, fields.strip_prefix("Received ")) {
                (true, Some(rest)) => *line = format!("header: [Received] {rest}"),
                (false, None) => *line = format!("header: [Received] {fields}"),
                _ => {}
            }
        }
    }
}

/// Writes the page, or says where the one in docs is not what was seen.
fn up_to_date(page: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        return std::fs::write(PAGE, page).map_err(|e| format!("{PAGE}: {e}"));
    }
    let written = std::fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    let differs = |(_, (old, new)): &(usize, (&str, &str))| old != new;
    let ends = [written.lines().count(), page.lines().count()];
    match (1..).zip(written.lines().zip(page.lines())).find(differs) {
        None if ends[0] == ends[1] => Ok(()),
        found => {
            let (line, (old, new)) = found.unwrap_or((ends[0], ("(the end)", "(the end)")));
            Err(format!(
                "docs/tables/hooks.md line {line} is not what this run came to; write it anew with \
                 UPDATE_EXPECTED=1 if it is meant\nwritten: {old}\nseen:    {new}"
            ))
        }
    }
}

fn of<'a>(all: &'a [Compared], setting: &str, hook: &str, verdict: &str) -> Option<&'a Compared> {
    all.iter().find(|one| {
        let row = &one.row;
        one.setting == setting && row.place.hook == hook && row.verdict == verdict
    })
}

/// Camelpost does the same with and without a logging plugin.
fn changed_by_logging(all: &[Compared]) -> String {
    let mut report = String::new();
    for one in all.iter().filter(|one| one.setting == "logging") {
        let plain = of(all, "plain", one.row.place.hook, one.row.verdict);
        if plain.is_none_or(|plain| plain.camelpost != one.camelpost) {
            report.push_str(&format!(
                "\n{}: a logging plugin changes what Camelpost does:\nwithout: {:?}\nwith:    {:?}\n",
                one.row.name(),
                plain.map(|plain| &plain.camelpost),
                one.camelpost
            ));
        }
    }
    report
}

fn unlisted_and_stale(all: &[Compared], entries: &[differences::Entry]) -> String {
    let mut report = String::new();
    for one in all {
        let name = format!("{}/{}", one.setting, one.row.name());
        let differs = one.original != one.camelpost;
        let mut listed = false;
        for entry in entries {
            if entry.names(one.setting, &one.row) {
                listed = true;
                if !differs {
                    report.push_str(&format!(
                        "\n{name}: the difference of differences.txt line {} no longer shows ({})\n",
                        entry.line, entry.reason
                    ));
                }
            }
        }
        if differs && !listed {
            report.push_str(&format!(
                "\n{name} differs, and tests/compare/matrix/differences.txt does not say why:\n\
                 original:  {:?}\ncamelpost: {:?}\n",
                one.original, one.camelpost
            ));
        }
    }
    for entry in entries {
        let idle = entry.idle_words(all);
        if !idle.is_empty() {
            report.push_str(&format!(
                "\ndifferences.txt line {}: these words stand for no row: {}\n",
                entry.line,
                idle.join(" ")
            ));
        }
    }
    report
}
