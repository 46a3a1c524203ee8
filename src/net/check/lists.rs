//! Lists of plugins beside `plugins`, as SME Server has them: a directory `peers` or `plugins` with a file for each
//! address. A plugin of the site's reads them when a client comes, so that nothing but this looks at them before. Loads
//! nothing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::base::finding::Finding;
use crate::config::PluginLine;
use crate::plugin::{PREFIX, Registry, without_number};

use super::source::{Named, find, has_word};
use super::{Site, not_found};

/// The directories that such lists are in.
const DIRECTORIES: [&str; 2] = ["peers", "plugins"];

/// The plugin that reads lists, and the name of their directory.
pub(super) fn reader<'a>(site: &Site<'a>) -> Option<(&'a Named, &'static str)> {
    DIRECTORIES.iter().find_map(|name| {
        directory(site, name)?;
        let reads = |named: &&Named| {
            let code = named.code();
            code.iter()
                .any(|(_, line)| has_word(line, name) && line.contains("config"))
        };
        Some((site.all.iter().find(reads)?, *name))
    })
}

fn directory(site: &Site<'_>, name: &str) -> Option<PathBuf> {
    let dirs = site.dir.dirs().iter().map(|dir| dir.join(name));
    dirs.into_iter().find(|path| path.is_dir())
}

/// The config names of the lists that a plugin reads.
fn names(site: &Site<'_>) -> Vec<String> {
    let Some((_, name)) = reader(site) else {
        return Vec::new();
    };
    let lists = directory(site, name).map(|path| lists(&path));
    let lists = lists.unwrap_or_default().into_iter();
    let names = lists.filter_map(|list| Some(format!("{name}/{}", list.file_name()?.to_str()?)));
    names.collect()
}

/// The lines of `plugins`, `logging` and all lists.
pub(super) fn every_line(site: &Site<'_>) -> Vec<PluginLine> {
    let names = names(site);
    let names = ["logging", "plugins"]
        .into_iter()
        .chain(names.iter().map(String::as_str));
    let entries = names.flat_map(|name| site.dir.entries(name).unwrap_or_default());
    entries
        .filter_map(|entry| PluginLine::parse(&entry).ok())
        .collect()
}

/// Looks at those that a plugin reads.
pub(super) fn look(site: &Site<'_>, tell: &dyn Fn(Finding)) {
    let Some((reader, _)) = reader(site) else {
        return;
    };
    for name in names(site) {
        let entries = match site.dir.entries(&name) {
            Ok(entries) => entries,
            Err(problem) => {
                tell(Finding::error(problem.to_string()));
                continue;
            }
        };
        let lines = entries.iter().map(PluginLine::parse);
        for line in lines.filter_map(Result::ok) {
            if let Some(missing) = missing(&line, site.dirs, site.registry) {
                tell(Finding::warning(format!(
                    "{}: {missing}; plugin {} loads this list when a client comes",
                    line.place,
                    reader.name()
                )));
            }
        }
    }
}

/// What is not there of a line.
fn missing(line: &PluginLine, dirs: &[Vec<u8>], registry: &Registry) -> Option<String> {
    if let Some(own) = line.name.strip_prefix(PREFIX) {
        let own = String::from_utf8_lossy(own);
        let own = without_number(&own);
        let is_known = registry.has_line(own) || registry.twin(own).is_some();
        return (!is_known).then(|| format!("there is no native plugin {own}"));
    }
    let name = String::from_utf8_lossy(&line.name);
    if name.contains("::") || find(&name, dirs).is_some() {
        return None;
    }
    let searched = dirs
        .iter()
        .map(|dir| Path::new(OsStr::from_bytes(dir)).display().to_string());
    let searched: Vec<String> = searched.collect();
    let text = format!(
        "plugin {name} not found; directories searched: {}",
        searched.join(", ")
    );
    let hint = not_found::hint(&text, dirs);
    Some(text + &hint)
}

/// The files of a directory, in order, without hidden ones.
fn lists(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| !name.as_bytes().starts_with(b"."))
        })
        .collect();
    files.sort();
    files
}
