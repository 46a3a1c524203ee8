//! The plugins that docs/reference.md names as readers of a config file ask for it: those of Debian's package, those
//! that ship, and native ones.

use std::fs;
use std::path::{Path, PathBuf};

use camelpost_support::repository;

use crate::page::Page;

const PACKAGE: &str = "/usr/share/qpsmtpd/plugins";

/// The sections of the part, each with the plugins before the first colon. Those of what the session reads have none.
fn readers(page: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, part) = page.split_once("\n## Files that plugins read\n").unwrap();
    let part = part.split("\n## ").next().unwrap();
    let sections = part.split("\n### ").skip(1);
    let named = sections.map(|section| {
        let (name, text) = section.split_once("\n\n").unwrap();
        let (who, _) = text.split_once(':').unwrap_or((text, ""));
        let plugins = match who.starts_with('`') {
            true => who.split('`').skip(1).step_by(2).collect(),
            false => Vec::new(),
        };
        (name, plugins)
    });
    named.collect()
}

fn files_below(path: &Path, found: &mut Vec<PathBuf>) {
    match fs::read_dir(path) {
        Err(_) => found.push(path.to_owned()),
        Ok(entries) => entries
            .flatten()
            .for_each(|entry| files_below(&entry.path(), found)),
    }
}

/// The files that a plugin of this name is made of.
fn sources(plugin: &str) -> Vec<PathBuf> {
    let native = repository().join("src/plugins").join(plugin);
    let places = [
        Path::new(PACKAGE).join(plugin),
        repository().join("compat-plugins").join(plugin),
        native.with_extension("rs"),
        native,
    ];
    let mut found = Vec::new();
    for place in places.iter().filter(|place| place.exists()) {
        files_below(place, &mut found);
    }
    found
}

#[test]
fn each_plugin_that_is_named_as_a_reader_asks_for_the_file() {
    let page = Page::of("docs/reference.md").text;
    let (mut problems, mut asked) = (Vec::new(), 0);
    for (file, plugins) in readers(&page) {
        for plugin in plugins {
            let files = sources(plugin);
            let texts = files.iter().map(|path| fs::read_to_string(path).unwrap());
            if !texts.into_iter().any(|text| text.contains(file)) {
                problems.push(format!("{plugin} does not name {file}: {files:?}"));
            }
            asked += 1;
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(asked > 25, "{asked}");
}
