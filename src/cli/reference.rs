//! The command line of docs/reference.md is the program's: each command, each option with its names, its value,
//! its default and the words that it takes. Test code: the config files' part is config/reference.rs.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::CommandLine;
use super::classic::{self, Request};
use super::getopt::{Options, Takes};

const PAGE: &str = include_str!("../../docs/reference.md");

/// An option as the page or the program has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    /// In backticks: `-c`, `--limit-connections N`.
    names: String,
    default: Option<String>,
}

/// What the page says of each command: its options, with their texts.
fn commands() -> BTreeMap<&'static str, Vec<(Item, &'static str)>> {
    let (_, part) = PAGE.split_once("\n## Command line\n").unwrap();
    let part = part.split("\n## ").next().unwrap();
    let sections = part.split("\n### camelpost ").skip(1);
    let command = |section: &'static str| {
        let (name, text) = section.split_once('\n').unwrap();
        let items = text.lines().filter_map(|line| line.strip_prefix("* "));
        (name, items.map(item).collect())
    };
    sections.map(command).collect()
}

/// NAMES (default D): TEXT
fn item(line: &'static str) -> (Item, &'static str) {
    let (head, text) = line.split_once("`: ").map_or_else(
        || line.split_once("): ").unwrap_or_else(|| panic!("{line}")),
        |(head, text)| (head, text),
    );
    let (names, default) = match head.split_once(" (default ") {
        Some((names, default)) => (names.to_owned(), Some(default.to_owned())),
        None => (format!("{head}`"), None),
    };
    (Item { names, default }, text)
}

fn of_clap(arg: &Arg) -> Item {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let takes_more = arg
        .get_num_args()
        .is_some_and(|range| range.max_values() > 1);
    let value = match takes_more && !arg.is_positional() {
        true => format!("{value}..."),
        false => value,
    };
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    let value = if is_flag { String::new() } else { value };
    let named = |name: String| format!("`{}`", format!("{name} {value}").trim());
    let names = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, {}", named(format!("--{long}"))),
        (None, Some(long)) => named(format!("--{long}")),
        _ => named(String::new()),
    };
    let defaults = arg.get_default_values().iter();
    let default = defaults.map(|value| value.to_string_lossy().into_owned());
    Item {
        names,
        default: default
            .reduce(|all, one| format!("{all}, {one}"))
            .filter(|_| !is_flag),
    }
}

/// The options of a command that people may give.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    command.get_arguments().filter(shown)
}

/// Those that are read by the rules of another program have one argument that takes all.
fn is_another_program_s(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "words")
}

#[test]
fn each_command_and_each_option_has_its_place_and_no_other_is_told() {
    let mut told = commands();
    let line = CommandLine::command();
    for command in line
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let name = command.get_name();
        let items = told
            .remove(name)
            .unwrap_or_else(|| panic!("{name} is not told"));
        if is_another_program_s(command) {
            continue;
        }
        let mut page: Vec<&Item> = items.iter().map(|(item, _)| item).collect();
        let own: Vec<Item> = options(command).map(of_clap).collect();
        let mut own: Vec<&Item> = own.iter().collect();
        page.sort();
        own.sort();
        assert_eq!(page, own, "camelpost {name}");
    }
    assert!(told.is_empty(), "there is no {:?}", told.keys());
}

#[test]
fn the_words_that_an_option_takes_are_told() {
    let told = commands();
    let mut asked = 0;
    let line = CommandLine::command();
    let shown = line
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    for command in shown {
        for arg in options(command) {
            let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
            let words = arg.get_possible_values();
            for word in words.iter().filter(|_| !is_flag) {
                let own = of_clap(arg);
                let items = told[command.get_name()].iter();
                let text = items.filter(|(item, _)| *item == own).map(|(_, text)| text);
                let word = format!("`{}`", word.get_name());
                assert!(
                    text.clone().any(|text| text.contains(&word)),
                    "{own:?}: {word}"
                );
                asked += 1;
            }
        }
    }
    assert!(asked > 5, "{asked}");
}

/// An option of the original's programs, as the page names it without its value.
fn of_getopt(options: &Options) -> Vec<String> {
    let long_and_short = options.all.iter().flat_map(|option| {
        let takes = match option.takes {
            Takes::Nothing => "",
            _ => " ",
        };
        option.names.iter().map(move |name| match name.len() {
            1 => format!("`-{name}`"),
            _ => format!("`--{name}{takes}"),
        })
    });
    let mut all: Vec<String> = long_and_short.collect();
    all.sort();
    all
}

/// The page's names of them, in the same form.
fn names_on_the_page(items: &[(Item, &str)]) -> Vec<String> {
    let names = items.iter().flat_map(|(item, _)| item.names.split(", "));
    let name = |name: &str| match name.split_once(' ') {
        Some((name, _)) => format!("{name} "),
        None if name.starts_with("`--") => name.trim_end_matches('`').to_owned(),
        None => name.to_owned(),
    };
    let mut all: Vec<String> = names.map(name).collect();
    all.sort();
    all
}

#[test]
fn the_original_s_options_and_their_defaults_are_told() {
    let told = commands();
    let (forkserver, prefork) = (&told["forkserver"], &told["prefork"]);
    assert_eq!(
        names_on_the_page(forkserver),
        of_getopt(&classic::FORKSERVER)
    );
    assert_eq!(names_on_the_page(prefork), of_getopt(&classic::PREFORK));

    let settings = |request: Result<Request, Vec<String>>| match request.unwrap() {
        Request::Serve { settings, .. } => *settings,
        other => panic!("{other:?}"),
    };
    let own = settings(classic::forkserver(Vec::new()));
    assert_eq!(
        defaults(forkserver),
        [
            ("--limit-connections", own.limit_connections.to_string()),
            ("--max-from-ip", own.max_from_ip.to_string()),
            ("--port", own.ports[0].to_string()),
        ]
    );
    let own = settings(classic::prefork(vec!["--user=smtpd".to_owned()]));
    assert_eq!(
        defaults(prefork),
        [
            ("--children", own.limit_connections.to_string()),
            ("--idle-children", own.spare_workers.to_string()),
            ("--max-from-ip", own.max_from_ip.to_string()),
            ("--port", own.ports[0].to_string()),
            ("--renice-parent", own.lower_nice.to_string()),
        ]
    );
}

/// The long names of those that have a default, with it, in order.
fn defaults<'a>(items: &'a [(Item, &str)]) -> Vec<(&'a str, String)> {
    let with_default = items.iter().filter_map(|(item, _)| {
        let (_, long) = item.names.split_once("--")?;
        let at = item.names.len() - long.len() - 2;
        let name = item.names[at..].split(' ').next()?;
        Some((name, item.default.clone()?))
    });
    let mut all: Vec<_> = with_default.collect();
    all.sort();
    all
}
