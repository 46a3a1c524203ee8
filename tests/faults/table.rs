//! docs/tables/faults.md: what was seen, as people read it.

use std::fmt::Write;

use crate::list::GROUPS;
use crate::play::Seen;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tables/faults.md");

const HEAD: &str = "# Faults

What happens when a plugin misbehaves. The test suite commits each fault in a running server, in the
`mail` hook of plugin `faulty` (`patient` where the fault needs time), and writes down what it sees
(`UPDATE_EXPECTED=1 cargo test --test faults` writes this file anew); it fails where something else is
seen.

* Its client: the reply to `MAIL`, in whose hook the fault is committed. Where the session goes on, it
  sends a message, which is spooled, and `QUIT`.
* Sessions lost, worker: the differences in what `camelpost status --json` counts. `goes on`: the worker
  serves the next clients; `is replaced`: it ends in order with its session.
* Log: the lines that tell of it, each once. PID and N stand for numbers.

After every fault, in both settings, the test sees to it that the next client is served, that its message
is taken whole, that it finds the process as the first client did (working directory, umask, %ENV, %SIG,
blocked signals, alarm, `$/ $\\ $,`, the selected handle, the standard handles, user, priority, the table
of hooks), that a plugin's warning still reaches the log, and that the spool directory is empty.

The server runs with `--worker-memory 32M --worker-memory-max 200M` and, in `plugin_settings`, `faulty
timeout 1` and `patient timeout 0`; with the defaults the same happens later. Where a worker dies, its
clients get the 421 from the supervisor; after STARTTLS the connection is closed.
";

/// What was seen in a setting, with its heading.
pub struct Section<'a> {
    pub heading: &'a str,
    pub about: &'a str,
    pub seen: &'a [Seen],
}

/// The whole page.
pub fn page(sections: &[Section<'_>]) -> String {
    let mut page = HEAD.to_owned();
    for section in sections {
        let _ = write!(page, "\n## {}\n\n{}\n", section.heading, section.about);
        let mut seen = section.seen.iter();
        for (group, faults) in GROUPS {
            let _ = write!(
                page,
                "\n### {group}\n\n| the plugin | its client | a session beside it | sessions lost | \
                 worker | log |\n|---|---|---|---|---|---|\n"
            );
            for one in seen.by_ref().take(faults.len()) {
                let log = match one.log.as_slice() {
                    [] => "–".to_owned(),
                    lines => lines.join("<br>"),
                };
                let cells = [
                    one.fault.what,
                    &one.client,
                    &one.beside,
                    &one.lost.to_string(),
                    &one.workers,
                    &log,
                ];
                let cells = cells.map(|cell| cell.replace('|', "\\|"));
                let _ = writeln!(page, "| {} |", cells.join(" | "));
            }
        }
    }
    page
}

/// Whether a row is of a fault that this user cannot commit: the kernel refuses, and nothing happens.
fn is_not_played(row: &str) -> bool {
    let faults = GROUPS.iter().flat_map(|(_, faults)| faults.iter());
    let mut for_root = faults.filter(|fault| fault.as_root);
    !rustix::process::geteuid().is_root()
        && for_root.any(|fault| row.starts_with(&format!("| {} |", fault.what)))
}

/// Writes the page, or says where the one in docs is not what was seen.
pub fn up_to_date(page: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        return std::fs::write(PAGE, page).map_err(|e| format!("{PAGE}: {e}"));
    }
    let written = std::fs::read_to_string(PAGE).map_err(|e| format!("{PAGE}: {e}"))?;
    let mut report = String::new();
    let mut lines = written.lines();
    for (number, seen) in (1..).zip(page.lines()) {
        let line = lines.next().unwrap_or("(the end)");
        if line != seen && !is_not_played(seen) {
            let _ = write!(
                report,
                "\nline {number}\nwritten: {line}\nseen:    {seen}\n"
            );
        }
    }
    if lines.next().is_some() {
        report.push_str("\nthere is more in the file than was seen\n");
    }
    match report.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "docs/tables/faults.md is not what this run came to; write it anew with UPDATE_EXPECTED=1 if it \
             is meant\n{report}"
        )),
    }
}
