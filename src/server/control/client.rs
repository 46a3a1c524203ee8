//! The commands' side of the control socket: asks a running daemon one thing and waits for its
//! answer, or says in one line why none has come. A daemon that is stopped or hangs keeps nobody waiting.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::message::{Command, Outcome, Reply, Request, VERSION, line};
use super::{search, shown, trust};
use crate::config::reason;

/// How long a daemon may take for an answer that takes no time.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where several daemons are asked one after the other.
const SHORT: Duration = Duration::from_secs(2);
/// No answer is longer; a session takes about a hundred bytes.
const MAX_REPLY: u64 = 64 * 1024 * 1024;

const STATUS: Command = Command::Status {
    sessions: false,
    plugins: false,
    files: false,
    refusals: false,
};

/// The control socket that was named, or that of the only daemon that runs. Where several do, the error
/// has them all.
pub fn control_path(named: Option<&Path>) -> Result<PathBuf, String> {
    let mut found = control_paths(named)?;
    match (found.pop(), found.as_slice()) {
        (Some(one), []) => Ok(one),
        (last, _) => {
            found.extend(last);
            let found: Vec<String> = found.iter().map(|path| described(path)).collect();
            Err(format!(
                "several daemons run; choose one with --control: {}",
                found.join(", ")
            ))
        }
    }
}

/// The control socket that was named, or those of all daemons that run here; at least one.
pub fn control_paths(named: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    named.map_or_else(search::find, |path| Ok(vec![path.to_owned()]))
}

/// A socket with what tells its daemon from others.
fn described(path: &Path) -> String {
    let shown_path = shown::text(&path.display().to_string());
    match ask_within(path, STATUS, SHORT) {
        Ok(Outcome::Status(status)) => {
            let ports: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
            let ports = match ports.as_slice() {
                [] => "listens on nothing".to_owned(),
                some => some.join(" "),
            };
            let config = status
                .loaded
                .map(|load| format!(", config {}", load.config));
            format!("{shown_path} ({ports}{})", config.unwrap_or_default())
        }
        _ => format!("{shown_path} (does not answer)"),
    }
}

/// Asks the daemon behind a control socket. An error is that there is none, that it is not
/// believed, or that it cannot be understood. What it says comes without characters that would
/// act on a terminal. What takes its time, as a reload does, is waited for, if the daemon answers at all.
pub fn ask(path: &Path, command: Command) -> Result<Outcome, String> {
    if matches!(command, Command::Status { .. }) {
        return ask_within(path, command, PATIENCE);
    }
    ask_within(path, STATUS, PATIENCE)?;
    exchange(path, command, PATIENCE, None)
}

/// The same for an answer that has to be there within a time.
pub fn ask_within(path: &Path, command: Command, patience: Duration) -> Result<Outcome, String> {
    exchange(path, command, patience, Some(Instant::now() + patience))
}

fn exchange(
    path: &Path,
    command: Command,
    patience: Duration,
    end: Option<Instant>,
) -> Result<Outcome, String> {
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no running daemon at the control socket {}: {}",
            path.display(),
            reason(&error)
        ),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!(
            "the daemon at {} does not answer within {} seconds",
            path.display(),
            patience.as_secs_f64()
        ),
        _ => format!("control socket {}: {}", path.display(), reason(&error)),
    };
    let mut stream = connect(path, patience).map_err(problem)?;
    trust::check(path, &stream)?;
    let request = Request {
        version: VERSION,
        command,
    };
    stream.write_all(&line(&request)).map_err(problem)?;
    let answer = read_line(stream, end).map_err(problem)?;
    if answer.last() != Some(&b'\n') {
        return Err(format!(
            "the daemon at {} ended without an answer",
            path.display()
        ));
    }
    let answer = serde_json::from_slice(&answer).map(shown::shown);
    match answer.and_then(serde_json::from_value) {
        Ok(Reply {
            version: VERSION,
            outcome,
        }) => Ok(outcome),
        Ok(Reply { version, .. }) => Err(format!(
            "the daemon at {} speaks version {version}, this program {VERSION}: use the program \
             that the daemon was started from",
            path.display()
        )),
        Err(error) => Err(format!(
            "the answer of the daemon at {} makes no sense: {error}",
            path.display()
        )),
    }
}

/// A daemon that accepts no more, and whose queue of callers is full, keeps nobody waiting either.
fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// Up to the end of the line, or of what comes.
fn read_line(stream: UnixStream, end: Option<Instant>) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let mut stream = stream.take(MAX_REPLY);
    while answer.last() != Some(&b'\n') {
        if let Some(end) = end {
            let left = end.saturating_duration_since(Instant::now());
            // Zero would be any time.
            let left = left.max(Duration::from_millis(1));
            stream.get_ref().set_read_timeout(Some(left))?;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}
