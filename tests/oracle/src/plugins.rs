//! The table of the package's plugin files, `docs/tables/plugins.md`: what each needs, and which scenario
//! shows it at work. A file without a scenario, or with a module from nowhere, is an error.
//!
//! A config set says `exercises NAME` in its head. What cannot be read off the plugin and the sets
//! stands in `tests/plugins/*.txt` (see the README there). Nothing is run here but perl's search.

use camelpost_support::repository;

use crate::dialogue::{ConfigSet, Expect, Step};
use crate::ground::PACKAGE_PLUGINS;
use crate::known::{Known, matches};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const HEAD: &str = include_str!("../../plugins/head.md");

/// What is known of one file besides its own text.
#[derive(Default)]
struct Facts {
    /// `cannot`: why it does not run, here or anywhere.
    cannot: Option<String>,
    /// `is`: what the file is, where it is no plugin.
    is: Option<String>,
    notes: Vec<String>,
    /// `test FILE NAME`: a test that is no config set.
    tests: Vec<(String, String)>,
    /// `stand-in MODULE`: not in Debian; the suite has a stand-in for it.
    stand_ins: BTreeMap<String, String>,
    /// `without MODULE`: named in the plugin, and not needed.
    without: BTreeMap<String, String>,
}

/// The whole table, or everything that is wrong with it.
pub fn table(sets: &[ConfigSet], known: &Known) -> Result<String, String> {
    let files = package_files()?;
    let facts = read_facts()?;
    let mut wrong = Vec::new();
    for name in facts.keys().filter(|name| !files.contains(*name)) {
        wrong.push(format!(
            "tests/plugins: the package has no plugin file {name}"
        ));
    }
    for set in sets {
        wrong.extend(unfounded(set, &files));
    }
    let modules = modules_of(&files)?;
    let places = places(modules.values().flatten())?;
    let mut rows = String::new();
    let nothing = Facts::default();
    for file in &files {
        let facts = facts.get(file).unwrap_or(&nothing);
        let shown = shown_by(file, sets, facts, known);
        match (shown, needs(&modules[file], &places, facts)) {
            (Ok(shown), Ok(needs)) => rows.push_str(&row(file, facts, &needs, &shown)),
            (shown, needs) => wrong.extend(
                [shown.err(), needs.err()]
                    .into_iter()
                    .flatten()
                    .map(|why| format!("{file}: {why}")),
            ),
        }
    }
    if wrong.is_empty() {
        Ok(format!("{HEAD}{rows}"))
    } else {
        Err(wrong.join("\n"))
    }
}

fn row(file: &str, facts: &Facts, needs: &[String], shown: &str) -> String {
    let verdict = match (&facts.cannot, &facts.is, needs) {
        (Some(why), ..) => format!("cannot, because {why}"),
        (_, Some(what), _) => what.clone(),
        (_, _, []) => "runs unchanged".to_owned(),
        _ => format!("runs unchanged; needs {}", needs.join(", ")),
    };
    let mut notes = facts.notes.clone();
    for (module, why) in &facts.without {
        notes.push(format!("does without {module}: {why}"));
    }
    format!("| {file} | {verdict} | {shown} | {} |\n", notes.join("; "))
}

/// Every file of the package's plugin directory, by its name there.
fn package_files() -> Result<BTreeSet<String>, String> {
    let root = Path::new(PACKAGE_PLUGINS);
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(name) = path.strip_prefix(root) {
                found.insert(name.display().to_string());
            }
        }
    }
    Ok(found)
}

fn read_facts() -> Result<BTreeMap<String, Facts>, String> {
    let dir = repository().join("tests/plugins");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut all: BTreeMap<String, Facts> = BTreeMap::new();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
    {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut current = String::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("{} line {}: {what}", path.display(), number + 1);
            let (key, value) = line.split_once(' ').ok_or_else(|| wrong("KEY VALUE"))?;
            if key == "plugin" {
                value.clone_into(&mut current);
                if all.insert(current.clone(), Facts::default()).is_some() {
                    return Err(wrong("a second entry for this plugin"));
                }
                continue;
            }
            let facts = all
                .get_mut(&current)
                .ok_or_else(|| wrong("no `plugin` before it"))?;
            fact(facts, key, value).map_err(|what| wrong(&what))?;
        }
    }
    Ok(all)
}

fn fact(facts: &mut Facts, key: &str, value: &str) -> Result<(), String> {
    let two = || {
        value
            .split_once(' ')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .ok_or_else(|| format!("two words after `{key}`"))
    };
    match key {
        "cannot" => facts.cannot = Some(value.to_owned()),
        "is" => facts.is = Some(value.to_owned()),
        "note" => facts.notes.push(value.to_owned()),
        "test" => {
            let (file, name) = two()?;
            let path = repository().join(&file);
            let text = fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
            // A Rust test by its function, a Perl one by the words it reports.
            if !text.contains(&format!("fn {name}(")) && !text.contains(&format!("'{name}'")) {
                return Err(format!("{file} has no test {name}"));
            }
            facts.tests.push((file, name));
        }
        "stand-in" => {
            let (module, why) = two()?;
            facts.stand_ins.insert(module, why);
        }
        "without" => {
            let (module, why) = two()?;
            facts.without.insert(module, why);
        }
        _ => return Err(format!("`{key}` is not known here")),
    }
    Ok(())
}

/// What a set claims and does not have: it must load the plugin, and expect something of it.
fn unfounded(set: &ConfigSet, files: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in &set.exercises {
        let loaded = set.files.iter().any(|(_, text)| {
            text.lines().any(|line| {
                let word = line.split_whitespace().next().unwrap_or_default();
                word == name || word.strip_prefix(name).is_some_and(|r| r.starts_with(':'))
            })
        });
        // A program of the package is run and not loaded.
        let steps = set.dialogues.iter().flat_map(|d| &d.steps);
        let steps = steps.filter_map(|step| match step {
            Step::Run(command) => Some(command),
            _ => None,
        });
        let run = set
            .run
            .iter()
            .chain(steps)
            .any(|command| command.contains(name));
        if !loaded && !run {
            wrong.push(format!("{}: none of its files loads {name}", set.name));
        }
        if !files.contains(name) {
            wrong.push(format!("{}: the package has no {name}", set.name));
        }
        let expected = set.dialogues.iter().flat_map(|d| &d.expect);
        if !expected
            .into_iter()
            .any(|expect| matches!(expect, Expect::Line(_)))
        {
            wrong.push(format!(
                "{}: exercises {name} without an EXPECT that shows its work",
                set.name
            ));
        }
    }
    wrong
}

fn shown_by(
    file: &str,
    sets: &[ConfigSet],
    facts: &Facts,
    known: &Known,
) -> Result<String, String> {
    let mut shown = Vec::new();
    for set in sets
        .iter()
        .filter(|set| set.exercises.iter().any(|name| name == file))
    {
        let names = set
            .dialogues
            .iter()
            .map(|d| format!("{}/{}", set.name, d.name));
        let differing = names
            .filter(|name| known.entries.iter().any(|e| matches(&e.pattern, name)))
            .count();
        let count = set.dialogues.len();
        let mut text = format!("{} ({count})", set.name);
        if differing > 0 {
            text = format!(
                "{} ({count}, {differing} with a known difference)",
                set.name
            );
        }
        shown.push(text);
    }
    for (path, name) in &facts.tests {
        let path = path.strip_prefix("tests/").unwrap_or(path);
        shown.push(format!("{path}: {}", name.replace('_', " ")));
    }
    if shown.is_empty() {
        return Err(format!(
            "no scenario: a set of tests/dialogues has to say `exercises {file}`"
        ));
    }
    Ok(shown.join("; "))
}

/// The Perl modules that each file names, without the host's own and perl's pragmas.
fn modules_of(files: &BTreeSet<String>) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let pattern =
        Regex::new(r#"(?m)(?:^|eval\s*['"{(]+|[{;])\s*(?:use|require)\s+([A-Za-z][\w:]*)"#)
            .map_err(|e| e.to_string())?;
    let mut all = BTreeMap::new();
    for file in files {
        let bytes =
            fs::read(Path::new(PACKAGE_PLUGINS).join(file)).map_err(|e| format!("{file}: {e}"))?;
        let code = without_pod(&String::from_utf8_lossy(&bytes));
        let modules = pattern
            .captures_iter(&code)
            .map(|found| found[1].to_owned())
            .filter(|name| {
                let own = name.starts_with("Qpsmtpd") || name.starts_with("Danga::Client");
                !own && (name.contains("::")
                    || name.starts_with(char::is_uppercase)
                    || name == "vpopmail")
            })
            .collect();
        all.insert(file.clone(), modules);
    }
    Ok(all)
}

/// A plugin's code: up to `__END__`, without POD and comment lines.
fn without_pod(text: &str) -> String {
    let mut code = String::new();
    let mut in_pod = false;
    for line in text.lines().take_while(|line| *line != "__END__") {
        in_pod |= line.starts_with('=') && line[1..].starts_with(char::is_alphabetic);
        if !in_pod && !line.trim_start().starts_with('#') {
            code.push_str(line);
            code.push('\n');
        }
        in_pod &= !line.starts_with("=cut");
    }
    code
}

/// Where perl finds each module, and the Debian package of that file (none: perl's own).
fn places<'a>(
    modules: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Option<String>>, String> {
    let modules: BTreeSet<&String> = modules.collect();
    let script = r#"use Cwd "realpath"; for my $m (@ARGV) { (my $f = "$m.pm") =~ s{::}{/}g;
        my ($dir) = grep { !ref && -f "$_/$f" } @INC;
        print "$m ", realpath("$dir/$f"), "\n" if defined $dir }"#;
    let found = output(
        Command::new("perl")
            .args(["-e", script, "--"])
            .args(&modules),
    )?;
    let paths: Vec<(&str, &str)> = found.lines().filter_map(|l| l.split_once(' ')).collect();
    let owners = output(
        Command::new("dpkg-query")
            .arg("-S")
            .args(paths.iter().map(|(_, path)| path)),
    )?;
    let mut places = BTreeMap::new();
    for (module, path) in paths {
        let owner = owners
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(_, owned)| *owned == path)
            .map(|(package, _)| package.split(':').next().unwrap_or(package).to_owned())
            .ok_or_else(|| format!("{path} belongs to no Debian package"))?;
        // Perl's own packages, and what Camelpost itself depends on.
        let own = owner.starts_with("perl") || owner.starts_with("libperl5");
        let own = own || owner == "libmailtools-perl";
        places.insert(module.to_owned(), (!own).then_some(owner));
    }
    Ok(places)
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn needs(
    modules: &BTreeSet<String>,
    places: &BTreeMap<String, Option<String>>,
    facts: &Facts,
) -> Result<Vec<String>, String> {
    let mut needs = BTreeSet::new();
    let mut missing = Vec::new();
    for module in modules {
        // What the facts say comes first: a machine that happens to have more gives the same table.
        if facts.without.contains_key(module) {
            continue;
        }
        match (facts.stand_ins.get(module), places.get(module)) {
            (Some(why), _) => {
                needs.insert(format!("{module} ({why})"));
            }
            (None, Some(Some(package))) => {
                needs.insert(format!("Debian's {package}"));
            }
            (None, Some(None)) => {}
            (None, None) => missing.push(module.as_str()),
        }
    }
    if missing.is_empty() {
        return Ok(needs.into_iter().collect());
    }
    Err(format!(
        "perl finds no {}: install its Debian package (packaging/install-deps), or write a \
         `stand-in` or `without` entry in tests/plugins",
        missing.join(", ")
    ))
}
