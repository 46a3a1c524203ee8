//! The files that ARCHITECTURE.md and CONTRIBUTING.md name are there, and have in them what is named with them.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

const ENDS: [&str; 6] = [".rs", ".c", ".h", ".pm", ".toml", ".md"];

/// The file that a name stands for: from the checkout's root, or from src.
fn file(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [root.join(name), root.join("src").join(name)];
    places.into_iter().find(|place| place.is_file())
}

/// What is between backticks and looks like a file: the file, and what is named with it after a colon.
fn named(text: &str) -> Vec<(String, Option<String>)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let files = quoted.filter_map(|quoted| {
        let (name, item) = match quoted.split_once(": ") {
            Some((name, item)) => (name, Some(item.to_owned())),
            None => (quoted, None),
        };
        let is_file = ENDS.iter().any(|end| name.ends_with(end)) && name.contains('/');
        is_file.then(|| (name.to_owned(), item))
    });
    files.collect()
}

fn check(page: &str, at_least: usize) {
    let text = fs::read_to_string(file(page).unwrap()).unwrap();
    let named = named(&text);
    assert!(
        named.len() >= at_least,
        "{page} names {} files",
        named.len()
    );
    let mut wrong = Vec::new();
    for (name, item) in named {
        let Some(path) = file(&name) else {
            wrong.push(format!("{name} is not there"));
            continue;
        };
        let source = fs::read_to_string(path).unwrap();
        if let Some(item) = item.filter(|item| !source.contains(item.as_str())) {
            wrong.push(format!("{name} has no {item}"));
        }
    }
    assert!(wrong.is_empty(), "{page}:\n{}", wrong.join("\n"));
}

#[test]
fn the_walks_go_through_rooms_that_are_there() {
    check("ARCHITECTURE.md", 60);
}

#[test]
fn what_there_is_to_add_is_added_where_it_is_said() {
    check("CONTRIBUTING.md", 9);
}
