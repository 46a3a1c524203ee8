//! The comparison suite: every dialogue with the original daemon and with Camelpost.
//!
//! Each file of `tests/dialogues` is one test here. It starts both daemons, one after the other,
//! with the same config directory, Camelpost a second time without its fast paths (src/perl/fast), and
//! compares replies and delivered bytes. Differences that are
//! meant are listed in `tests/known_differences.txt`. `COMPARE_ONLY=original` (or `camelpost`, or `plain`)
//! runs one part and prints its transcripts; `COMPARE_TRANSCRIPTS=DIR` writes them to files.

#![forbid(unsafe_code)]

mod matrix;

use camelpost_oracle::daemon::Which;
use camelpost_oracle::known::{Known, LIST, matches, without_mark};
use camelpost_oracle::sets::SETS;
use camelpost_oracle::{each_set, play, plugins, read_set, twins};

const CAMELPOST: Which = Which::Camelpost(env!("CARGO_BIN_EXE_camelpost"));

macro_rules! compared {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let text = include_str!(concat!("../dialogues/", stringify!($name), ".txt"));
            if let Err(report) = play(env!("CARGO_BIN_EXE_camelpost"), stringify!($name), text) {
                panic!("{report}");
            }
        }
    )*};
}

each_set!(compared);

#[test]
fn every_file_of_dialogues_is_played() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut files: Vec<String> = std::fs::read_dir(dir)
        .expect("tests/dialogues is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".txt").map(str::to_owned))
        .collect();
    files.sort();
    let mut played: Vec<&str> = SETS.iter().map(|(name, _)| *name).collect();
    played.sort_unstable();
    assert_eq!(
        files, played,
        "tests/oracle/src/sets.rs has to name each file of tests/dialogues"
    );
}

#[test]
fn each_known_difference_names_a_dialogue() {
    let known = Known::read(LIST).expect("known_differences.txt can be read");
    let mut names = Vec::new();
    for (name, text) in SETS {
        let set = read_set(name, text).expect("the set can be read");
        names.extend(set.dialogues.iter().map(|d| format!("{name}/{}", d.name)));
    }
    for entry in &known.entries {
        assert!(
            names
                .iter()
                .any(|name| matches(without_mark(&entry.pattern), name)),
            "known_differences.txt line {}: no dialogue is named {}",
            entry.line,
            entry.pattern
        );
    }
}

#[test]
fn the_table_of_plugins_says_what_the_suite_shows() {
    let sets: Vec<_> = SETS
        .iter()
        .map(|(name, text)| read_set(name, text).expect("the set can be read"))
        .collect();
    let known = Known::read(LIST).expect("known_differences.txt can be read");
    let table = plugins::table(&sets, &known).unwrap_or_else(|wrong| panic!("{wrong}"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables/plugins.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &table).expect("docs/tables/plugins.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        written, table,
        "docs/tables/plugins.md is out of date: UPDATE_EXPECTED=1 cargo test --test compare table_of_plugins"
    );
}

#[test]
fn the_table_of_twins_says_what_the_suite_plays() {
    let sets: Vec<_> = SETS
        .iter()
        .map(|(name, text)| read_set(name, text).expect("the set can be read"))
        .collect();
    let known = Known::read(LIST).expect("known_differences.txt can be read");
    let table = twins::table(&sets, &known);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/twins.md");
    let page = std::fs::read_to_string(path).expect("docs/twins.md is there");
    let (text, written) = page
        .split_once(twins::TABLE)
        .expect("docs/twins.md has the table");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, format!("{text}{table}")).expect("docs/twins.md can be written");
        return;
    }
    assert_eq!(
        format!("{}{written}", twins::TABLE),
        table,
        "docs/twins.md is out of date: UPDATE_EXPECTED=1 cargo test --test compare table_of_twins"
    );
}
