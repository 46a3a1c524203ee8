//! Several daemons that run here, each in a line, or as JSON. What one of them does is `control_table`'s.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::server::{Command, Outcome, ask_within};

/// One that hangs does not keep the others from being shown.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Daemon {
    control: String,
    pid: Option<u32>,
    program: Option<String>,
    generation: Option<u64>,
    listening: Vec<String>,
    config: Option<String>,
    /// Why it does not say more.
    problem: Option<String>,
}

/// A text with a line for each, or one line of JSON.
pub(super) fn list(paths: &[PathBuf], json: bool) -> Option<String> {
    let daemons: Vec<Daemon> = paths.iter().map(|path| daemon(path)).collect();
    match json {
        true => serde_json::to_string(&serde_json::json!({ "daemons": daemons })).ok(),
        false => Some(table(&daemons)),
    }
}

fn daemon(path: &Path) -> Daemon {
    let command = Command::Status {
        sessions: false,
        plugins: false,
        files: false,
        refusals: false,
    };
    let mut daemon = Daemon {
        control: path.display().to_string(),
        pid: None,
        program: None,
        generation: None,
        listening: Vec::new(),
        config: None,
        problem: None,
    };
    match ask_within(path, command, PATIENCE) {
        Ok(Outcome::Status(status)) => {
            daemon.pid = Some(status.pid);
            daemon.generation = status.generation;
            daemon.listening = status.listening.iter().map(ToString::to_string).collect();
            daemon.config = status.loaded.map(|load| load.config);
            daemon.program = Some(status.program);
        }
        Ok(Outcome::Failed { error }) => daemon.problem = Some(error),
        Ok(_) => daemon.problem = Some("the daemon answered another question".to_owned()),
        Err(problem) => daemon.problem = Some(problem),
    }
    daemon
}

fn table(daemons: &[Daemon]) -> String {
    let mut text = format!(
        "several daemons run; choose one with --control\n\n{:>9} {:8} {:24} {:32} CONTROL\n",
        "PID", "VERSION", "LISTENS ON", "CONFIG"
    );
    for one in daemons {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let pid = one
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let ports = match one.listening.as_slice() {
            [] => "-".to_owned(),
            some => some.join(","),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{pid:>9} {:8} {ports:24} {:32} {}",
            or_none(&one.program),
            or_none(&one.config),
            one.control
        );
        if let Some(problem) = &one.problem {
            let _ = writeln!(text, "{:>9} {problem}", "");
        }
    }
    text
}
