//! `camelpost migrate`: Debian's default, an installation as SME Server has it and one under tcpserver are copied, started with what is
//! printed, and take a message, while the old directory stays as it was; what is printed is held against files; what goes wrong
//! leaves nothing behind, and what was done once can be done again.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod again;
mod faults;
mod golden;
mod links;
mod machines;
mod odd;
mod started;
mod systemd;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use camelpost_support::Site;

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// Runs it in the site's directory, which stands for `@ROOT@` in the words.
fn migrate(site: &Site, words: &[&str]) -> Output {
    let words = words.iter().map(|word| site.filled(word));
    let mut command = Command::new(CAMELPOST);
    command.arg("migrate").args(words).current_dir(site.root());
    command.output().unwrap()
}

/// What it prints, and its exit status.
fn said(output: &Output) -> (String, Option<i32>) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

/// That nothing is another one than before; names what is.
#[track_caller]
fn is_as_before(before: &State, after: &State) {
    let paths = before.keys().chain(after.keys());
    let others: BTreeSet<&PathBuf> = paths
        .filter(|path| before.get(*path) != after.get(*path))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
}

type State = BTreeMap<PathBuf, String>;

/// All that is beneath a directory, but for these names in it: what each file has, where each link leads, the rights, and when it was
/// changed. Reading leaves all of it as it was.
fn state(root: &Path, without: &[&str]) -> State {
    let mut all = BTreeMap::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let path = entry.path();
            if without.iter().any(|name| path == root.join(name)) {
                continue;
            }
            let found = fs::symlink_metadata(&path).unwrap();
            let kind = found.file_type();
            let inside = if kind.is_dir() {
                dirs.push(path.clone());
                String::new()
            } else if kind.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if kind.is_file() {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            } else {
                format!("{kind:?}")
            };
            let times = [
                found.mtime(),
                found.mtime_nsec(),
                found.ctime(),
                found.ctime_nsec(),
            ];
            let own = format!(
                "{:o} {}:{} {times:?} {inside}",
                found.mode(),
                found.uid(),
                found.gid()
            );
            all.insert(path, own);
        }
    }
    all
}
