//! Who is believed on a control socket: whose directory a command looks into, and who has to listen
//! there. Code of a plugin runs as the service's user, so that it can make a socket where the
//! service makes its own; what it cannot do is to be another process, or another user.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Uid, geteuid};

use super::shown::text;
use crate::server::process::peer;

/// Bits of a mode: who else may make files in a directory.
const BY_GROUP: u32 = 0o020;
const BY_ANYBODY: u32 = 0o002;

/// Whether a command without `--control` looks into this directory. `owners`: whose it may be.
pub(super) fn is_searched(dir: &Path, owners: impl Fn(Uid) -> bool) -> bool {
    // A link is not followed: who has made it would choose the directory.
    fs::symlink_metadata(dir).is_ok_and(|found| {
        let closed = found.mode() & (BY_GROUP | BY_ANYBODY) == 0;
        found.is_dir() && closed && owners(Uid::from_raw(found.uid()))
    })
}

/// The error is one line.
pub(super) fn check(path: &Path, socket: &impl AsFd) -> Result<(), String> {
    let problem = |what: &str| {
        Err(format!(
            "the control socket {} is not believed: {what}",
            text(&path.display().to_string())
        ))
    };
    let peer = match peer(socket) {
        Ok(peer) => peer,
        Err(error) => return problem(&format!("the kernel does not say whose it is: {error}")),
    };
    if !is_believed(path, peer.uid) {
        return problem(&format!(
            "who listens there runs as user {}, which is neither root nor you nor the owner of the \
             directory",
            peer.uid
        ));
    }
    match (number_of(path), peer.pid) {
        (Some(named), Some(pid)) if named != pid && !is_called(pid, named) => problem(&format!(
            "process {pid} listens there, and the name says {named}"
        )),
        _ => Ok(()),
    }
}

fn is_believed(path: &Path, uid: Uid) -> bool {
    if uid.is_root() || uid == geteuid() {
        return true;
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let Ok(found) = fs::metadata(dir) else {
        return false;
    };
    // A group that may make sockets there is as good as the owner, each member for its own.
    let by_group = found.mode() & (BY_GROUP | BY_ANYBODY) == BY_GROUP
        && fs::symlink_metadata(path).is_ok_and(|file| file.uid() == uid.as_raw());
    found.uid() == uid.as_raw() || by_group
}

/// The process that a name says: `PID.sock`.
fn number_of(path: &Path) -> Option<i32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".sock")?;
    match name.bytes().all(|byte| byte.is_ascii_digit()) {
        true => name.parse().ok(),
        false => None,
    }
}

/// Whether a process has this number in a container of its own. Who has made that with a user namespace need not have been
/// root, and may have chosen the number.
fn is_called(pid: i32, number: i32) -> bool {
    let space = |whose: &str| fs::read_link(format!("/proc/{whose}/ns/user")).ok();
    if space("self").is_none_or(|own| space(&pid.to_string()) != Some(own)) {
        return false;
    }
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let mut numbers = numbers.unwrap_or_default().split_whitespace();
        numbers.any(|one| one.parse() == Ok(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn listening(dir: &Path, name: &str) -> (UnixListener, UnixStream) {
        let path = dir.join(name);
        let listener = UnixListener::bind(&path).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        (listener, stream)
    }

    #[test]
    fn a_name_has_to_be_the_listener_s_own_number() {
        let dir = tempfile::tempdir().unwrap();
        let me = std::process::id();
        let own = format!("{me}.sock");
        let (_own, stream) = listening(dir.path(), &own);
        assert_eq!(check(&dir.path().join(own), &stream), Ok(()));
        let (_named, stream) = listening(dir.path(), "control");
        assert_eq!(check(&dir.path().join("control"), &stream), Ok(()));
        let (_forged, stream) = listening(dir.path(), "424242.sock");
        let problem = check(&dir.path().join("424242.sock"), &stream).unwrap_err();
        assert!(
            problem.contains("the name says 424242") && problem.contains(&format!("process {me} ")),
            "{problem}"
        );
        assert!(!problem.contains('\n'));
    }

    #[test]
    fn others_than_root_and_oneself_have_to_own_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let other = Uid::from_raw(geteuid().as_raw().wrapping_add(54_321));
        assert!(is_believed(&path, Uid::ROOT));
        assert!(is_believed(&path, geteuid()));
        assert!(!is_believed(&path, other));
        for mode in [0o1777, 0o770] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert!(!is_believed(&path, other), "{mode:o}");
        }
    }

    #[test]
    fn a_directory_of_others_or_one_that_is_open_to_them_is_not_searched() {
        let dir = tempfile::tempdir().unwrap();
        let mine = |uid: Uid| uid == geteuid();
        assert!(is_searched(dir.path(), mine));
        assert!(!is_searched(dir.path(), |uid| !mine(uid)));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(!is_searched(&link, mine));
        for mode in [0o1777, 0o770] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert!(!is_searched(dir.path(), mine), "{mode:o}");
        }
    }
}
