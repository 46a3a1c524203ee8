//! `camelpost check`: shows what is wrong with a configuration. The configuration is loaded in a process of its
//! own, since a plugin may do anything to the one that loads it.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Program, failed};
use crate::base::finding::{Finding, Severity};
use crate::server;

#[derive(Debug, Args)]
#[command(after_help = "\
Loads the plugins as the service's user, finds everything that is wrong in one run, and delivers nothing. It makes no \
file but the spool directory, where that is missing; plugins do what they do when they are loaded.\n\n\
Exit status: 0 nothing wrong, or warnings only; 1 errors: the service would not start; 2 wrong usage.")]
pub(super) struct CheckArgs {
    /// The config directory, as `serve` has it.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,

    /// The service's user, as `serve` has it.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// One JSON object a line: severity (error, warning), file and line where there are such, text.
    #[arg(long)]
    json: bool,

    /// What the process of its own is told.
    #[arg(long, hide = true)]
    in_this_process: bool,
}

/// A finding as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    line: Option<u32>,
    text: String,
}

impl From<Finding> for Line {
    fn from(finding: Finding) -> Line {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (file, line, text) = placed(&finding.text);
        Line {
            severity: severity.to_owned(),
            file,
            line,
            text,
        }
    }
}

/// `FILE:LINE: TEXT` or `FILE: TEXT` in its parts.
fn placed(text: &str) -> (Option<String>, Option<u32>, String) {
    let whole = || (None, None, text.to_owned());
    let Some((place, rest)) = text.split_once(": ") else {
        return whole();
    };
    if !place.starts_with(['/', '.']) && !place.contains('/') {
        return whole();
    }
    match place.rsplit_once(':') {
        Some((file, line)) if line.parse::<u32>().is_ok() => {
            (Some(file.to_owned()), line.parse().ok(), rest.to_owned())
        }
        _ => (Some(place.to_owned()), None, rest.to_owned()),
    }
}

/// The last line of the process that loads.
const DONE: &str = "done";

pub(super) fn check(args: &CheckArgs, program: &Program) -> ExitCode {
    if args.in_this_process {
        return in_this_process(args, program);
    }
    let mut findings = match elsewhere(args) {
        Ok(findings) => findings,
        Err(problem) => return failed(&format!("camelpost: {problem}")),
    };
    let finished = findings.pop_if(|last| last.severity == DONE).is_some();
    if !finished && !findings.iter().any(|line| line.severity == "error") {
        findings.push(Line {
            severity: "error".to_owned(),
            file: None,
            line: None,
            text: "the process that loads the plugins ended before all were loaded".to_owned(),
        });
    }
    show(&findings, args.json);
    match findings.iter().any(|line| line.severity == "error") {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn in_this_process(args: &CheckArgs, program: &Program) -> ExitCode {
    let say = |line: &Line| {
        let mut out = std::io::stdout().lock();
        // The parent has gone: nobody wants to know any more.
        let _ = serde_json::to_writer(&mut out, line).map(|()| out.write_all(b"\n"));
        let _ = out.flush();
    };
    if let Err(problem) = server::become_user(args.user.as_deref()) {
        return failed(&format!("camelpost: {problem}"));
    }
    (program.check)(args.config.clone(), &|finding| say(&finding.into()));
    say(&Line {
        severity: DONE.to_owned(),
        file: None,
        line: None,
        text: String::new(),
    });
    // Plugins' END blocks and destructors are for a service that ends.
    server::exit_now(0)
}

fn elsewhere(args: &CheckArgs) -> Result<Vec<Line>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["check", "--in-this-process"]);
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    if let Some(user) = &args.user {
        command.args(["--user", user]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let out = child.stdout.take().ok_or("no output")?;
    let lines = BufReader::new(out).lines().map_while(Result::ok);
    // What else is written there is a plugin's.
    let findings = lines
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect();
    let status = child.wait().map_err(|error| error.to_string())?;
    let findings: Vec<Line> = findings;
    // One that was killed has not said why on standard error.
    match findings.is_empty() && status.code().is_some_and(|code| code != 0) {
        true => Err("the configuration was not checked".to_owned()),
        false => Ok(findings),
    }
}

fn show(findings: &[Line], json: bool) {
    let mut out = std::io::stdout().lock();
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut text = String::new();
    for line in findings {
        if json {
            text += &serde_json::to_string(line).unwrap_or_default();
        } else {
            let colour = match &*line.severity {
                "error" => "31",
                _ => "33",
            };
            match colours {
                true => text += &format!("\x1b[1;{colour}m{}\x1b[0m: ", line.severity),
                false => text += &format!("{}: ", line.severity),
            }
            let place = match (&line.file, line.line) {
                (Some(file), Some(at)) => format!("{file}:{at}: "),
                (Some(file), None) => format!("{file}: "),
                (None, _) => String::new(),
            };
            text += &place;
            text += &line.text;
        }
        text.push('\n');
    }
    if !json {
        let count = |severity: &str| {
            findings
                .iter()
                .filter(|line| line.severity == severity)
                .count()
        };
        text += &format!(
            "{}, {}\n",
            some(count("error"), "error"),
            some(count("warning"), "warning")
        );
    }
    // A reader that has gone wants no more.
    let _ = out.write_all(text.as_bytes());
}

fn some(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_and_perhaps_a_line() {
        let place = |text| {
            let (file, line, text) = placed(text);
            (file.unwrap_or_default(), line, text)
        };
        assert_eq!(
            place("/etc/x/plugins:3: what"),
            ("/etc/x/plugins".into(), Some(3), "what".into())
        );
        assert_eq!(
            place("/etc/x/me: what: and"),
            ("/etc/x/me".into(), None, "what: and".into())
        );
        assert_eq!(
            place("nothing: of that"),
            (String::new(), None, "nothing: of that".into())
        );
    }
}
