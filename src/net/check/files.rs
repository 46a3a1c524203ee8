//! The files of a config directory: what cannot be read, what does not mean what it looks like, what nobody asks
//! for, what others should not read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::source::Named;
use super::{Site, lists};
use crate::base::finding::{Finding, Severity};
use crate::base::likely::likely;
use crate::config::{
    ConfigDir, ConfigError, files, is_config_name, is_secret, reason, usual_names,
};

/// What a file of another form begins with.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Looks at each file.
pub(super) fn look(dir: &ConfigDir, say: &dyn Fn(Finding)) {
    let mut cycles = BTreeSet::new();
    for path in files(dir) {
        let shown = path.display();
        let tell = |severity, text: String| {
            say(Finding {
                severity,
                text: format!("{shown}: {text}"),
            });
        };
        let own = name(&path);
        // A FIFO would wait for a writer; /dev/null is an empty file to everybody.
        if let Ok(kind) = fs::metadata(&path).map(|found| found.file_type())
            && !kind.is_file()
        {
            if kind.is_fifo() || kind.is_socket() {
                tell(Severity::Warning, "it is not a file".to_owned());
            }
            continue;
        }
        let mut start = Vec::new();
        let opened =
            fs::File::open(&path).and_then(|file| file.take(1 << 20).read_to_end(&mut start));
        if let Err(error) = opened {
            let user = "the service's user has to be able to read it";
            tell(severity_of(own), format!("{}; {user}", reason(&error)));
            continue;
        }
        if start.starts_with(BOM) {
            tell(
                Severity::Warning,
                "a byte order mark (EF BB BF) is at its head, and a part of the first line: save it without".to_owned(),
            );
        }
        // A map or a database has a dot in its name.
        if let Some(line) = start
            .split(|byte| *byte == b'\n')
            .position(|line| line.contains(&0))
            .filter(|_| !own.contains('.'))
        {
            tell(
                Severity::Warning,
                format!("line {} has a NUL in it", line + 1),
            );
        }
        let mode = fs::metadata(&path).map_or(0, |found| found.permissions().mode());
        if is_secret(own) && mode & 0o004 != 0 {
            tell(
                Severity::Warning,
                format!(
                    "it has passwords, and every user may read it (mode {:03o}): chmod o-r",
                    mode & 0o777
                ),
            );
        }
        if is_config_name(own) {
            look_at_includes(dir, own, &mut cycles, say);
        }
    }
    for entry in dir.entries("plugin_dirs").unwrap_or_default() {
        let path = PathBuf::from(String::from_utf8_lossy(&entry.text).into_owned());
        if let Err(error) = fs::read_dir(&path) {
            say(Finding::warning(format!(
                "{}: {}: {}",
                entry.place,
                path.display(),
                reason(&error)
            )));
        }
    }
}

/// How much it matters that a file counts for nothing: to the core or a plugin of qpsmtpd's, or to nobody who is known.
fn severity_of(name: &str) -> Severity {
    match usual_names().any(|usual| usual == name) {
        true => Severity::Error,
        false => Severity::Warning,
    }
}

/// What a file includes, and what of that is not there. Each cycle is told of once, whichever of its files is read first;
/// what it costs a setting, loading tells.
fn look_at_includes(
    dir: &ConfigDir,
    name: &str,
    cycles: &mut BTreeSet<BTreeSet<PathBuf>>,
    tell: &dyn Fn(Finding),
) {
    let (problems, missing) = dir.inspect(name);
    for problem in problems {
        if let ConfigError::Circular { path, chain, .. } = &problem {
            let files = chain.iter().skip_while(|file| *file != path);
            if !cycles.insert(files.cloned().collect()) {
                continue;
            }
        }
        tell(Finding::new(severity_of(name), problem.to_string()));
    }
    for (place, name) in missing {
        tell(Finding::warning(format!(
            "{place}: there is no {}, so this $include is nothing",
            String::from_utf8_lossy(&name)
        )));
    }
}

/// Files with a name like one that is asked for, and that nobody asks for.
pub(super) fn look_at_names(site: &Site<'_>, tell: &dyn Fn(Finding)) {
    let dir = site.dir;
    let mut asked: BTreeSet<String> = usual_names().map(str::to_owned).collect();
    // Those that do not load, and those of lists that are loaded later, too.
    let mut files_of_lines: Vec<Vec<u8>> = Vec::new();
    for line in lists::every_line(site) {
        files_of_lines.push(Named::find(line.clone(), None, site.dirs).text);
        // A file whose name is an argument (`$include`, a list) is asked for, too.
        let args = line.args.iter();
        asked.extend(args.map(|arg| name(Path::new(&*String::from_utf8_lossy(arg))).to_owned()));
    }
    for text in files_of_lines {
        asked.extend(names_in(&String::from_utf8_lossy(&text)));
    }
    for path in files(dir) {
        let own = name(&path);
        let stem = own.strip_suffix(".cdb").unwrap_or(own);
        if asked.contains(own) || asked.contains(stem) || !is_config_name(own) {
            continue;
        }
        if let Some(meant) = likely(own, asked.iter().map(String::as_str)) {
            tell(Finding::warning(format!(
                "{}: nothing asks for a file of this name; {meant} is asked for",
                path.display()
            )));
        }
    }
}

/// The words in quotes behind `config(`: the names that a plugin asks for.
fn names_in(text: &str) -> Vec<String> {
    let calls = text.split("config(").skip(1);
    let names = calls.filter_map(|rest| {
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|first| "'\"".contains(*first))?;
        let (name, _) = rest[1..].split_once(quote)?;
        is_config_name(name).then(|| name.to_owned())
    });
    names.collect()
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_asks_for_the_names_in_its_quotes() {
        let text = "my @x = $self->qp->config('badhelo'); $qp->config( \"own_list\" , 'map'); config($name)";
        assert_eq!(names_in(text), ["badhelo", "own_list"]);
    }
}
