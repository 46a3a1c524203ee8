//! The matrix hooks x verdicts: what each verdict of each hook becomes, with both daemons.
//!
//! The rows are generated (rows.rs), held with a daemon per setting (play.rs, talk.rs), compared,
//! and written down as docs/hooks.md (table.rs): with UPDATE_EXPECTED=1 the file is written anew,
//! else it has to be what this run came to. differences.txt has the reason of each difference.

mod differences;
mod play;
mod rows;
mod talk;

use crate::compare::daemon::{Which, require_original};
use play::{Outcome, Setting, play};
use rows::Row;

/// The settings in which rows are compared with the original.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "plain",
        places: rows::PLACES,
        files: &[],
        besides: "",
    },
    Setting {
        name: "logging",
        places: rows::PLACES,
        files: &[("config/logging", "logging/warn LOGWARN\n")],
        besides: "",
    },
    Setting {
        name: "sources",
        places: rows::SOURCES,
        files: &[("config/matrix_value", "of the file\nsecond line\n")],
        besides: "config logging",
    },
];

/// One row as both daemons played it.
struct Compared {
    setting: &'static str,
    row: Row,
    original: Outcome,
    camelpost: Outcome,
}

#[test]
fn every_verdict_of_every_hook() {
    if let Err(report) = check() {
        panic!("{report}");
    }
}

fn check() -> Result<(), String> {
    require_original()?;
    let mut all = Vec::new();
    for setting in SETTINGS {
        let rows = rows::rows(setting.places);
        let original = play(setting, Which::Original, "0.94")?;
        let camelpost = play(setting, Which::Camelpost, "0.94")?;
        let outcomes = original.into_iter().zip(camelpost);
        all.extend(
            rows.into_iter()
                .zip(outcomes)
                .map(|(row, (original, camelpost))| Compared {
                    setting: setting.name,
                    row,
                    original,
                    camelpost,
                }),
        );
    }
    let report = unlisted_and_stale(&all, &differences::read()?);
    if report.is_empty() {
        Ok(())
    } else {
        Err(report)
    }
}

fn unlisted_and_stale(all: &[Compared], entries: &[differences::Entry]) -> String {
    let mut report = String::new();
    let mut used = vec![false; entries.len()];
    for one in all {
        let name = format!("{}/{}", one.setting, one.row.name());
        let differs = one.original != one.camelpost;
        let mut listed = false;
        for (entry, used) in entries.iter().zip(&mut used) {
            if entry.names(one.setting, &one.row) {
                (listed, *used) = (true, true);
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
                "\n{name} differs, and tests/matrix/differences.txt does not say why:\n\
                 original:  {:?}\ncamelpost: {:?}\n",
                one.original, one.camelpost
            ));
        }
    }
    for (entry, used) in entries.iter().zip(used) {
        if !used {
            report.push_str(&format!(
                "\ndifferences.txt line {}: names no row\n",
                entry.line
            ));
        }
    }
    report
}
