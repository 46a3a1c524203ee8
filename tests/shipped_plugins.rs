//! The Perl plugins and the config directory that ship: their documentation is
//! complete, and the one names only what the other has. What the plugins do is
//! for the dialogues; nothing is run here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTIONS: [&str; 6] = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "ARGUMENTS",
    "CONFIG FILES",
    "VERDICTS",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn plugins() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join("compat-plugins")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of plugins") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "only {} plugins found", found.len());
    found
}

/// The words before each blank in the lines of a config file that count.
fn first_words(name: &str) -> Vec<String> {
    let path = root().join("config").join(name);
    let text = fs::read_to_string(&path).expect("a config file");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

#[test]
fn every_plugin_opens_with_its_documentation() {
    for plugin in plugins() {
        let text = fs::read_to_string(&plugin).expect("a plugin");
        assert!(
            text.starts_with("=head1 NAME\n"),
            "{} does not open with POD",
            plugin.display()
        );
        let titles: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("=head1 "))
            .collect();
        assert_eq!(titles, SECTIONS, "sections of {}", plugin.display());
    }
}

#[test]
fn every_plugin_names_itself_as_it_is_configured() {
    let top = root().join("compat-plugins");
    for plugin in plugins() {
        let name = plugin
            .strip_prefix(&top)
            .expect("below the directory")
            .display()
            .to_string();
        let text = fs::read_to_string(&plugin).expect("a plugin");
        let heading = text.lines().nth(2).unwrap_or_default();
        assert!(
            heading.starts_with(&format!("{name} - ")),
            "{name}: its NAME is {heading:?}"
        );
    }
}

#[test]
fn the_documentation_of_every_plugin_is_sound_pod() {
    for plugin in plugins() {
        let checked = Command::new("perl")
            .args([
                "-MPod::Checker",
                "-e",
                "exit podchecker($ARGV[0], \\*STDERR, -warnings => 1)",
            ])
            .arg(&plugin)
            .output()
            .expect("perl runs");
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {errors}", plugin.display());
    }
}

#[test]
fn the_shipped_config_loads_only_plugins_that_ship() {
    assert_eq!(first_words("plugin_dirs"), ["compat-plugins"]);
    for name in first_words("plugins")
        .into_iter()
        .chain(first_words("logging"))
    {
        if name.starts_with("native/") {
            continue;
        }
        let file = root().join("compat-plugins").join(&name);
        assert!(
            file.is_file(),
            "config names {name}, which is not in compat-plugins"
        );
    }
}
