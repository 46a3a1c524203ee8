//! `camelpost check`: shows what is wrong with a configuration, or with a plugin's file. Either is loaded in a process
//! of its own, since a plugin may do anything to the one that loads it.

mod line;
mod shown;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::line::Line;
use super::who::Who;
use super::{Program, elsewhere, failed};
use crate::base::finding::CheckWhat;
use crate::server;

#[derive(Debug, Args)]
#[command(after_help = "\
Loads the plugins as the service's user, finds everything that is wrong in one run, and delivers nothing. It makes no \
file but the spool directory, where that is missing; plugins do what they do when they are loaded.\n\n\
As root it also looks whether qpsmtpd runs on this machine, and what it shares with this configuration.\n\n\
With --plugin only these files of Perl plugins are looked at, each for itself and without arguments; --config is where \
they find config values and other plugins then.\n\n\
Exit status: 0 nothing wrong, or warnings only; 1 errors: the service would not start, or without a file that it asks for; \
2 wrong usage.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    who: Who,

    /// Look at these files of Perl plugins, and at no configuration.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    plugin: Vec<PathBuf>,

    /// Tell of each plugin, too: where it was found, Perl or native, its hooks; and what is so, and may be
    /// meant so.
    #[arg(short, long)]
    verbose: bool,

    /// One JSON object a line: severity (error, warning, note), file and line where there are such, text.
    #[arg(long)]
    json: bool,

    /// What the process of its own is told.
    #[arg(long, hide = true)]
    in_this_process: bool,
}

/// The severity of the last line of the process that loads.
const DONE: &str = "done";

pub(super) fn check(args: &CheckArgs, program: &Program) -> ExitCode {
    if args.in_this_process {
        return in_this_process(args, program);
    }
    let mut findings = Vec::new();
    let plugins = args.plugin.iter().map(Some);
    let whole = args.plugin.is_empty().then_some(None);
    for plugin in plugins.chain(whole) {
        match look(&args.who, plugin) {
            Ok(more) => findings.extend(more),
            Err(status) => return status,
        }
    }
    end(findings, args.verbose, args.json)
}

/// The same for another command that has made this configuration.
pub(super) fn check_made(who: &Who, json: bool) -> ExitCode {
    match look(who, None) {
        Ok(findings) => end(findings, false, json),
        Err(status) => status,
    }
}

/// Shows them, and gives the exit status.
fn end(mut findings: Vec<Line>, verbose: bool, json: bool) -> ExitCode {
    findings.retain(|line| verbose || line.severity != "note");
    shown::show(&findings, json);
    match findings.iter().any(Line::is_error) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// What is found of the configuration, or of one plugin.
fn look(who: &Who, plugin: Option<&PathBuf>) -> Result<Vec<Line>, ExitCode> {
    let mut words: Vec<OsString> = vec!["check".into(), elsewhere::OPTION.into()];
    words.extend(who.words());
    if let Some(plugin) = plugin {
        words.extend(["--plugin".into(), plugin.into()]);
    }
    let mut findings: Vec<Line> = elsewhere::ask(&words)?;
    let finished = findings.pop_if(|last| last.severity == DONE).is_some();
    if !finished && !findings.iter().any(Line::is_error) {
        findings.push(Line {
            severity: "error".to_owned(),
            file: plugin.map(|plugin| plugin.display().to_string()),
            line: None,
            text: "the process that loads the plugins ended before all were loaded".to_owned(),
        });
    }
    Ok(findings)
}

fn in_this_process(args: &CheckArgs, program: &Program) -> ExitCode {
    // Of other users' processes root alone is told.
    let beside = server::beside();
    if let Err(problem) = args.who.become_user() {
        return failed(&format!("camelpost: {problem}"));
    }
    let what = CheckWhat {
        config: args.who.config.clone(),
        plugin: args.plugin.first().cloned(),
        beside,
    };
    (program.check)(what, &|finding| elsewhere::tell(&Line::from(finding)));
    elsewhere::tell(&Line {
        severity: DONE.to_owned(),
        file: None,
        line: None,
        text: String::new(),
    });
    // Plugins' END blocks and destructors are for a service that ends.
    server::exit_now(0)
}
