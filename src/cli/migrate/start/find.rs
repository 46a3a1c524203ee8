//! Where start scripts are looked for, and which of them starts the server whose config directory is migrated. Reads them, and
//! leaves them as they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::root::Root;
use super::command::{Started, started};
use super::shell::calls;
use super::{Kind, Start, unit};

/// What was found.
#[derive(Debug, Default)]
pub(in super::super) struct Found {
    /// The one that has this config directory.
    pub(in super::super) start: Option<Start>,
    /// Others that have it, too.
    pub(in super::super) others: Vec<PathBuf>,
    /// Those that have another, with that.
    pub(in super::super) elsewhere: Vec<(PathBuf, PathBuf)>,
}

/// Units, and before the scripts of the same name, as systemd has it; run scripts; init scripts.
pub(super) const UNITS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const RUNS: [&str; 5] = [
    "/service",
    "/etc/service",
    "/var/service",
    "/etc/sv",
    "/etc/s6/sv",
];
pub(super) const SCRIPTS: [&str; 2] = ["/etc/init.d", "/etc/rc.d/init.d"];

/// Looks for it, or at the file that is named.
pub(in super::super) fn find(
    root: &Root,
    config: &Path,
    named: Option<&Path>,
) -> Result<Found, String> {
    if let Some(file) = named {
        let text = root.text(file).ok_or_else(|| {
            format!(
                "--init {}: there is no such script or unit, or it cannot be read",
                file.display()
            )
        })?;
        let start = look(root, kind(file), file, &text).ok_or_else(|| {
            format!(
                "--init {}: no command in it starts qpsmtpd, qpsmtpd-forkserver, qpsmtpd-prefork or qpsmtpd-async",
                file.display()
            )
        })?;
        return Ok(Found {
            start: Some(start),
            ..Found::default()
        });
    }
    let mut found = Found::default();
    let own = root.canonical(config);
    for (kind, file) in candidates(root, config) {
        let Some(text) = root.text(&file).filter(|text| text.contains("qpsmtpd")) else {
            continue;
        };
        let Some(start) = look(root, kind, &file, &text) else {
            continue;
        };
        let theirs = start.config.as_deref();
        match theirs.and_then(|theirs| root.canonical(theirs)) {
            Some(theirs) if Some(&theirs) != own.as_ref() => found.elsewhere.push((file, theirs)),
            // One that names none has qmail's.
            None if own.as_deref() != Some(Path::new("/var/qmail/control")) => {}
            _ if found.start.is_none() => found.start = Some(start),
            // A unit of this name goes before the script.
            _ if found
                .start
                .as_ref()
                .is_some_and(|first| first.name == start.name) => {}
            _ => found.others.push(file),
        }
    }
    Ok(found)
}

/// A unit by its name, a script by its directory.
fn kind(file: &Path) -> Kind {
    if file.extension().is_some_and(|end| end == "service") {
        return Kind::Unit;
    }
    let is_init = file.parent().is_some_and(|dir| dir.ends_with("init.d"));
    let name = file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    match name.is_some_and(|name| name == "run" || name.starts_with("run.")) && !is_init {
        true => Kind::Run,
        false => Kind::Init,
    }
}

fn candidates(root: &Root, config: &Path) -> Vec<(Kind, PathBuf)> {
    let entries = |dir: &str| {
        let entries = fs::read_dir(root.real(Path::new(dir)))
            .into_iter()
            .flatten();
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| Path::new(dir).join(entry.file_name()))
            .collect();
        paths.sort();
        paths
    };
    let units = UNITS.iter().flat_map(|dir| entries(dir));
    let units = units.filter(|path| path.extension().is_some_and(|end| end == "service"));
    let units = units.map(|path| (Kind::Unit, path));
    let runs = RUNS
        .iter()
        .flat_map(|dir| entries(dir))
        .map(|dir| dir.join("run"));
    let beside = config.parent().map(|dir| dir.join("run"));
    let runs = runs.chain(beside).map(|path| (Kind::Run, path));
    let scripts = SCRIPTS.iter().flat_map(|dir| entries(dir));
    let scripts = scripts.map(|path| (Kind::Init, path));
    let mut seen = Vec::new();
    let all = units.chain(runs).chain(scripts);
    all.filter(|(_, path)| {
        let Some(real) = root.canonical(path) else {
            return false;
        };
        let is_new = !seen.contains(&real);
        seen.push(real);
        is_new
    })
    .collect()
}

/// What a file starts.
fn look(root: &Root, kind: Kind, file: &Path, text: &str) -> Option<Start> {
    let real = root.canonical(file).unwrap_or_else(|| file.to_path_buf());
    let dir = real.parent().unwrap_or(Path::new("/"));
    let (name, line, found) = match kind {
        Kind::Unit => (file.file_stem(), 0, unit::read(root, file)?),
        Kind::Run => {
            let (line, found) = first(root, &real, text, dir)?;
            (dir.file_name(), line, found)
        }
        Kind::Init => {
            let (line, found) = first(root, &real, text, Path::new("/"))?;
            (file.file_name(), line, found)
        }
    };
    Some(Start {
        kind,
        file: file.to_path_buf(),
        line,
        name: name
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        program: found.program,
        words: found.words,
        working: found.working,
        config: found.config,
        options: found.options,
    })
}

fn first(root: &Root, script: &Path, text: &str, working: &Path) -> Option<(usize, Started)> {
    let calls = calls(root, script, text, working);
    let enabled = calls
        .last()
        .and_then(|call| call.variables.get("ENABLED").cloned());
    let mut starts = calls
        .iter()
        .filter_map(|call| Some((call.line, started(root, call)?)));
    let (line, mut found) = starts.next()?;
    let others: Vec<String> = starts.map(|(line, _)| line.to_string()).collect();
    if !others.is_empty() {
        found.options.notes.push(format!(
            "it starts qpsmtpd in more than one line ({line}, {}): what is said here is of line {line}",
            others.join(", ")
        ));
    }
    if enabled.is_some_and(|enabled| !["1", "true", "yes"].contains(&&*enabled)) {
        let text = "ENABLED is not true, so that it starts nothing now".to_owned();
        found.options.notes.push(text);
    }
    Some((line, found))
}
