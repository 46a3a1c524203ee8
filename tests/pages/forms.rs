//! `camelpost COMMAND …` wherever it is named, in a form or in the running text: the command is there, and so are the
//! options.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use camelpost_support::repository;

use crate::CAMELPOST;
use crate::page::{Page, for_people};

/// Those whose options are another program's.
const OTHERS: [&str; 2] = ["perl", "prove"];

/// What may stand for any command.
const ANY: &str = "COMMAND";

fn help(words: &[&str]) -> String {
    let output = Command::new(CAMELPOST)
        .args(words)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a text has of options: words of one or two dashes.
fn options(text: &str) -> BTreeSet<&str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let words = text
        .split_whitespace()
        .map(|word| word.trim_start_matches(['[', '`']));
    let words = words.filter(|word| word.starts_with('-') && word.len() > 1);
    words.map(|word| word.split(ends).next().unwrap()).collect()
}

/// Each command with the options that its help lists.
fn commands() -> BTreeMap<String, BTreeSet<String>> {
    let all = help(&[]);
    let (_, list) = all.split_once("Commands:\n").unwrap();
    let names = list.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap());
    let with_options = names.filter(|name| *name != "help").map(|name| {
        let text = match OTHERS.contains(&name) {
            true => String::new(),
            false => help(&[name]),
        };
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('-'));
        let found = lines.flat_map(options).map(str::to_owned).collect();
        (name.to_owned(), found)
    });
    let found: BTreeMap<_, _> = with_options.collect();
    assert!(found.len() > 15, "{found:?}");
    found
}

/// What is wrong with a line that begins with `camelpost`.
fn wrong(line: &str, commands: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    // Behind a # or a | is something else.
    let line = line.split([';', '|', '#']).next().unwrap();
    let name = line.split_whitespace().nth(1)?;
    if name.starts_with('-') {
        return (name != "--version").then(|| format!("camelpost has no {name}"));
    }
    // `camelpost 0.1.0 …` is what a command prints.
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if name == ANY || OTHERS.contains(&name) {
        return None;
    }
    let Some(known) = commands.get(name) else {
        return Some(format!("there is no command {name}"));
    };
    let unknown = options(line)
        .into_iter()
        .find(|option| !known.contains(*option));
    unknown.map(|option| format!("camelpost {name} has no {option}"))
}

#[test]
fn each_command_that_is_named_is_there_with_its_options() {
    let commands = commands();
    let (mut problems, mut asked) = (Vec::new(), 0);
    let others = ["packaging/README.md", "CONTRIBUTING.md"].map(Page::of);
    for page in for_people().into_iter().chain(others) {
        let blocks = page.blocks();
        // A form goes on in lines that are indented further.
        let joined = blocks.iter().flat_map(|block| {
            let text = block.lines.join("\n").replace("\n    ", " ");
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        for line in joined.chain(page.quoted()) {
            let line = line.trim_start_matches("$ ");
            if !line.starts_with("camelpost ") {
                continue;
            }
            asked += 1;
            if let Some(problem) = wrong(line, &commands) {
                problems.push(format!("{}: {line}: {problem}", page.name));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(asked > 80, "{asked}");
}

/// `make TARGET` in the running text: the Makefile has it.
#[test]
fn each_target_of_make_that_is_named_is_there() {
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    let rules = makefile.lines().filter_map(|line| line.split_once(':'));
    let targets: BTreeSet<&str> = rules.flat_map(|(names, _)| names.split(' ')).collect();
    let mut asked = 0;
    for page in for_people() {
        for quoted in page.quoted() {
            if let Some(target) = quoted.strip_prefix("make ") {
                let target = target.split(' ').next().unwrap();
                assert!(targets.contains(target), "{}: {quoted}", page.name);
                asked += 1;
            }
        }
    }
    assert!(asked > 3, "{asked}");
}

#[test]
fn an_option_that_is_none_is_found() {
    let commands = commands();
    for line in [
        "camelpost check [--confg DIR]",
        "camelpost chek",
        "camelpost --nonsense",
        "camelpost serve -x",
    ] {
        assert!(wrong(line, &commands).is_some(), "{line}");
    }
    for line in [
        "camelpost check [--config DIR] -v # all",
        "camelpost perl -c x",
    ] {
        assert_eq!(wrong(line, &commands), None, "{line}");
    }
}
