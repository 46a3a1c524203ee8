//! How commands find the daemons that run here: by the sockets in the directories where daemons make them.
//! Does not ask them anything.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Uid, geteuid};

use super::place::{Probe, SYSTEM_DIR, dir_of_user, given_dir, probe_with, sockets_in};
use super::{shown, trust};

/// The sockets of the daemons that run here; at least one. Those that are not believed are none.
pub(super) fn find() -> Result<Vec<PathBuf>, String> {
    let dirs = search_dirs();
    let mut live = Vec::new();
    let mut denied = Vec::new();
    let mut doubted = Vec::new();
    for path in dirs.iter().flat_map(|dir| sockets_in(dir)) {
        // One that could not be connected to is looked at when it is asked.
        let check = |socket: &OwnedFd| trust::check(&path, socket);
        match probe_with(&path, |socket| socket.map_or(Ok(()), check)) {
            Probe::Live(Ok(())) => live.push(path),
            Probe::Live(Err(why)) => doubted.push(why),
            Probe::Denied => denied.push(path),
            Probe::Nothing | Probe::Stale | Probe::NotASocket => {}
        }
    }
    let list = |paths: &[PathBuf]| {
        let paths = paths.iter().map(|path| path.display().to_string());
        let paths: Vec<String> = paths.map(|path| shown::text(&path)).collect();
        paths.join(", ")
    };
    match live.as_slice() {
        [_, ..] => Ok(live),
        [] if !doubted.is_empty() => {
            Err(format!("no running daemon found: {}", doubted.join("; ")))
        }
        [] if denied.is_empty() => Err(format!(
            "no running daemon found: no control socket in {}; for a daemon that was started \
             with --control PATH give the same here",
            list(&dirs)
        )),
        [] => Err(format!(
            "permission denied for the control socket {}: try as root or as the user that the \
             service runs as",
            list(&denied)
        )),
    }
}

/// Where a command looks: an ordinary user's daemons and those of the system.
fn search_dirs() -> Vec<PathBuf> {
    if let Some(dir) = given_dir() {
        return vec![dir];
    }
    let mut dirs = Vec::new();
    let system = Path::new(SYSTEM_DIR);
    // Only root makes it, or a service manager for its service.
    if trust::is_searched(system, |_| true) {
        dirs.push(system.to_owned());
    }
    // Where it is one service's, whatever is in it is that service's to make.
    if trust::is_searched(system, Uid::is_root) {
        let services = fs::read_dir(system).into_iter().flatten();
        dirs.extend(services.filter_map(|entry| dir_of(&entry.ok()?)));
    }
    if !geteuid().is_root() && trust::is_searched(&dir_of_user(), |uid| uid == geteuid()) {
        dirs.push(dir_of_user());
    }
    if dirs.is_empty() {
        dirs.push(system.to_owned());
    }
    dirs
}

/// A directory that root has made there: for a user, by whose number it is named then, or for a unit of systemd's.
fn dir_of(entry: &fs::DirEntry) -> Option<PathBuf> {
    let user: Option<u32> = entry.file_name().to_str()?.parse().ok();
    let path = entry.path();
    let may_have = |uid: Uid| user.is_none_or(|user| uid.as_raw() == user);
    trust::is_searched(&path, may_have).then_some(path)
}
