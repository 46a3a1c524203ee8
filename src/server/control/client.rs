//! The commands' side of the control socket: asks a running daemon one thing and waits for its
//! answer.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{Command, Outcome, Reply, Request, VERSION, line};
use super::{place, shown, trust};
use crate::config::reason;

/// How long a daemon may take for an answer that takes no time.
const PATIENCE: Duration = Duration::from_secs(10);
/// No answer is longer; a session takes about a hundred bytes.
const MAX_REPLY: u64 = 64 * 1024 * 1024;

/// The control socket that was named, or that of the only daemon that runs.
pub fn control_path(named: Option<&Path>) -> Result<PathBuf, String> {
    named.map_or_else(place::find, |path| Ok(path.to_owned()))
}

/// Asks the daemon behind a control socket. An error is that there is none, that it is not
/// believed, or that it cannot be understood. What it says comes without characters that would
/// act on a terminal.
pub fn ask(path: &Path, command: Command) -> Result<Outcome, String> {
    let problem = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => format!(
            "no running daemon at the control socket {}: {}",
            path.display(),
            reason(&error)
        ),
        std::io::ErrorKind::WouldBlock => format!(
            "the daemon at {} does not answer within {} seconds",
            path.display(),
            PATIENCE.as_secs()
        ),
        _ => format!("control socket {}: {}", path.display(), reason(&error)),
    };
    let quick = matches!(command, Command::Status { .. });
    let mut stream = UnixStream::connect(path).map_err(problem)?;
    trust::check(path, &stream)?;
    stream
        .set_read_timeout(quick.then_some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(problem)?;
    let request = Request {
        version: VERSION,
        command,
    };
    stream.write_all(&line(&request)).map_err(problem)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_REPLY))
        .read_until(b'\n', &mut answer)
        .map_err(problem)?;
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
