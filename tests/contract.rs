//! docs/tables/contract.md: every phrase of the plugin contract and the test that shows it; docs/security.md: every
//! promise and the same. A row that names no existing test fails here, and so does a row of HOOKS' table that
//! is not there. The same for the table of fast paths (src/perl/fast/mod.rs).
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use camelpost::perl::fast::TABLE;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the checklist: line number, phrase, names of tests.
fn rows() -> Vec<(usize, String, Vec<String>)> {
    let text = fs::read_to_string(root().join("docs/tables/contract.md"))
        .expect("docs/tables/contract.md");
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_row = line.starts_with("| ") && !["what", "---"].contains(&cells[0]);
        if !is_row {
            continue;
        }
        assert_eq!(
            cells.len(),
            2,
            "docs/tables/contract.md line {}: two cells expected",
            number + 1
        );
        let tests = cells[1].split('`').skip(1).step_by(2).map(str::to_owned);
        rows.push((number + 1, cells[0].to_owned(), tests.collect()));
    }
    rows
}

/// The files below tests/, by their path from there.
fn files() -> HashMap<String, PathBuf> {
    let top = root().join("tests");
    let mut found = HashMap::new();
    let mut dirs = vec![top.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory of tests").flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(name) = path.strip_prefix(&top) {
                found.insert(name.display().to_string(), path.clone());
            }
        }
    }
    found
}

/// `SET/DIALOGUE`, `FILE.rs: function` or `FILE.t: text`: whether there is such a test.
fn exists(name: &str, files: &HashMap<String, PathBuf>) -> Result<(), String> {
    let read = |file: &str| {
        let of_the_source = file.starts_with("src/").then(|| root().join(file));
        let path = of_the_source.as_ref().or_else(|| files.get(file));
        let path = path.ok_or(format!("there is no tests/{file}"))?;
        fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))
    };
    if let Some((file, test)) = name.split_once(": ") {
        let text = read(file)?;
        let there = match file.ends_with(".rs") {
            true => text.contains(&format!("fn {test}(")),
            false => text.contains(&format!("'{test}'")),
        };
        return there
            .then_some(())
            .ok_or(format!("tests/{file} has no test {test}"));
    }
    let (set, dialogue) = name
        .split_once('/')
        .ok_or("neither SET/DIALOGUE nor FILE: TEST")?;
    let text = read(&format!("dialogues/{set}.txt"))?;
    let heading = format!("=== {dialogue}");
    let there = text.lines().any(|line| line.trim_end() == heading);
    there
        .then_some(())
        .ok_or(format!("tests/dialogues/{set}.txt has no {heading}"))
}

#[test]
fn each_row_of_the_checklist_names_tests_that_exist() {
    let files = files();
    let mut wrong = Vec::new();
    for (number, phrase, tests) in rows() {
        if tests.is_empty() {
            wrong.push(format!("line {number}: no test is named: {phrase}"));
        }
        for test in &tests {
            if let Err(problem) = exists(test, &files) {
                wrong.push(format!("line {number}: `{test}`: {problem}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/tables/contract.md:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_promise_of_security_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md");
    let files = files();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !line.starts_with("| ") || ["promise", "---"].contains(&cells[0]) {
            continue;
        }
        rows += 1;
        let tests: Vec<&str> = match cells.as_slice() {
            [_, _, _, _, tests] => tests.split('`').skip(1).step_by(2).collect(),
            _ => {
                wrong.push(format!("line {number}: five cells expected"));
                continue;
            }
        };
        if tests.is_empty() {
            wrong.push(format!("line {number}: no test is named"));
        }
        let problems = tests
            .iter()
            .filter_map(|test| Some(format!("`{test}`: {}", exists(test, &files).err()?)));
        wrong.extend(problems.map(|problem| format!("line {number}: {problem}")));
    }
    assert!(wrong.is_empty(), "docs/security.md:\n{}", wrong.join("\n"));
    assert!(rows > 20, "{rows} rows");
}

#[test]
fn each_fast_path_names_a_test_that_exists() {
    let files = files();
    let mut wrong = Vec::new();
    for path in TABLE {
        if let Err(problem) = exists(path.test, &files) {
            wrong.push(format!("{}: {problem}", path.name));
        }
        if !root().join(path.place).exists() {
            wrong.push(format!("{}: there is no {}", path.name, path.place));
        }
    }
    assert!(
        wrong.is_empty(),
        "src/perl/fast/mod.rs:\n{}",
        wrong.join("\n")
    );
}

/// A file that asks for the switch belongs to a row.
#[test]
fn each_file_of_fast_paths_has_a_row() {
    let dir = root().join("src/perl/fast");
    for entry in fs::read_dir(dir).expect("src/perl/fast").flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let name = file.trim_end_matches(".rs");
        let known = TABLE.iter().any(|path| path.name == name);
        assert!(known || name == "mod", "src/perl/fast/{file} has no row");
    }
}

#[test]
fn no_phrase_stands_there_twice() {
    let rows = rows();
    assert!(rows.len() > 90, "{} rows", rows.len());
    let mut lines = HashMap::new();
    for (number, phrase, _) in &rows {
        if let Some(other) = lines.insert(phrase, number) {
            panic!("docs/tables/contract.md lines {other} and {number}: {phrase}");
        }
    }
}

#[test]
fn a_row_that_names_no_test_is_found_out() {
    let files = files();
    assert!(exists("done/helo", &files).is_ok());
    assert!(exists("contract.rs: a_row_that_names_no_test_is_found_out", &files).is_ok());
    for name in [
        "done/hel",
        "nonsuch/helo",
        "contract.rs: a_row",
        "nonsuch.rs: x",
        "helo",
    ] {
        assert!(exists(name, &files).is_err(), "{name}");
    }
}

/// Each hook that a plugin may register has its phrase.
#[test]
fn every_hook_has_a_row() {
    let rows = rows();
    for hook in camelpost::hook::Hook::ALL {
        let quoted = format!("hook {}", hook.name());
        let named = rows.iter().any(|(_, phrase, _)| {
            phrase
                .split([',', ':', ';'])
                .any(|part| part.trim() == quoted)
        });
        assert!(named, "docs/tables/contract.md has no row with `{quoted}`");
    }
}
