//! docs/tables/flavours.md: the part between its two marks is what was seen, written with
//! UPDATE_EXPECTED=1 and compared otherwise. Where Camelpost differs there is a reason.

use std::fmt::Write;
use std::thread;

use camelpost::hook::Hook;
use camelpost_support::dns;

use super::hooks::{SESSIONS, Seen, observe};
use super::programs::{Flavour, Who};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables/flavours.md");
const BEGIN: &str = "<!-- tests/flavours/table.rs writes from here -->\n";
const END: &str = "<!-- to here -->";

/// Rows in which Camelpost differs, and why.
const REASONS: &[(&str, &str)] = &[
    (
        "user_config",
        "a hook of 1.00: plugins written for it load under 0.94's profile, too",
    ),
    (
        "data_post_headers",
        "a hook of 1.00: plugins written for it load under 0.94's profile, too",
    ),
    (
        "post-fork",
        "0.94 has it in qpsmtpd-async only; a worker is what it was made for, a process of one \
         session is not",
    ),
    (
        "post-connection",
        "0.94's tcpserver flavour forgets it when the client goes without QUIT; here it runs once \
         in each session",
    ),
    (
        "reset_transaction",
        "0.94's prefork resets before each session what the last one in that process left; here \
         a session begins with a transaction of its own",
    ),
    (
        "$0 at connect",
        "plugins derive directories from it, so it is the program's path and nothing else",
    ),
    (
        "child_addrs of pre-connection",
        "0.94's prefork counts the new client, too, and adds one to the limit; here they are \
         forkserver's numbers in both, which come to the same in hosts_allow",
    ),
    (
        "max_conn_ip of pre-connection",
        "see child_addrs: 11 with the client itself is 10 without it",
    ),
    (
        "PATH at pre-connection, with dots",
        "one for all flavours, forkserver's: a plugin that finds qmail's programs there finds them \
         here",
    ),
    (
        "environment at pre-connection",
        "pre-connection runs in the worker that serves the session, which knows its client",
    ),
    (
        "reply to a DENY of pre-connection",
        "one text in all flavours",
    ),
    (GONE_TCPSERVER, "see post-connection above"),
    (GONE_INETD, "see post-connection above"),
    (
        "prefork: AUTH, a message, QUIT",
        "see reset_transaction above",
    ),
    (
        "prefork: HELO, MAIL, and the client is gone",
        "see reset_transaction above",
    ),
    (
        "prefork: MAIL refused with DENY_DISCONNECT",
        "see reset_transaction above",
    ),
];
const GONE_TCPSERVER: &str = "tcpserver: HELO, MAIL, and the client is gone";
const GONE_INETD: &str = "inetd: HELO, MAIL, and the client is gone";

struct Column {
    flavour: Flavour,
    original: Seen,
    camelpost: Seen,
}

#[test]
fn the_hooks_of_each_flavour_are_those_of_docs_flavours() {
    let dns = dns::start().unwrap();
    // One flavour at a time; the two programs side by side.
    let columns: Vec<Column> = Flavour::ALL
        .into_iter()
        .map(|flavour| {
            let other = thread::spawn(move || observe(Who::Camelpost, flavour, dns));
            let original = observe(Who::Original, flavour, dns);
            let camelpost = other.join().unwrap();
            Column {
                flavour,
                original,
                camelpost,
            }
        })
        .collect();
    let mut page = Page::default();
    page.hooks(&columns);
    page.facts(&columns);
    page.orders(&columns);
    page.check_reasons();
    let text = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the first mark");
    let (old, after) = rest.split_once(END).expect("the second mark");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", page.text)).unwrap();
        return;
    }
    if old != page.text {
        let seen: Vec<&str> = page
            .text
            .lines()
            .filter(|line| !old.contains(line))
            .collect();
        let gone: Vec<&str> = old
            .lines()
            .filter(|line| !page.text.contains(line))
            .collect();
        panic!(
            "docs/tables/flavours.md says\n{}\nand seen was\n{}\n(UPDATE_EXPECTED=1 writes it)",
            gone.join("\n"),
            seen.join("\n")
        );
    }
}

#[derive(Default)]
struct Page {
    text: String,
    /// The rows in which Camelpost differs.
    different: Vec<String>,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn row(&mut self, name: &str, cells: &[(String, String)]) {
        let differs = cells
            .iter()
            .any(|(original, camelpost)| original != camelpost);
        let mut line = format!("| `{name}` |");
        for (original, camelpost) in cells {
            let _ = match original == camelpost {
                true => write!(line, " {original} |"),
                false => write!(line, " {original} **/ {camelpost}** |"),
            };
        }
        let note = match differs {
            true => {
                self.different.push(name.to_owned());
                reason(name).unwrap_or("NO REASON IS GIVEN").to_owned()
            }
            false => String::new(),
        };
        self.line(&format!("{line} {note} |"));
    }

    fn head(&mut self, columns: &[Column], what: &str) {
        let names: Vec<&str> = columns.iter().map(|c| c.flavour.name()).collect();
        self.line(&format!(
            "\n| {what} | {} | why Camelpost differs |",
            names.join(" | ")
        ));
        self.line(&format!("|---|{}---|", "---|".repeat(columns.len())));
    }

    fn hooks(&mut self, columns: &[Column]) {
        self.head(columns, "hook");
        for hook in Hook::ALL {
            let name = hook.name();
            let cell = |seen: &Seen| match (seen.unknown.contains(name), seen.count(name)) {
                (true, _) => "no such hook".to_owned(),
                (false, 0) => "–".to_owned(),
                (false, _) if *hook == Hook::PostFork => "each worker".to_owned(),
                // How often config is asked and what is logged is each program's own.
                (false, _) if hook.is_internal() => "yes".to_owned(),
                (false, count) => count.to_string(),
            };
            let cells = columns
                .iter()
                .map(|c| (cell(&c.original), cell(&c.camelpost)));
            self.row(name, &cells.collect::<Vec<_>>());
        }
    }

    fn facts(&mut self, columns: &[Column]) {
        self.head(columns, "what plugins find");
        let mut names: Vec<&String> = columns
            .iter()
            .flat_map(|c| c.original.facts.keys().chain(c.camelpost.facts.keys()))
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            let cell = |seen: &Seen| {
                let value = seen.facts.get(name).map_or("–", String::as_str);
                value.replace('|', "\\|")
            };
            let cells = columns
                .iter()
                .map(|c| (cell(&c.original), cell(&c.camelpost)));
            self.row(name, &cells.collect::<Vec<_>>());
        }
        let cells = columns.iter().map(|c| {
            let times = |seen: &Seen| seen.registered.to_string();
            (times(&c.original), times(&c.camelpost))
        });
        let name = format!("runs of register in {} sessions", SESSIONS.len());
        self.row(&name, &cells.collect::<Vec<_>>());
    }

    /// The order of the hooks, without those that come in between as often as each likes.
    fn orders(&mut self, columns: &[Column]) {
        for (number, (name, _)) in SESSIONS.iter().enumerate() {
            self.line(&format!("\nOrder of the hooks in: {name}\n"));
            let mut said: Vec<(String, Vec<&str>)> = Vec::new();
            for column in columns {
                let original = order(&column.original, number);
                let camelpost = order(&column.camelpost, number);
                let flavour = column.flavour.name();
                if original != camelpost {
                    let row = format!("{flavour}: {name}");
                    let why = reason(&row).unwrap_or("NO REASON IS GIVEN");
                    self.line(&format!("* {flavour}, original: {original}"));
                    self.line(&format!("* {flavour}, Camelpost: {camelpost} ({why})"));
                    self.different.push(row);
                } else if let Some((_, flavours)) = said.iter_mut().find(|(o, _)| *o == original) {
                    flavours.push(flavour);
                } else {
                    said.push((original, vec![flavour]));
                }
            }
            for (order, flavours) in said {
                self.line(&format!("* {}: {order}", flavours.join(", ")));
            }
        }
    }

    fn check_reasons(&self) {
        for row in &self.different {
            assert!(
                reason(row).is_some(),
                "no reason in REASONS for: {row}\n{}",
                self.text
            );
        }
        for (row, _) in REASONS {
            let shows = self.different.iter().any(|other| other == row);
            assert!(shows, "REASONS has {row}, which does not differ any more");
        }
    }
}

fn reason(row: &str) -> Option<&'static str> {
    let found = REASONS.iter().find(|(name, _)| *name == row);
    found.map(|(_, reason)| *reason)
}

fn order(seen: &Seen, session: usize) -> String {
    let internal = [
        "logging",
        "config",
        "user_config",
        "deny",
        "ok",
        "post-fork",
    ];
    let hooks = seen.sessions[session].iter();
    let hooks: Vec<&str> = hooks
        .map(String::as_str)
        .filter(|hook| !internal.contains(hook))
        .collect();
    hooks.join(" ")
}
