//! The config files of docs/reference.md are those that the program reads, with the same default, unit and allowed
//! values. Test code: the command line's part is cli/reference.rs.

use std::collections::{BTreeMap, BTreeSet};

use super::dir::ConfigDir;
use super::effective::effective;
use super::names::usual_names;
use super::plugin_settings::PluginSettings;
use super::settings::CoreSettings;
use super::store::StoreSetting;
use super::{ConfigError, Effective};

const PAGE: &str = include_str!("../../docs/reference.md");

/// What the page calls a default that is this machine's.
const OF_THE_MACHINE: [(&str, &str); 2] = [
    ("me", "the host's name"),
    ("plugin_dirs", "`plugins` beside the program"),
];

/// The sections of a part of the page, by their names, each with its first paragraph.
fn sections(part: &str) -> BTreeMap<&'static str, &'static str> {
    let (_, text) = PAGE.split_once(&format!("\n## {part}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let sections = text.split("\n### ").skip(1);
    let named = sections.map(|section| {
        let (name, text) = section.split_once('\n').unwrap();
        (name, text.trim().split("\n\n").next().unwrap())
    });
    named.collect()
}

/// The settings' sections without the one that tells of what has no file.
fn settings() -> BTreeMap<&'static str, &'static str> {
    let mut settings = sections("Settings");
    assert!(settings.remove("What has no file").is_some());
    settings
}

fn of(files: &[(&str, &str)]) -> Vec<Effective> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    effective(&ConfigDir::new(vec![dir.path().to_path_buf()]))
}

/// `Default: A. Takes B. Read C. D's.`
fn facts<'a>(name: &str, line: &'a str) -> [&'a str; 4] {
    let cut = || {
        let (default, rest) = line.strip_prefix("Default: ")?.split_once(". Takes ")?;
        let (takes, rest) = rest.split_once(". Read ")?;
        let (read, whose) = rest.split_once(". ")?;
        Some([default, takes, read, whose])
    };
    cut().unwrap_or_else(|| panic!("{name}: {line}"))
}

#[test]
fn each_setting_has_its_section_and_each_section_its_setting() {
    let all = of(&[]);
    let names: Vec<&str> = all.iter().map(|setting| setting.name).collect();
    assert_eq!(settings().into_keys().collect::<Vec<_>>(), names);
}

#[test]
fn the_defaults_and_their_units_are_the_program_s() {
    let sections = settings();
    for setting in of(&[]) {
        let [default, ..] = facts(setting.name, sections[setting.name]);
        let machine = OF_THE_MACHINE.iter().find(|own| own.0 == setting.name);
        if let Some((_, text)) = machine {
            assert_eq!(default, *text);
            continue;
        }
        let values: Vec<&str> = setting.values.iter().map(|value| &*value.text).collect();
        let shown = match values.is_empty() {
            true => "(nothing)".to_owned(),
            false => values.join(", "),
        };
        let unit = match shown == "no limit" {
            true => "",
            false => setting.unit,
        };
        assert_eq!(
            default,
            format!("{shown} {unit}").trim_end(),
            "{}",
            setting.name
        );
    }
}

/// What is told of a value that is none.
fn allowed(name: &str) -> Option<&'static str> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), "@@ wrong/1\n").unwrap();
    let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
    let mut problems = Vec::new();
    let core = CoreSettings::read(&config, &mut problems);
    problems.extend(StoreSetting::load(&config, &core.spool.path).err());
    problems.into_iter().find_map(|problem| match problem {
        ConfigError::Value { allowed, .. } => Some(allowed),
        _ => None,
    })
}

#[test]
fn what_a_setting_takes_is_what_its_error_says() {
    let mut compared = 0;
    for (name, line) in settings() {
        let [_, takes, ..] = facts(name, line);
        match allowed(name) {
            Some(allowed) => {
                assert_eq!(takes, allowed, "{name}");
                compared += 1;
            }
            // Any text is one, or the lines are looked at elsewhere.
            None => assert!(
                takes == "any text" || takes == "a directory" || takes.contains("line"),
                "{name}: {takes}"
            ),
        }
    }
    assert!(compared > 22, "{compared}");
}

#[test]
fn each_word_of_plugin_settings_has_its_section() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plugin_settings"), "* nonsense\n").unwrap();
    let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
    let Err(ConfigError::Value { allowed, .. }) = PluginSettings::load(&config, [].iter()) else {
        panic!("the line is understood")
    };
    let sections: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("### NAME "))
        .map(|words| format!("NAME {words}"))
        .collect();
    let (last, others) = sections.split_last().unwrap();
    let told = format!("{}, or {last}", others.join(", "));
    assert!(allowed.starts_with(&told), "{told}\n{allowed}");
}

#[test]
fn what_plugins_read_is_there_and_nothing_else() {
    let settings = settings();
    let plugins: BTreeSet<&str> = usual_names()
        .filter(|name| !settings.contains_key(name))
        .collect();
    let told: BTreeSet<&str> = sections("Files that plugins read").into_keys().collect();
    assert_eq!(told, plugins);
}
