//! `make bench`: what a connection and a message cost, beside the original.
//!
//! Starts qpsmtpd-forkserver, qpsmtpd-prefork and Camelpost with the same
//! config directory, gives them the same work in turns (and Haraka, where npm can install it, work like it), and prints medians of
//! the CPU time of their whole process trees. Wall time is measured only where a
//! client waits for a server that has others: elsewhere, on one machine, it says
//! more about the client than about the servers.
#![forbid(unsafe_code)]

mod client;
mod cpu;
mod crowd;
mod daemon;
mod discard;
mod early;
mod haraka;
mod idle;
mod kind;
mod latency;
mod life;
mod load;
mod measure;
mod native;
mod options;
mod report;
mod site;
mod tls;
mod turns;
mod waiting;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::kind::Kind;
use crate::measure::{Contestant, Work};
use crate::options::{Options, Part};
use crate::report::Report;
use crate::site::Site;

/// What every part here fails with: the message is for the person at the terminal.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// As the program `camelpost` has it, which this one is, too.
#[global_allocator]
static ALLOCATOR: camelpost::Allocator = camelpost::Allocator;

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    if command.is_some_and(|command| command == "serve" || command == "zygote") {
        return camelpost::builder().plugin::<discard::Discard>().run();
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let site = Site::build(options)?;
    let all = options.daemons()?;
    let perls = all.iter().copied().filter(|kind| kind.runs_perl());
    let kinds: Vec<Kind> = perls.collect();
    let has_camelpost = kinds.contains(&Kind::Camelpost);

    let mut report = Report::default();
    if options.wants(Part::Costs) {
        costs(&site, &kinds, options, &mut report)?;
    }
    if options.wants(Part::Idle) {
        report.add_section("Idle connections", idle::section(&site, &all, options)?);
    }
    if options.wants(Part::Crowd) {
        let section = crowd::section(&site, &kinds, options)?;
        report.add_section("Many connections at a time", section);
    }
    if options.wants(Part::Life) && has_camelpost {
        report.add_section(
            "Many sessions of one worker",
            life::section(&site, options)?,
        );
    }
    if options.wants(Part::Early) && options.early_seconds > 0 {
        let section = early::section(&site, &kinds, options)?;
        report.add_section("Clients that wait in a hook", section);
    }

    if options.wants(Part::Tls) {
        let kinds: Vec<Kind> = all
            .iter()
            .copied()
            .filter(|kind| *kind != Kind::Native)
            .collect();
        report.add_section("TLS", tls::section(&site, &kinds, options)?);
    }
    if options.wants(Part::Native) {
        report.add_section(
            "Native plugins alone",
            native::section(&site, &all, options)?,
        );
    }
    if options.wants(Part::Latency) {
        let section = latency::section(&site, &all, options)?;
        report.add_section("A hundred clients at a time", section);
    }
    if options.wants(Part::Waiting) && all.contains(&Kind::Native) {
        let section = waiting::section(&site, options)?;
        report.add_section("Clients in native/earlytalker", section);
    }

    let text = report.markdown(options);
    print!("{text}");
    if let Some(path) = &options.write {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
        }
        std::fs::write(path, report.page(options, &text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        eprintln!("bench: wrote {}", path.display());
    }
    eprintln!(
        "bench: {:.1} s of CPU went to the clients",
        load::own_cpu().as_secs_f64()
    );
    Ok(())
}

fn costs(site: &Site, kinds: &[Kind], options: &Options, report: &mut Report) -> Result<()> {
    let work = Work::new(options);
    // All of them run at once; only one has work at any time, and the CPU time
    // of each tree is its own.
    let mut contestants = Vec::new();
    for &kind in kinds {
        eprintln!("bench: starting {}", kind.name());
        let contestant = Contestant::start(kind, site, options)?;
        work.warm_up(&contestant)?;
        contestants.push(contestant);
    }
    for round in 1..=options.rounds {
        eprintln!("bench: round {round} of {}", options.rounds);
        for contestant in &mut contestants {
            work.round(contestant)?;
        }
    }
    for contestant in contestants {
        let (kind, samples) = contestant.stop();
        report.add(kind, samples);
    }
    if kinds.contains(&Kind::Camelpost) {
        for &messages in &options.memory {
            eprintln!("bench: memory of a worker after {messages} messages");
            report.add_memory(messages, measure::worker_memory(site, &work, messages)?);
        }
    }
    Ok(())
}
