//! The options of `serve` that say how the service behaves toward whoever runs it, what the
//! original's daemons get in their place, and which limits contradict each other.

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::Serve;
use crate::server::{Rate, ServiceSettings};

const UPGRADE: u32 = 120;

#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Let one address (IPv6: one /64) connect only so often: CONNECTIONS at once, and as many
    /// again in each SECONDS; further ones get a 421. Default: as often as it likes.
    #[arg(long, value_name = "CONNECTIONS/SECONDS")]
    max_rate: Option<Rate>,

    /// Told to stop (TERM, INT), let open sessions go on for this many seconds, then end them with
    /// a 421. New clients are refused meanwhile. 0: end them at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u32,

    /// Upgrading (USR2), give the new process this many seconds to load everything.
    #[arg(long, value_name = "SECONDS", default_value_t = UPGRADE, value_parser = clap::value_parser!(u32).range(1..))]
    upgrade_timeout: u32,
}

impl ServiceArgs {
    /// `given`: what was on the command line.
    pub fn settings(&self, given: &Given<'_>) -> ServiceSettings {
        ServiceSettings {
            drain: Duration::from_secs(self.drain_timeout.into()),
            upgrade: Duration::from_secs(self.upgrade_timeout.into()),
            max_rate: self.max_rate,
            ports_named: given.has("port"),
        }
    }
}

/// What the original's daemons get. They end their sessions at once when they are told to stop, and
/// their start scripts wait for it.
pub fn classic(ports_named: bool) -> ServiceSettings {
    ServiceSettings {
        drain: Duration::from_secs(5),
        upgrade: Duration::from_secs(UPGRADE.into()),
        max_rate: None,
        ports_named,
    }
}

/// Tells what somebody has asked for from what is a default.
pub struct Given<'a>(pub Option<&'a ArgMatches>);

impl Given<'_> {
    fn has(&self, name: &str) -> bool {
        let source = self.0.and_then(|matches| matches.value_source(name));
        source == Some(ValueSource::CommandLine)
    }
}

/// Limits that cannot all be meant; a line that says which. Defaults contradict nothing.
pub fn contradiction(serve: &Serve, given: &Given<'_>) -> Option<String> {
    let all = serve.limit_connections;
    let limited = given.has("limit_connections") && all > 0;
    let spare = serve.spare_workers;
    if limited && given.has("max_from_ip") && serve.max_from_ip > all {
        let one = serve.max_from_ip;
        return Some(format!(
            "--max-from-ip {one} is more than the {all} connections that --limit-connections \
             allows in all: lower the one or raise the other"
        ));
    }
    if limited && given.has("spare_workers") && spare > all {
        return Some(format!(
            "--spare-workers {spare} is more than the {all} connections that \
             --limit-connections allows in all: lower the one or raise the other"
        ));
    }
    if given.has("workers") && given.has("spare_workers") && spare >= serve.workers {
        return Some(format!(
            "--spare-workers {spare} leaves none of the --workers {} for a session: --workers \
             has to be at least one more",
            serve.workers
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{CommandLine, Subcommands};
    use super::*;
    use clap::{CommandFactory, FromArgMatches};

    fn line(words: &str) -> Option<String> {
        let words = format!("camelpost serve {words}");
        let matches = CommandLine::command().get_matches_from(words.split_whitespace());
        let Ok(CommandLine {
            command: Subcommands::Serve(serve),
        }) = CommandLine::from_arg_matches(&matches)
        else {
            panic!("not serve")
        };
        contradiction(&serve, &Given(matches.subcommand_matches("serve")))
    }

    #[test]
    fn limits_that_contradict_each_other_are_one_line_that_names_both() {
        for (words, names) in [
            ("-c 10 -m 11", ["--max-from-ip 11", "--limit-connections"]),
            (
                "-c 3 --spare-workers 4",
                ["--spare-workers 4", "--limit-connections"],
            ),
            (
                "--workers 4 --spare-workers 4",
                ["--spare-workers 4", "--workers 4"],
            ),
        ] {
            let found = line(words).unwrap();
            assert!(names.iter().all(|name| found.contains(name)), "{found}");
            assert!(!found.contains('\n'));
        }
    }

    #[test]
    fn defaults_and_zeros_contradict_nothing() {
        for words in [
            "",
            "-c 1",
            "-c 0 -m 1000",
            "-c 5 -m 5",
            "-m 1000",
            "--workers 1",
            "--workers 3 --spare-workers 2",
            "-c 5 -m 0",
        ] {
            assert_eq!(line(words), None, "{words}");
        }
    }
}
