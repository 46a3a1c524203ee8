//! The command line of the bench. Defaults are meant to end within six minutes.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Result;
use crate::kind::Kind;

/// What can be measured by itself.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Connections, messages and refusals, one at a time
    Costs,
    /// Memory of idle connections, and service beside them
    Idle,
    /// Many connections at a time
    Crowd,
    /// Many sessions of one worker
    Life,
    /// Clients at a steady rate behind earlytalker
    Early,
    /// STARTTLS, and idle connections behind it
    Tls,
    /// Native plugins alone, beside Perl's and Haraka
    Native,
    /// How long a connection takes beside a hundred others
    Latency,
    /// Clients that wait in native/earlytalker
    Waiting,
}

#[derive(Parser, Debug)]
#[command(
    name = "bench",
    about = "CPU and memory of Camelpost beside the original qpsmtpd servers"
)]
pub struct Options {
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    pub parts: Vec<Part>,

    /// How often each server gets its turn
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub rounds: usize,

    /// Connections with one 2 KiB message, per turn
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub connections: usize,

    /// 2 KiB messages in one connection, per turn
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub messages: usize,

    /// Messages of 10 MiB, per turn
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub large: usize,

    /// Refused connections, per turn
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub refused: usize,

    /// Only these servers: forkserver, prefork, camelpost; earlier, an earlier build that the variable
    /// CAMELPOST_EARLIER names; native, Camelpost without Perl; haraka
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,

    /// Workers of Camelpost
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub workers: usize,

    /// The user that the servers run as (started as root: qpsmtpd or nobody)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Private memory of a Camelpost worker after this many messages (may be a list)
    #[arg(long, value_delimiter = ',', default_value = "1000", value_name = "N")]
    pub memory: Vec<usize>,

    /// Idle connections of Camelpost's
    #[arg(long, default_value_t = 5000, value_name = "N")]
    pub idle: usize,

    /// Idle connections of the original's servers, each of which is a process of 2 MB
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub idle_original: usize,

    /// Clients that come one after the other while those are idle
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub tries: usize,

    /// Connections at a time (may be a list)
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000", value_name = "N", value_parser = at_least_one)]
    pub crowd: Vec<usize>,

    /// Sessions of one worker; 100000 take some minutes
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = at_least_one)]
    pub sessions: usize,

    /// Clients a second behind earlytalker
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = at_least_one)]
    pub early_rate: usize,

    /// For how long they come
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub early_seconds: usize,

    /// Connections with STARTTLS and one message, per turn
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub secured: usize,

    /// Idle connections behind STARTTLS; of the forkserver not more than of idle ones without
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub idle_secured: usize,

    /// Connections of a hundred clients at a time
    #[arg(long, default_value_t = 3000, value_name = "N")]
    pub latency: usize,

    /// Clients that wait in native/earlytalker
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub waiting: usize,

    /// Also write the result to a file
    #[arg(long, num_args = 0..=1, default_missing_value = "docs/bench.md", value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Passed by cargo bench; means nothing here
    #[arg(long, hide = true)]
    bench: bool,
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) => Err(String::from("at least 1")),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

impl Options {
    pub fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// The servers that take part: those asked for, or all that are installed.
    pub fn daemons(&self) -> Result<Vec<Kind>> {
        if self.only.is_empty() {
            if let Err(error) = crate::haraka::install() {
                eprintln!("bench: Haraka cannot be installed ({error}), left out");
            }
            let (there, missing): (Vec<_>, Vec<_>) =
                Kind::ALL.into_iter().partition(|kind| kind.is_installed());
            let originals = missing.into_iter().filter(|kind| kind.is_original());
            for kind in originals {
                eprintln!(
                    "bench: {} is not installed (Debian package qpsmtpd), left out",
                    kind.name()
                );
            }
            return Ok(there);
        }
        self.only
            .iter()
            .map(|name| {
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                let kind = kind.ok_or_else(|| {
                    format!("--only {name}: unknown, choose from forkserver, prefork, camelpost, earlier, native, haraka")
                })?;
                if kind == Kind::Haraka {
                    crate::haraka::install().map_err(|error| format!("--only {name}: {error}"))?;
                }
                if !kind.is_installed() {
                    return Err(
                        format!("--only {name}: not installed (Debian package qpsmtpd)").into(),
                    );
                }
                Ok(kind)
            })
            .collect()
    }
}
