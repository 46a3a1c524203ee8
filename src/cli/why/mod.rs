//! `camelpost why`: what became of a connection, a mail transaction, or the mail of an address, from the log
//! in JSON. Reads each line once, and keeps what is said of connections that are still open there.

mod story;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

use self::story::Stories;
use crate::server::shown;

/// Where the log of a packaged service is.
const LOG: &str = "/var/log/camelpost/camelpost.log";

#[derive(Debug, Args)]
#[command(after_help = "\
The log has to be written by `camelpost serve --log-format json`. An ID is a connection's \
(4194305-mx04ny17) or a transaction's (4194305-mx04ny17.1), as they stand in the log, in Received \
lines and where show_id has them; an address is a client's IP address or name, or a sender's or recipient's.\n\n\
Examples: camelpost why 4194305-mx04ny17.1\n          \
camelpost why joe@example.org --log /var/log/camelpost/camelpost.log\n          \
zcat camelpost.log.2.gz | camelpost why 192.0.2.7 --log -\n          \
journalctl -u camelpost -o cat | camelpost why 192.0.2.7 --log -")]
pub(super) struct WhyArgs {
    /// An id or an address.
    #[arg(value_name = "ID|ADDRESS")]
    what: String,

    /// Read this log, or standard input (`-`); may be given several times, the oldest first. Default:
    /// /var/log/camelpost/camelpost.log.
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,

    /// Print the log's own lines.
    #[arg(long)]
    json: bool,
}

/// Prints what is found. Exit status 1: nothing, or no log.
pub(super) fn why(args: &WhyArgs) -> ExitCode {
    let usual = [PathBuf::from(LOG)];
    let logs = match args.log.is_empty() {
        true => &usual[..],
        false => &args.log[..],
    };
    let mut stories = Stories::new(&args.what, args.json);
    let mut out = io::stdout().lock();
    for log in logs {
        match read(log, &mut stories, &mut out) {
            Ok(()) => {}
            Err(Problem::Output(error)) => return unwritten(&error),
            Err(Problem::Log(problem)) => {
                eprintln!("camelpost why: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    if let Err(error) = stories.finish(&mut out).and_then(|()| out.flush()) {
        return unwritten(&error);
    }
    if stories.told() == 0 {
        let names: Vec<String> = logs.iter().map(|log| log.display().to_string()).collect();
        let (what, names) = (&args.what, names.join(", "));
        eprintln!("camelpost why: nothing about {what} in {names}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Nobody reads any more, which is no failure; or there is no room.
fn unwritten(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("camelpost why: cannot write what was found: {error}");
    ExitCode::FAILURE
}

enum Problem {
    Log(String),
    /// What was found cannot be written.
    Output(io::Error),
}

fn read(log: &Path, stories: &mut Stories, out: &mut impl Write) -> Result<(), Problem> {
    let shown = log.display();
    let cannot = |error: io::Error| {
        Problem::Log(format!(
            "cannot read {shown}: {error}; name the log that `serve --log-format json` writes with --log"
        ))
    };
    let mut lines: Box<dyn BufRead> = match log.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(log).map_err(cannot)?)),
    };
    let (mut line, mut any, mut number) = (Vec::new(), false, 0_u64);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        number += 1;
        // What a program that a plugin started wrote to stderr is there, too.
        let Some(object) = object(&line) else {
            continue;
        };
        any = true;
        stories.take(&object, &line, out).map_err(Problem::Output)?;
    }
    if !any && number > 0 {
        return Err(Problem::Log(format!(
            "{shown} is no log in JSON: none of its {number} lines is an object; start the service with \
             --log-format json"
        )));
    }
    Ok(())
}

/// A line's object, as a terminal may have it. What stands behind something else may be a client's words.
fn object(line: &[u8]) -> Option<Map<String, Value>> {
    if !line.starts_with(b"{") {
        return None;
    }
    match shown(serde_json::from_slice(line).ok()?) {
        Value::Object(object)
            if ["time", "pid", "event"]
                .iter()
                .all(|name| object.contains_key(*name)) =>
        {
            Some(object)
        }
        _ => None,
    }
}
