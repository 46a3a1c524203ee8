//! Where the control socket is, as the daemon makes it. Without `--control` it is `PID.sock` in a directory of
//! the service, so that several daemons are no hindrance to each other. How commands find it is `search.rs`'s;
//! nothing here knows what is said on it.

#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Gid, Uid, geteuid};

use crate::config::reason;

/// Where the daemon of root has it.
pub(super) const SYSTEM_DIR: &str = "/run/camelpost";

/// The directory that systemd has made for the service (`RuntimeDirectory=`).
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";

/// Callers whose connections wait to be accepted.
const BACKLOG: i32 = 128;

/// What `--control` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ControlPlace {
    #[default]
    Default,
    At(PathBuf),
    Nowhere,
}

impl FromStr for ControlPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<ControlPlace, String> {
        match text {
            "" => Err("give a path for the socket, or `none`".to_owned()),
            "none" => Ok(ControlPlace::Nowhere),
            path => Ok(ControlPlace::At(path.into())),
        }
    }
}

/// A socket that listens; dropping it removes its file.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Where it is to be once the process before has let go.
    later: Option<PathBuf>,
    /// Device and inode, lest another daemon's socket be removed.
    file: (u64, u64),
}

impl ControlSocket {
    /// Takes the place of the process that this one replaces.
    pub(crate) fn claim(&mut self) -> Result<(), String> {
        let Some(path) = self.later.take() else {
            return Ok(());
        };
        fs::rename(&self.path, &path).map_err(|error| {
            format!(
                "cannot make the control socket {}: {}",
                path.display(),
                reason(&error)
            )
        })?;
        self.path = path;
        Ok(())
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.file) {
            // One that stays is seen to be stale by whoever finds it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the default directory; to be called before root's rights are given up. `owner` is whom
/// the service runs as.
pub(crate) fn prepare(place: &ControlPlace, owner: (Uid, Gid)) -> Result<(), String> {
    if *place != ControlPlace::Default {
        return Ok(());
    }
    let dir = default_dir(owner.0);
    // Daemons of several users do not take the directory from each other: each has its own.
    if dir.parent() == Some(Path::new(SYSTEM_DIR)) {
        own(Path::new(SYSTEM_DIR), (Uid::ROOT, Gid::ROOT))?;
    }
    own(&dir, owner)
}

/// Makes a directory, and gives it to its owner.
fn own(dir: &Path, owner: (Uid, Gid)) -> Result<(), String> {
    let problem = |error: io::Error| {
        format!(
            "no control socket: cannot use the directory {}: {}; name a path with --control, or \
             --control none",
            dir.display(),
            reason(&error)
        )
    };
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    match fs::DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(problem(error)),
        _ => {}
    }
    // By descriptor: a link that somebody has put there is not followed.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::open(dir, flags, Mode::empty()).map_err(|e| problem(e.into()))?;
    let stat = rustix::fs::fstat(&opened).map_err(|error| problem(error.into()))?;
    let (uid, gid) = owner;
    let is_own = stat.st_uid == uid.as_raw();
    let is_open = stat.st_mode & 0o022 != 0;
    if !geteuid().is_root() {
        return match is_own {
            true => Ok(()),
            false => Err(problem(io::Error::other("it belongs to another user"))),
        };
    }
    // Where others may write no command looks.
    let closed = match is_open {
        true => rustix::fs::fchmod(&opened, Mode::from_raw_mode(stat.st_mode & 0o7755)),
        false => Ok(()),
    };
    closed.map_err(|error| problem(error.into()))?;
    match is_own {
        true => Ok(()),
        false => {
            rustix::fs::fchown(&opened, Some(uid), Some(gid)).map_err(|error| problem(error.into()))
        }
    }
}

/// Makes the socket, as the user that the service runs as; mode 0600. In a process that replaces
/// another one it is beside that one's until it is claimed.
pub(crate) fn open(place: &ControlPlace, replaces: bool) -> Result<Option<ControlSocket>, String> {
    let mut path = match place {
        ControlPlace::Nowhere => return Ok(None),
        ControlPlace::At(path) => std::path::absolute(path)
            .map_err(|error| format!("--control {}: {}", path.display(), reason(&error)))?,
        ControlPlace::Default => {
            let dir = default_dir(geteuid());
            for old in sockets_in(&dir).into_iter().chain(unclaimed_in(&dir)) {
                if probe(&old) == Probe::Stale {
                    let _ = fs::remove_file(&old);
                }
            }
            dir.join(format!("{}.sock", std::process::id()))
        }
    };
    let later = replaces.then(|| path.clone());
    if later.is_some() {
        path.as_mut_os_string()
            .push(format!(".{}", std::process::id()));
    }
    let problem = |what: &str| {
        format!(
            "cannot make the control socket {}: {what}; name another path with --control, or \
             --control none",
            later.as_ref().unwrap_or(&path).display()
        )
    };
    match probe(&path) {
        Probe::Nothing => {}
        Probe::Stale => {
            fs::remove_file(&path).map_err(|error| problem(&reason(&error)))?;
        }
        Probe::Live(Some(pid)) => {
            return Err(problem(&format!("the daemon with pid {pid} listens there")));
        }
        Probe::Live(None) => return Err(problem("another daemon listens there")),
        Probe::NotASocket => return Err(problem("there is a file that is no socket")),
        Probe::Denied => return Err(problem("another user's socket is there")),
    }
    let listener = bind(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => problem(
            "permission denied: the user that the service runs as must be able to write to its \
             directory",
        ),
        _ => problem(&reason(&error)),
    })?;
    let made = fs::symlink_metadata(&path).map_err(|error| problem(&reason(&error)))?;
    Ok(Some(ControlSocket {
        listener,
        file: (made.dev(), made.ino()),
        later,
        path,
    }))
}

/// Its file has mode 0600 from the first moment: the kernel takes that of the socket.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path)?;
    let socket = stream_socket()?;
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

fn variable(name: &str) -> Option<PathBuf> {
    // A relative path would mean another directory to the daemon than to the command.
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

pub(super) fn given_dir() -> Option<PathBuf> {
    let dirs = std::env::var(RUNTIME_DIRECTORY).ok()?;
    let first = dirs.split(':').next()?;
    (first.starts_with('/')).then(|| first.into())
}

pub(super) fn dir_of_user() -> PathBuf {
    match variable("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("camelpost"),
        None => format!("/tmp/camelpost-{}", geteuid().as_raw()).into(),
    }
}

/// Where this process would make its socket, for a service of this user. Changing the user does not
/// change it: it is asked for once before that and once after, so the answer of before is kept.
fn default_dir(user: Uid) -> PathBuf {
    static DIR: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    DIR.get_or_init(|| {
        let of_system = Path::new(SYSTEM_DIR).join(user.as_raw().to_string());
        match given_dir() {
            Some(dir) => dir,
            // One that replaces a daemon of root has that one's.
            None if geteuid().is_root() || is_own_dir(&of_system, user) => of_system,
            None => dir_of_user(),
        }
    })
    .clone()
}

fn is_own_dir(dir: &Path, user: Uid) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|file| file.is_dir() && file.uid() == user.as_raw())
}

/// The sockets of daemons that serve, by their names: `PID.sock`.
pub(super) fn sockets_in(dir: &Path) -> Vec<PathBuf> {
    files_in(dir, |name| {
        name.strip_suffix(".sock").is_some_and(is_number)
    })
}

/// Those of daemons that replace another one and have not claimed its place: `PID.sock.PID`.
fn unclaimed_in(dir: &Path) -> Vec<PathBuf> {
    files_in(dir, |name| {
        let parts = name.split_once(".sock.");
        parts.is_some_and(|(first, second)| is_number(first) && is_number(second))
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn files_in(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Probe<L> {
    Nothing,
    NotASocket,
    /// Nobody listens.
    Stale,
    Denied,
    /// With what was to be found out of the listener.
    Live(L),
}

/// What is at a path; a listener's pid, where the kernel says it.
fn probe(path: &Path) -> Probe<Option<i32>> {
    probe_with(path, |socket| {
        crate::server::process::peer(socket?).ok()?.pid
    })
}

/// What is at a path. Never waits: a daemon that is stopped is a live one too. `listener` gets a
/// connection, where there is one.
pub(super) fn probe_with<L>(path: &Path, listener: impl Fn(Option<&OwnedFd>) -> L) -> Probe<L> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Probe::Nothing,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Probe::Denied,
        // Binding will say what is wrong.
        Err(_) => return Probe::Nothing,
        Ok(file) if !file.file_type().is_socket() => return Probe::NotASocket,
        Ok(_) => {}
    }
    match try_connect(path) {
        Ok(socket) => Probe::Live(listener(Some(&socket))),
        Err(rustix::io::Errno::CONNREFUSED) => Probe::Stale,
        Err(rustix::io::Errno::NOENT) => Probe::Nothing,
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Probe::Denied,
        // For instance, its queue of callers is full.
        Err(_) => Probe::Live(listener(None)),
    }
}

pub(super) fn stream_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn try_connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    let socket = stream_socket()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn at(path: &Path) -> ControlPlace {
        ControlPlace::At(path.to_owned())
    }

    #[test]
    fn it_is_for_its_owner_alone_and_gone_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let socket = open(&at(&path), false).unwrap().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_one_is_left_alone_and_named_with_its_pid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let _live = open(&at(&path), false).unwrap().unwrap();
        let problem = open(&at(&path), false).unwrap_err();
        assert!(
            problem.contains(&format!("pid {}", std::process::id())),
            "{problem}"
        );
        assert!(problem.contains("--control") && !problem.contains('\n'));
    }

    #[test]
    fn a_stale_one_is_replaced_and_its_successor_outlives_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        // The file of a listener stays when that is closed.
        drop(UnixListener::bind(&path).unwrap());
        let first = open(&at(&path), false).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let _second = open(&at(&path), false).unwrap().unwrap();
        drop(first);
        assert!(matches!(probe(&path), Probe::Live(_)));
    }

    #[test]
    fn what_is_no_socket_and_what_cannot_be_made_is_one_clear_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "precious").unwrap();
        let long = dir.path().join("x".repeat(200));
        for path in [&file, Path::new("/nonexistent/control"), &long] {
            let problem = open(&at(path), false).unwrap_err();
            assert!(problem.contains(&path.display().to_string()), "{problem}");
            assert!(problem.contains("--control") && !problem.contains('\n'));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn a_successor_s_takes_the_place_of_a_live_one_when_it_is_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let first = open(&at(&path), false).unwrap().unwrap();
        let mut second = open(&at(&path), true).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.file.1);
        second.claim().unwrap();
        drop(first);
        assert_eq!(fs::metadata(&path).unwrap().ino(), second.file.1);
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_socket_that_is_not_claimed_yet_is_none_that_commands_find() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "12.sock",
            "12.sock.13",
            "x.sock",
            ".sock",
            "12.sock.",
            "12.sock.x",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(sockets_in(dir.path()), [dir.path().join("12.sock")]);
        assert_eq!(unclaimed_in(dir.path()), [dir.path().join("12.sock.13")]);
    }

    #[test]
    fn none_is_none() {
        assert_eq!("none".parse(), Ok(ControlPlace::Nowhere));
        assert!(open(&ControlPlace::Nowhere, false).unwrap().is_none());
        assert!("".parse::<ControlPlace>().is_err());
    }
}
