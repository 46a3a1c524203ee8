//! The result as a Markdown table, and as a page of the documentation.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::kind::Kind;
use crate::measure::{Samples, median};
use crate::options::Options;

#[derive(Default)]
pub struct Report {
    results: Vec<(Kind, Samples)>,
    memory: Vec<(usize, u64)>,
    /// What has a table of its own: title and text.
    sections: Vec<(&'static str, String)>,
}

/// A row's title, and the samples that it shows.
type Row = (&'static str, fn(&Samples) -> &[f64]);

const ROWS: [Row; 5] = [
    ("connection with one 2 KiB message", |samples| {
        &samples.connection
    }),
    ("2 KiB message in an open connection", |samples| {
        &samples.message
    }),
    ("10 MiB message", |samples| &samples.large),
    ("connection refused by hosts_allow", |samples| {
        &samples.refused
    }),
    ("connection refused in the connect hook", |samples| {
        &samples.refused_in_hook
    }),
];

impl Report {
    pub fn add(&mut self, kind: Kind, samples: Samples) {
        self.results.push((kind, samples));
    }

    pub fn add_memory(&mut self, messages: usize, kib: u64) {
        self.memory.push((messages, kib));
    }

    pub fn add_section(&mut self, title: &'static str, text: String) {
        self.sections.push((title, text));
    }

    /// Everything that was measured.
    pub fn markdown(&self, options: &Options) -> String {
        let mut text = match self.results.is_empty() {
            true => String::new(),
            false => self.costs(options),
        };
        for (title, section) in &self.sections {
            text += &format!("\n## {title}\n\n{section}");
        }
        text
    }

    fn costs(&self, options: &Options) -> String {
        let mut text = String::from("| CPU ms per |");
        let mut rule = String::from("|---|");
        for (kind, _) in &self.results {
            text += &format!(" {} |", kind.name());
            rule += "---:|";
        }
        let has_camelpost = self
            .results
            .iter()
            .any(|(kind, _)| *kind == Kind::Camelpost);
        let originals: Vec<_> = self
            .results
            .iter()
            .filter(|(kind, _)| has_camelpost && *kind != Kind::Camelpost)
            .collect();
        for (kind, _) in &originals {
            text += &format!(" {} ÷ camelpost |", kind.name());
            rule += "---:|";
        }
        text += &format!("\n{rule}\n");

        for (title, samples_of) in ROWS {
            text += &format!("| {title} |");
            let mut ours = None;
            for (kind, samples) in &self.results {
                let value = median(samples_of(samples));
                text += &format!(" {} |", shown(value));
                if *kind == Kind::Camelpost {
                    ours = value;
                }
            }
            for (_, samples) in &originals {
                let ratio = median(samples_of(samples))
                    .zip(ours)
                    .map(|(theirs, ours)| theirs / ours);
                text += &match ratio {
                    Some(ratio) => format!(" {ratio:.1} |"),
                    None => String::from(" – |"),
                };
            }
            text.push('\n');
        }

        if !self.memory.is_empty() {
            text.push('\n');
        }
        for (messages, kib) in &self.memory {
            text += &format!(
                "Private memory of a Camelpost worker after {messages} messages: {:.1} MiB\n",
                *kib as f64 / 1024.0
            );
        }
        text += &format!(
            "\nMedians of {} rounds in turns; per round {} connections, {} messages, {} of 10 MiB, \
             {} refusals.\n",
            options.rounds, options.connections, options.messages, options.large, options.refused
        );
        text
    }

    /// The table with what is needed to judge it.
    pub fn page(&self, options: &Options, table: &str) -> String {
        let mut page = String::from(
            "# CPU and memory beside the original\n\n\
             Written by `make bench`. All servers run the same config directory with the plugins of\n\
             Debian's package: hosts_allow, relay (no entry matches), count_unrecognized_commands 4,\n\
             badmailfrom and badrcptto with twenty entries each, helo policy lenient, rcpt_ok with\n\
             thirty hosts, headers reject 0, loop, a queue plugin that discards, and logging/file at\n\
             LOGWARN. Reverse lookups are off. CPU is user and system time of the whole process\n\
             tree, ended children included; the client's own is not in it.\n\n",
        );
        page += table;
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "\n## Machine and spread\n\nMachine: {}. Spread of the samples, in ms:\n",
            machine()
        );
        page += "| per | server | least | median | most |\n|---|---|---:|---:|---:|\n";
        for (title, samples_of) in ROWS {
            for (kind, samples) in &self.results {
                let samples = samples_of(samples);
                let least = samples.iter().copied().reduce(f64::min);
                let most = samples.iter().copied().reduce(f64::max);
                let _ = writeln!(
                    page,
                    "| {title} | {} | {} | {} | {} |",
                    kind.name(),
                    shown(least),
                    shown(median(samples)),
                    shown(most)
                );
            }
        }
        let _ = writeln!(page, "\nWorkers of Camelpost: {}.", options.workers);
        page
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.1}"),
        None => String::from("–"),
    }
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(':')
                .map(|(_, name)| name.trim())
        })
        .unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, |number| number.get());
    let perl = Command::new("perl").args(["-e", "print $^V"]).output();
    let perl = perl.map_or_else(
        |_| String::from("unknown"),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    format!("{model}, {cores} cores, perl {perl}")
}
