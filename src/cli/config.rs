//! `camelpost config`: what counts of a config directory, with the file and line that says it. Starts nothing, loads
//! no plugin, and shows no password.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::failed;
use crate::base::likely::likely;
use crate::config::{
    ConfigDir, Effective, effective, files, is_config_name, is_secret, setting_of, shown,
    usual_names,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Without NAME: every setting of Camelpost with its unit and the file and line that says it, or that it is the default; then \
the other files of the directory, which plugins ask for, with the number of their lines. With the name of a \
setting or of a file: that one, a line for each of its values.\n\n\
No plugin is loaded: what a plugin's hook config answers is not seen here.\n\n\
Exit status: 0; 1 where a value is wrong, or nothing has that name; 2 wrong usage.")]
pub(super) struct ConfigArgs {
    /// The config directory, as `serve` has it.
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,

    /// One JSON object a line: name, value, unit, default, file, line, problem.
    #[arg(long)]
    json: bool,

    /// Only what a file says, and no default.
    #[arg(short = 'n', long)]
    not_default: bool,

    /// A setting, or a file of the directory.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// A value.
#[derive(Debug, Default, Serialize)]
struct Line {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn config(args: &ConfigArgs) -> ExitCode {
    let dir = match ConfigDir::locate(args.config.clone()) {
        Ok(dir) => dir,
        Err(problem) => return failed(&format!("camelpost: {problem}")),
    };
    let lines = match &args.name {
        None => all(&dir),
        Some(name) => match one(&dir, name) {
            Ok(lines) => lines,
            Err(problem) => return failed(&format!("camelpost: {problem}")),
        },
    };
    let wrong = lines.iter().any(|line| line.problem.is_some());
    let lines = lines
        .iter()
        .filter(|line| !(args.not_default && line.default));
    let mut text = String::new();
    for line in lines {
        match args.json {
            true => text += &serde_json::to_string(line).unwrap_or_default(),
            false => text += &plain(line),
        }
        text.push('\n');
    }
    // A reader that has gone wants no more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    match wrong {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn all(dir: &ConfigDir) -> Vec<Line> {
    let mut lines: Vec<Line> = effective(dir).into_iter().flat_map(of_setting).collect();
    for path in files(dir) {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| is_config_name(name) && setting_of(name).is_none())
        else {
            continue;
        };
        if name.ends_with(".cdb") {
            lines.push(Line {
                name: name.to_owned(),
                value: Some("a map".to_owned()),
                file: Some(path.display().to_string()),
                ..Line::default()
            });
            continue;
        }
        lines.push(match dir.entries(name) {
            Ok(entries) => Line {
                name: name.to_owned(),
                value: Some(entries.len().to_string()),
                unit: Some(if entries.len() == 1 { "line" } else { "lines" }),
                file: Some(path.display().to_string()),
                ..Line::default()
            },
            Err(problem) => wrong(name, &problem.to_string()),
        });
    }
    lines
}

/// What has this name. An error: nothing has.
fn one(dir: &ConfigDir, name: &str) -> Result<Vec<Line>, String> {
    if let Some(setting) = setting_of(name) {
        let found = effective(dir)
            .into_iter()
            .find(|found| found.name == setting);
        return Ok(found.map(of_setting).unwrap_or_default());
    }
    let is_there = is_config_name(name) && dir.has(name);
    if !is_there && !usual_names().any(|usual| usual == name) {
        let others = files(dir);
        let mut names: Vec<&str> = usual_names().collect();
        names.extend(others.iter().filter_map(|path| path.file_name()?.to_str()));
        let meant = likely(name, names);
        let meant = meant.map_or_else(String::new, |meant| format!("; {meant} is one"));
        return Err(format!(
            "{}: no setting and no file of the config directory has this name{meant}",
            shown(name.as_bytes())
        ));
    }
    Ok(match dir.entries(name) {
        Err(problem) => vec![wrong(name, &problem.to_string())],
        Ok(entries) if entries.is_empty() => vec![Line {
            name: name.to_owned(),
            default: !is_there,
            ..Line::default()
        }],
        Ok(entries) => {
            let lines = entries.into_iter().map(|entry| Line {
                name: name.to_owned(),
                value: Some(match is_secret(name) {
                    true => "(not shown)".to_owned(),
                    false => shown(&entry.text),
                }),
                file: Some(entry.place.file.display().to_string()),
                line: Some(entry.place.line),
                ..Line::default()
            });
            lines.collect()
        }
    })
}

fn wrong(name: &str, problem: &str) -> Line {
    Line {
        name: name.to_owned(),
        problem: Some(problem.to_owned()),
        ..Line::default()
    }
}

fn of_setting(found: Effective) -> Vec<Line> {
    if let Some(problem) = &found.problem {
        return vec![wrong(found.name, problem)];
    }
    let default = found.is_default();
    if found.values.is_empty() {
        return vec![Line {
            name: found.name.to_owned(),
            default,
            ..Line::default()
        }];
    }
    let lines = found.values.into_iter().map(|value| {
        let is_number = value.text.bytes().all(|byte| byte.is_ascii_digit());
        Line {
            name: found.name.to_owned(),
            unit: Some(found.unit).filter(|unit| is_number && !unit.is_empty()),
            value: Some(value.text),
            default,
            file: value
                .place
                .as_ref()
                .map(|place| place.file.display().to_string()),
            line: value.place.map(|place| place.line),
            problem: None,
        }
    });
    lines.collect()
}

/// `NAME = VALUE UNIT  (PLACE)`.
fn plain(line: &Line) -> String {
    if let Some(problem) = &line.problem {
        return format!("{} is wrong: {problem}", line.name);
    }
    let value = line.value.as_deref().unwrap_or("(nothing)");
    let unit = line
        .unit
        .map_or_else(String::new, |unit| format!(" {unit}"));
    let place = match (&line.file, line.line) {
        (Some(file), Some(at)) => format!("  ({file}:{at})"),
        (Some(file), None) => format!("  ({file})"),
        _ if line.default => "  (default)".to_owned(),
        _ => String::new(),
    };
    format!("{} = {value}{unit}{place}", line.name)
}
