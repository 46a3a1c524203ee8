//! Each command that a page shows in a block is run, in the page's order, or is in `NOT_RUN` with the reason. A line with
//! `$` before it belongs to a page that is followed as a whole (`FOLLOWED`); one with `[` or `…` in it is a form
//! (forms.rs).

use std::collections::BTreeSet;
use std::thread;

use crate::page::{Page, for_people};
use crate::site::Machine;

/// What a line of a shell begins with in a page. A block whose first line begins so has nothing else.
const PROGRAMS: [&str; 19] = [
    "adduser",
    "apt-get",
    "camelpost",
    "cargo",
    "cd",
    "cp",
    "dpkg-divert",
    "dpkg-query",
    "install",
    "journalctl",
    "kill",
    "ln",
    "make",
    "mkdir",
    "rm",
    "swaks",
    "systemctl",
    "target/release/own_name",
    "zcat",
];

/// The subcommands that may be run here: they change nothing outside of the site.
const SUBCOMMANDS: [&str; 15] = [
    "check",
    "config",
    "drain",
    "hooks",
    "new-plugin",
    "perl",
    "ping",
    "prove",
    "reload",
    "serve",
    "status",
    "top",
    "try",
    "upgrade",
    "why",
];

/// How lines begin that are not run, and why.
const NOT_RUN: [(&str, &str); 6] = [
    (
        "make run",
        "builds for minutes what this suite has; packaging/test-on runs it in a fresh Debian",
    ),
    ("make test", "is what runs this"),
    ("dpkg-divert", "writes to the machine's dpkg"),
    (
        "journalctl -u camelpost -p",
        "asks the machine's journal, which no unit of a test's writes to",
    ),
    (
        "systemctl",
        "there is no systemd in a test; tests/server/unit.rs does what the unit does",
    ),
    (
        "target/release/own_name serve",
        "the program is built and asked for its version by tests/authors",
    ),
];

/// Pages whose `$` lines are followed one after the other, and by which test.
const FOLLOWED: [(&str, &str); 3] = [
    ("docs/first-plugin.md", "tests/pages/first_plugin.rs"),
    ("docs/native.md", "tests/authors"),
    ("docs/try.md", "tests/try/example.rs"),
];

/// The commands of a page, each with its line's number, and what is wrong with how they are written.
fn commands(page: &Page) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for block in page.blocks() {
        let program = |line: &str| {
            // `camelpost 0.1.0 …` is what one of them prints.
            let is_printed = line
                .split(' ')
                .nth(1)
                .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            PROGRAMS.contains(&line.split(' ').next().unwrap()) && !is_printed
        };
        let is_followed = FOLLOWED.iter().any(|(name, _)| *name == page.name);
        if block.lines.iter().any(|line| line.starts_with("$ ")) && !is_followed {
            problems.push(format!(
                "{}:{}: `$` in a page that no test follows",
                page.name, block.line
            ));
        }
        if !program(&block.lines[0]) {
            continue;
        }
        for (at, line) in block.lines.iter().enumerate() {
            let line_number = block.line + at;
            if !program(line) && !line.starts_with(' ') {
                problems.push(format!(
                    "{}:{line_number}: what is `{line}` among commands?",
                    page.name
                ));
            }
            let is_form = line.contains('[') || line.contains('…') || line.starts_with(' ');
            if !is_form {
                let line = line.split(" #").next().unwrap().trim_end();
                found.push((line_number, line.to_owned()));
            }
        }
    }
    (found, problems)
}

fn reason(line: &str) -> Option<&'static str> {
    let begins = |start: &str| {
        line.strip_prefix(start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let row = NOT_RUN.iter().find(|(start, _)| begins(start));
    row.map(|(start, _)| *start)
}

/// Runs a page's commands in its own site; what went wrong, and which reasons were used.
fn play(page: &Page) -> (Vec<String>, BTreeSet<&'static str>, usize) {
    let (commands, mut problems) = commands(page);
    let (mut used, mut run) = (BTreeSet::new(), 0);
    let makes_config = commands
        .iter()
        .any(|(_, line)| line.ends_with("/etc/qpsmtpd /etc/camelpost"));
    let mut machine = None;
    for (number, line) in commands {
        if let Some(start) = reason(&line) {
            used.insert(start);
            continue;
        }
        let at = format!("{}:{number}", page.name);
        let subcommand = line
            .strip_prefix("camelpost ")
            .map(|rest| rest.split(' ').next().unwrap());
        if let Some(name) = subcommand.filter(|name| !SUBCOMMANDS.contains(name)) {
            problems.push(format!(
                "{at}: say in tests/pages/commands.rs how camelpost {name} is run, or why not"
            ));
            continue;
        }
        let machine = machine.get_or_insert_with(|| Machine::new(makes_config));
        run += 1;
        if let Err(problem) = machine.run(&line) {
            problems.push(format!("{at}: {problem}"));
        }
    }
    (problems, used, run)
}

#[test]
fn each_command_that_is_shown_is_run_or_says_why_not() {
    let pages = for_people();
    let played: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = pages
            .iter()
            .map(|page| scope.spawn(|| play(page)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (mut problems, mut used, mut run) = (Vec::new(), BTreeSet::new(), 0);
    for (wrong, reasons, count) in played {
        problems.extend(wrong);
        used.extend(reasons);
        run += count;
    }
    for (start, _) in NOT_RUN.iter().filter(|(start, _)| !used.contains(start)) {
        problems.push(format!(
            "`{start}` is in the list of what is not run, and no page shows it"
        ));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(run > 12, "{run}");
}
