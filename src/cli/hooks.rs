//! `camelpost hooks`: shows who runs on each hook of a configuration, in order. The configuration is loaded in a
//! process of its own, since a plugin may do anything to the one that loads it.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::who::Who;
use super::{Program, elsewhere, failed};
use crate::base::likely::likely;
use crate::base::listed::Listed;
use crate::config::{ConfigDir, shown};
use crate::hook::Hook;
use crate::server;

#[derive(Debug, Args)]
#[command(after_help = "\
Loads the plugins as the service's user, and delivers nothing; plugins do what they do when they are loaded. Each line is a \
plugin: Perl or native, its name, the method that is called, the words behind its name in config/plugins, that line's \
place, and what plugin_settings says of its time and its failures.\n\n\
Exit status: 0; 1 where the configuration does not load, or there is no such hook; 2 wrong usage.")]
pub(super) struct HooksArgs {
    #[command(flatten)]
    who: Who,

    /// One JSON object a line: hook, order, plugin, native, method, args, file, line, timeout, on_error.
    #[arg(long)]
    json: bool,

    /// This hook only.
    #[arg(value_name = "HOOK")]
    hook: Option<String>,

    /// What the process of its own is told.
    #[arg(long, hide = true)]
    in_this_process: bool,
}

/// What the process that loads tells.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Entry(Listed),
    /// There is no more to tell.
    Done(Result<(), String>),
}

pub(super) fn hooks(args: &HooksArgs, program: &Program) -> ExitCode {
    if args.in_this_process {
        return in_this_process(args, program);
    }
    // Neither needs the plugins.
    if let Err(problem) = ConfigDir::locate(args.who.config.clone()) {
        return failed(&format!("camelpost: {problem}"));
    }
    if let Err(problem) = args.hook.as_deref().map(named).transpose() {
        return failed(&format!("camelpost: {problem}"));
    }
    let mut words: Vec<OsString> = vec!["hooks".into(), elsewhere::OPTION.into()];
    words.extend(args.who.words());
    if let Some(hook) = &args.hook {
        words.extend(["--".into(), hook.into()]);
    }
    let mut told: Vec<Told> = match elsewhere::ask(&words) {
        Ok(told) => told,
        Err(status) => return status,
    };
    match told.pop() {
        Some(Told::Done(Ok(()))) => {}
        Some(Told::Done(Err(problem))) => return failed(&format!("camelpost: {problem}")),
        _ => {
            return failed(
                "camelpost: the process that loads the plugins ended before all were loaded",
            );
        }
    }
    let entries = told.iter().filter_map(|told| match told {
        Told::Entry(listed) => Some(listed),
        Told::Done(_) => None,
    });
    let mut text = String::new();
    let mut hook = "";
    for listed in entries {
        if args.json {
            text += &serde_json::to_string(listed).unwrap_or_default();
            text.push('\n');
            continue;
        }
        if hook != listed.hook {
            hook = &listed.hook;
            text += &format!("{hook}\n");
        }
        text += &plain(listed);
    }
    if text.is_empty() && !args.json {
        text = match &args.hook {
            Some(hook) => format!("no plugin runs on {hook}\n"),
            None => "no plugin runs on any hook\n".to_owned(),
        };
    }
    // A reader that has gone wants no more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn in_this_process(args: &HooksArgs, program: &Program) -> ExitCode {
    if let Err(problem) = args.who.become_user() {
        return failed(&format!("camelpost: {problem}"));
    }
    let tell = |listed: Listed| elsewhere::tell(&Told::Entry(listed));
    let hook = args.hook.as_deref().map(named).transpose();
    let found = hook.and_then(|hook| (program.hooks)(args.who.config.clone(), hook, &tell));
    elsewhere::tell(&Told::Done(found));
    // Plugins' END blocks and destructors are for a service that ends.
    server::exit_now(0)
}

/// The hook of this name; the error is the line for who has asked.
fn named(name: &str) -> Result<Hook, String> {
    let plain = name.strip_prefix("hook_").unwrap_or(name);
    let known = Hook::by_name(plain.as_bytes());
    known.ok_or_else(|| {
        let names = Hook::ALL.iter().map(|hook| hook.name());
        let name = shown(name.as_bytes());
        match likely(plain, names.clone()) {
            Some(meant) => format!("there is no hook {name}; {meant} is one"),
            None => {
                let names: Vec<&str> = names.collect();
                format!("there is no hook {name}; there are: {}", names.join(", "))
            }
        }
    })
}

/// `  1 Perl   NAME ARGUMENTS: METHOD  (PLACE)  WHAT HOLDS`.
fn plain(listed: &Listed) -> String {
    let kind = match listed.native {
        true => "native",
        false => "Perl  ",
    };
    let mut text = format!("{:3} {kind} {}", listed.order, listed.plugin);
    for arg in &listed.args {
        text += &format!(" {arg}");
    }
    if let Some(method) = &listed.method {
        text += &format!(": {method}");
    }
    if let (Some(file), Some(line)) = (&listed.file, listed.line) {
        text += &format!("  ({file}:{line})");
    }
    let timeout = listed.timeout.map(|seconds| match seconds {
        0 => "any time".to_owned(),
        seconds => format!("timeout {seconds} s"),
    });
    let on_error = listed
        .on_error
        .as_ref()
        .map(|means| format!("on_error {means}"));
    let holds: Vec<String> = timeout.into_iter().chain(on_error).collect();
    if !holds.is_empty() {
        text += &format!("  {}", holds.join(", "));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_found_by_each_of_its_names() {
        assert_eq!(named("rcpt"), Ok(Hook::Rcpt));
        assert_eq!(named("hook_pre_connection"), Ok(Hook::PreConnection));
        let meant = named("rcptt").unwrap_err();
        assert_eq!(meant, "there is no hook rcptt; rcpt is one");
        let all = named("something_else").unwrap_err();
        assert!(all.contains("there are: logging, "), "{all}");
    }
}
