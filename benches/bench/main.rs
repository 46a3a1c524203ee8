//! `make bench`: what a connection and a message cost, beside the original.
//!
//! Starts qpsmtpd-forkserver, qpsmtpd-prefork and Camelpost with the same
//! config directory, gives them the same work in turns, and prints medians of
//! the CPU time of their whole process trees. Wall time is not measured: on one
//! machine it says more about the client than about the servers.
#![forbid(unsafe_code)]

mod client;
mod cpu;
mod daemon;
mod measure;
mod options;
mod report;
mod site;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::daemon::{Daemon, Kind};
use crate::measure::{Samples, Work};
use crate::options::Options;
use crate::report::Report;
use crate::site::Site;

/// What every part here fails with: the message is for the person at the terminal.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
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
    let work = Work::new(options);
    let kinds = options.daemons()?;
    let has_camelpost = kinds.contains(&Kind::Camelpost);

    // All of them run at once; only one has work at any time, and the CPU time
    // of each tree is its own.
    let mut contestants = Vec::new();
    for kind in kinds {
        eprintln!("bench: starting {}", kind.name());
        let open = Daemon::start(kind, &site, &site.open, options)?;
        let refusing = Daemon::start(kind, &site, &site.refusing, options)?;
        work.warm_up(&open, &refusing)
            .map_err(|error| open.explain(error))?;
        contestants.push((kind, open, refusing, Samples::default()));
    }

    for round in 1..=options.rounds {
        eprintln!("bench: round {round} of {}", options.rounds);
        for (_, open, refusing, samples) in &mut contestants {
            work.round(open, refusing, samples)
                .map_err(|error| open.explain(error))?;
        }
    }

    let mut report = Report::default();
    for (kind, open, refusing, samples) in contestants {
        report.add(kind, samples);
        open.stop();
        refusing.stop();
    }
    if has_camelpost {
        for &messages in &options.memory {
            eprintln!("bench: memory of a worker after {messages} messages");
            report.add_memory(messages, measure::worker_memory(&site, &work, messages)?);
        }
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
    Ok(())
}
