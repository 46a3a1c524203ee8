//! The commands for a running daemon: `status`, `reload`, `upgrade`, `drain`. They ask through the control
//! socket and show the answer; what it means is the supervisor's.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::control_table::table;
use super::several;
use crate::server::{Command, Outcome, ask, control_path, control_paths};

/// No daemon could be asked.
pub(super) const NO_DAEMON: u8 = 3;
/// How often, and how long apart, the new process of an upgrade is asked whether it is there.
const ANSWER_TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

pub(super) const STATUSES: &str = "\
Exit status: 0 done, 1 the daemon said no, 2 wrong usage, 3 no daemon could be asked.";

#[derive(Debug, Clone, Args)]
pub(super) struct ControlOption {
    /// The daemon's control socket. Default: that of the only daemon found in the directories
    /// where `serve` makes it by default (those in /run/camelpost, and for others than root
    /// $XDG_RUNTIME_DIR/camelpost or /tmp/camelpost-UID).
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

impl ControlOption {
    pub(super) fn find(&self) -> Result<PathBuf, String> {
        control_path(self.control.as_deref())
    }
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    place: ControlOption,

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
pub(super) struct ReloadArgs {
    #[command(flatten)]
    place: ControlOption,
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    place: ControlOption,
}

#[derive(Debug, Args)]
#[command(after_help = STATUSES)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    place: ControlOption,

    /// How long open sessions may go on; then they get a 421.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,

    /// Do not wait until the daemon has ended.
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn status(args: &StatusArgs) -> ExitCode {
    // Where several run, all are shown.
    if let Ok(paths) = control_paths(args.place.control.as_deref())
        && paths.len() > 1
        && let Some(text) = several::list(&paths, args.json)
    {
        return print(&text);
    }
    let command = Command::Status {
        sessions: args.sessions,
        plugins: args.plugins,
        files: true,
        refusals: false,
    };
    finish(&args.place, command, |outcome| match outcome {
        Outcome::Status(status) if args.json => serde_json::to_string(&status).ok(),
        Outcome::Status(status) => Some(table(&status)),
        _ => None,
    })
}

pub(super) fn reload(args: &ReloadArgs) -> ExitCode {
    finish(&args.place, Command::Reload, |outcome| match outcome {
        Outcome::Reloaded { generation } => Some(format!("reloaded: generation {generation}")),
        _ => None,
    })
}

pub(super) fn upgrade(args: &UpgradeArgs) -> ExitCode {
    finish(&args.place, Command::Upgrade, |outcome| match outcome {
        Outcome::Upgraded { pid, sessions } => {
            wait_for(&args.place, pid);
            let old = match sessions {
                0 => String::new(),
                1 => "; 1 session goes on in the old one".to_owned(),
                some => format!("; {some} sessions go on in the old one"),
            };
            Some(format!("upgraded: process {pid} serves new clients{old}"))
        }
        _ => None,
    })
}

/// Waits until the new process answers, so that the next command finds it. Where it does not, the
/// upgrade was one nonetheless.
fn wait_for(place: &ControlOption, new: u32) {
    let command = Command::Status {
        sessions: false,
        plugins: false,
        files: false,
        refusals: false,
    };
    // Where the old one's socket was named by its process id (`PID.sock`), the new one's is beside it.
    let beside = place
        .control
        .as_ref()
        .map(|path| path.with_file_name(format!("{new}.sock")));
    let answers = |path: &PathBuf| {
        let answer = ask(path, command.clone());
        matches!(answer, Ok(Outcome::Status(status)) if status.pid == new)
    };
    for _ in 0..ANSWER_TRIES {
        if place.find().iter().chain(&beside).any(answers) {
            return;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
}

pub(super) fn drain(args: &DrainArgs) -> ExitCode {
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
fn finish(
    place: &ControlOption,
    command: Command,
    show: impl Fn(Outcome) -> Option<String>,
) -> ExitCode {
    let answer = place.find().and_then(|path| ask(&path, command));
    let outcome = match answer {
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
        Some(text) => print(&text),
        None => {
            eprintln!("camelpost: the daemon answered another question");
            ExitCode::FAILURE
        }
    }
}

pub(super) fn print(text: &str) -> ExitCode {
    // A pager that was left early is no error.
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("camelpost: cannot write the answer: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
