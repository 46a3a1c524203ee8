//! Links between pages lead to files and headings that are there, and files that are named in the running text are.
//! Figures in README.md are those of the last run of the bench.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use camelpost_support::repository;

use crate::page::{Page, all};

/// The targets of `[text](target)`.
fn targets(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    links
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .collect()
}

/// As GitHub makes an anchor of a heading: small letters, blanks as dashes, without other marks.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

fn wrong(page: &Page, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file.is_empty() {
        true => page.path(),
        false => page.path().parent().unwrap().join(file),
    };
    if !path.exists() {
        return Some(format!("{}: there is no {file}", page.name));
    }
    let is_there = heading.is_empty() || anchors(&path).contains(heading);
    (!is_there).then(|| format!("{}: {file} has no #{heading}", page.name))
}

#[test]
fn each_link_leads_somewhere() {
    let (mut problems, mut asked) = (Vec::new(), 0);
    for page in all() {
        let text: String = page.text.replace("\n", " ");
        for target in targets(&text) {
            asked += 1;
            problems.extend(wrong(&page, target));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(asked > 60, "{asked}");
}

/// The paths `docs/….md` that a text names.
fn named(text: &str) -> Vec<&str> {
    let starts = text.match_indices("docs/").filter(|(at, _)| {
        // Not the end of another path.
        !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
    });
    let paths = starts.map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/_-.".contains(c)));
        rest[..end.unwrap_or(rest.len())].trim_end_matches('.')
    });
    paths.filter(|path| path.ends_with(".md")).collect()
}

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let ends = [".rs", ".c", ".h", ".pm", ".txt", ".md"];
        if path.is_dir() {
            sources(&path, found);
        } else if ends.iter().any(|end| path.to_string_lossy().ends_with(end)) {
            found.push(path);
        }
    }
}

/// In the program's help and messages, in comments, in pages.
#[test]
fn each_page_that_is_named_is_there() {
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches", "packaging", "docs", "examples"] {
        sources(&repository().join(dir), &mut files);
    }
    for page in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Makefile",
    ] {
        files.push(repository().join(page));
    }
    let (mut problems, mut asked) = (Vec::new(), 0);
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        for path in named(&text) {
            asked += 1;
            if !repository().join(path).exists() {
                problems.push(format!("{}: {path}", file.display()));
            }
        }
    }
    assert!(problems.is_empty(), "not there:\n{}", problems.join("\n"));
    assert!(asked > 60, "{asked}");
}

/// Each page of docs is in the index.
#[test]
fn the_index_has_every_page() {
    let index = Page::of("docs/README.md");
    let linked: BTreeSet<&str> = targets(&index.text).into_iter().collect();
    let mut missing = Vec::new();
    for page in all() {
        let Some(name) = page.name.strip_prefix("docs/") else {
            continue;
        };
        if name != "README.md" && !linked.contains(name) {
            missing.push(name.to_owned());
        }
    }
    assert!(missing.is_empty(), "docs/README.md has no {missing:?}");
}

/// A table's row as its cells.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// Runs of lines that are tables, each row as its cells.
fn tables(text: &str) -> Vec<Vec<Vec<&str>>> {
    let lines: Vec<&str> = text.lines().collect();
    let runs = lines.split(|line| !line.starts_with('|'));
    runs.filter(|run| !run.is_empty())
        .map(|run| run.iter().map(|row| cells(row)).collect())
        .collect()
}

/// What the bench calls a column of README's.
fn column(head: &str) -> String {
    match head.to_lowercase().replace("qpsmtpd-", "") {
        name if name.contains("native") => "native".to_owned(),
        name => name,
    }
}

/// A table of README's has the figures of the bench's table that has all its columns, and its first row.
#[test]
fn the_figures_of_the_readme_are_the_bench_s() {
    let readme = Page::of("README.md").text;
    let (_, speed) = readme.split_once("\n## Speed\n").unwrap();
    let bench = Page::of("docs/bench.md").text;
    let measured = tables(&bench);
    let mut compared = Vec::new();
    for table in tables(speed) {
        let [heads, _, rows @ ..] = &table[..] else {
            panic!("{table:?}")
        };
        let columns: Vec<String> = heads.iter().skip(1).map(|head| column(head)).collect();
        let of_bench = measured.iter().find(|other| {
            let has = |name: &String| other[0].contains(&name.as_str());
            columns.iter().all(has) && other.iter().any(|row| row[0] == rows[0][0])
        });
        let of_bench = of_bench.unwrap_or_else(|| panic!("docs/bench.md has no {columns:?}"));
        for row in rows {
            let other = of_bench.iter().find(|other| other[0] == row[0]);
            let other = other.unwrap_or_else(|| panic!("docs/bench.md has no row {}", row[0]));
            for (name, figure) in columns.iter().zip(&row[1..]) {
                let at = of_bench[0].iter().position(|head| head == name).unwrap();
                assert_eq!(*figure, other[at], "{name}, {}", row[0]);
                compared.push(name.clone());
            }
        }
    }
    for name in ["forkserver", "prefork", "camelpost", "native", "haraka"] {
        let count = compared.iter().filter(|other| *other == name).count();
        assert!(count >= 3, "{name}: {compared:?}");
    }
    let sizes = speed
        .match_indices(" kB")
        .map(|(at, _)| speed[..at].split(' ').next_back().unwrap());
    for size in sizes {
        assert!(bench.contains(&format!("| {size} |")), "{size} kB");
    }
}
