//! The commands for a running daemon: `status`, `reload`, `drain`. They ask through the control
//! socket and show the answer; what it means is the supervisor's.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::control_table::table;
use crate::server::{Command, Outcome, ask};

/// No daemon could be asked.
const NO_DAEMON: u8 = 3;

const STATUSES: &str = "\
Exit status: 0 done, 1 the daemon said no, 2 wrong usage, 3 no daemon could be asked.";

#[derive(Debug, Args)]
struct Place {
    /// The daemon's control socket. Default: that of the only daemon found in the directories
    /// where `serve` makes it by default (/run/camelpost, and for others than root
    /// $XDG_RUNTIME_DIR/camelpost or /tmp/camelpost-UID).
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub struct StatusArgs {
    #[command(flatten)]
    place: Place,

    /// Show each open session too.
    #[arg(long)]
    sessions: bool,

    /// Show what each plugin did in each hook too, those that took longest first.
    #[arg(long)]
    plugins: bool,

    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub struct ReloadArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub struct DrainArgs {
    #[command(flatten)]
    place: Place,

    /// How long open sessions may go on; then they get a 421.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,

    /// Do not wait until the daemon has ended.
    #[arg(long)]
    no_wait: bool,
}

pub fn status(args: &StatusArgs) -> ExitCode {
    let command = Command::Status {
        sessions: args.sessions,
        plugins: args.plugins,
    };
    finish(&args.place, command, |outcome| match outcome {
        Outcome::Status(status) if args.json => serde_json::to_string(&status).ok(),
        Outcome::Status(status) => Some(table(&status)),
        _ => None,
    })
}

pub fn reload(args: &ReloadArgs) -> ExitCode {
    finish(&args.place, Command::Reload, |outcome| match outcome {
        Outcome::Reloaded { generation } => Some(format!("reloaded: generation {generation}")),
        _ => None,
    })
}

pub fn drain(args: &DrainArgs) -> ExitCode {
    let command = Command::Drain {
        limit_seconds: args.limit,
        wait: !args.no_wait,
    };
    finish(&args.place, command, |outcome| match outcome {
        Outcome::Draining { sessions: 1 } => Some("draining: 1 session is open".to_owned()),
        Outcome::Draining { sessions } => Some(format!("draining: {sessions} sessions are open")),
        Outcome::Drained { cut_off: 0 } => Some("drained".to_owned()),
        Outcome::Drained { cut_off } => Some(format!("drained; sessions cut off: {cut_off}")),
        _ => None,
    })
}

/// Asks and prints; `show` knows the answers that fit the question.
fn finish(place: &Place, command: Command, show: impl Fn(Outcome) -> Option<String>) -> ExitCode {
    let outcome = match ask(place.control.as_deref().map(Path::new), command) {
        Ok(Outcome::Failed { error }) => {
            let error = error.strip_prefix("camelpost: ").unwrap_or(&error);
            eprintln!("camelpost: {error}");
            return ExitCode::FAILURE;
        }
        Ok(outcome) => outcome,
        Err(problem) => {
            eprintln!("camelpost: {problem}");
            return ExitCode::from(NO_DAEMON);
        }
    };
    match show(outcome) {
        // A pager that was left early is no error.
        Some(text) => match writeln!(io::stdout(), "{}", text.trim_end()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("camelpost: cannot write the answer: {error}");
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        },
        None => {
            eprintln!("camelpost: the daemon answered another question");
            ExitCode::FAILURE
        }
    }
}
