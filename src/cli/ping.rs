//! `camelpost ping`: whether a daemon takes mail, for monitors. Asks it through its control socket and makes no
//! connection of a client's, so that no plugin runs and nothing is counted.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::control::{ControlOption, print};
use crate::server::{Command, Outcome, Status, ask_within};

/// It answers, but takes no clients now.
const NOT_SERVING: u8 = 1;
/// Nobody answers, or nobody who is believed.
const NO_ANSWER: u8 = 2;

/// As long as a monitor waits at most: a number that the clock can carry.
const LONGEST: f64 = 3600.0;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 it answers and takes connections, 1 it answers and does not take any (it loads for the first time, \
stops, or has lost the process with the plugins), 2 there is no answer, or the options are wrong. A reload that \
has failed is none of these: what was loaded before serves; `camelpost status` and the metrics tell of it.")]
pub(super) struct PingArgs {
    #[command(flatten)]
    place: ControlOption,

    /// How long it may take to answer.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("give seconds, more than 0 and at most {LONGEST}")),
    }
}

pub(super) fn ping(args: &PingArgs) -> ExitCode {
    let command = Command::Status {
        sessions: false,
        plugins: false,
        files: false,
        refusals: false,
    };
    let answer = args
        .place
        .find()
        .and_then(|path| ask_within(&path, command, args.timeout));
    let (status, problem) = match answer {
        Ok(Outcome::Status(status)) => match status.trouble() {
            None => return print(&line(&status)),
            Some(trouble) => {
                let problem = format!("pid {} answers, but: {trouble}", status.pid);
                (NOT_SERVING, problem)
            }
        },
        Ok(Outcome::Failed { error }) => (NOT_SERVING, error),
        Ok(_) => (NO_ANSWER, "the daemon answered another question".to_owned()),
        Err(problem) => (NO_ANSWER, problem),
    };
    eprintln!("camelpost: {}", problem.trim_end());
    ExitCode::from(status)
}

fn line(status: &Status) -> String {
    let addresses: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
    format!(
        "ok: camelpost {}, pid {}, listens on {}; {} sessions open",
        status.program,
        status.pid,
        addresses.join(", "),
        status.open_sessions
    )
}
