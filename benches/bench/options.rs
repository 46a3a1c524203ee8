//! The command line of the bench. Defaults are meant to end within four minutes.

use std::path::PathBuf;

use clap::Parser;

use crate::Result;
use crate::daemon::Kind;

#[derive(Parser, Debug)]
#[command(
    name = "bench",
    about = "CPU and memory of Camelpost beside the original qpsmtpd servers"
)]
pub struct Options {
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

    /// Only these servers: forkserver, prefork, camelpost
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

    /// Also write the result to a file
    #[arg(long, num_args = 0..=1, default_missing_value = "docs/bench.md", value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Passed by cargo bench; means nothing here
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The servers that take part: those asked for, or all that are installed.
    pub fn daemons(&self) -> Result<Vec<Kind>> {
        if self.only.is_empty() {
            let (there, missing): (Vec<_>, Vec<_>) =
                Kind::ALL.into_iter().partition(|kind| kind.is_installed());
            for kind in missing {
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
                    format!("--only {name}: unknown, choose from forkserver, prefork, camelpost")
                })?;
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
