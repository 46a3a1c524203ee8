//! What a row of docs/tables/hooks.md shows of an outcome.

use super::play::Outcome;
use std::fmt::Write;

#[derive(Clone, PartialEq, Eq)]
pub struct Cells {
    pub reply: String,
    pub session: String,
    pub hooks: String,
}

impl Cells {
    pub fn of(hook: &str, outcome: &Outcome) -> Self {
        Self {
            reply: code(&outcome.said.replies),
            session: session(outcome),
            hooks: hooks(hook, outcome),
        }
    }
}

fn session(outcome: &Outcome) -> String {
    let said = &outcome.said;
    let Some(state) = &said.state else {
        return said.end.to_owned();
    };
    let mut text = format!("goes on: {}", state_in_words(state));
    for (command, replies) in &said.after {
        let usual = match *command {
            "NOOP" => "250 OK",
            "QUIT" => "221 ",
            _ if state.contains("hello=-") => "503 please say hello",
            _ => "250 ",
        };
        if !matches!(&replies[..], [one] if one.starts_with(usual)) {
            let verb = command.split(' ').next().unwrap_or_default();
            let _ = write!(text, "; {verb} then: {}", code(replies));
        }
    }
    text
}

/// From the hook itself on; what brought the session there is left out.
fn hooks(hook: &str, outcome: &Outcome) -> String {
    let step = outcome.hooks.first().map(Vec::as_slice).unwrap_or_default();
    let names = step
        .iter()
        .map(|name| name.split('(').next().unwrap_or(name));
    let mut names: Vec<&str> = names.skip_while(|name| *name != hook).collect();
    if names.is_empty() {
        names.push("none");
    }
    let mut text = names.join(" ");
    if !outcome.log.is_empty() {
        text.push_str("; the line goes to standard error");
    }
    text
}

fn code(lines: &[String]) -> String {
    let quoted = lines.iter().map(|l| format!("`{}`", l.replace('|', "\\|")));
    match lines.is_empty() {
        true => "nothing".to_owned(),
        false => quoted.collect::<Vec<_>>().join("<br>"),
    }
}

/// The answer of a mark, without what is as it always is.
fn state_in_words(state: &str) -> String {
    let value = |key: &str| {
        let mut words = state.split(' ').filter_map(|word| word.split_once('='));
        let found = words.find(|(name, _)| *name == key);
        found.map_or("", |(_, value)| value)
    };
    let mut words = Vec::new();
    words.push(match value("hello") {
        "-" => "not greeted".to_owned(),
        hello => hello.to_owned(),
    });
    words.push(match (value("from"), value("to"), value("transaction")) {
        ("-", _, "new") => "new transaction".to_owned(),
        ("-", ..) => "no sender".to_owned(),
        (from, "0", _) => format!("from {}", from.trim_matches(['<', '>'])),
        (from, to, _) => format!("from {} to {to}", from.trim_matches(['<', '>'])),
    });
    if value("relay") != "-" {
        words.push("relay client".to_owned());
    }
    if !value("user").is_empty() {
        words.push(format!("user {}", value("user")));
    }
    words.join(", ")
}
