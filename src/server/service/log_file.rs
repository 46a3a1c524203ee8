//! `--log-file`: what goes to stderr goes to a file, or to syslog, from the moment that the service is up, and to
//! the file of that name that is there then with each load. The start's own errors are for who starts it.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::OFlags;

use crate::base::stderr::SYSLOG_SOCKET;

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFile {
    /// Lines are appended to this file.
    Path(PathBuf),
    /// The machine's syslog has them, facility mail.
    Syslog,
}

impl FromStr for LogFile {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<LogFile, Self::Err> {
        Ok(match text {
            "syslog" => LogFile::Syslog,
            path => LogFile::Path(std::path::absolute(path).unwrap_or_else(|_| path.into())),
        })
    }
}

impl LogFile {
    /// Opens it. The error says what to do.
    pub(in crate::server) fn open(&self) -> Result<OwnedFd, String> {
        match self {
            LogFile::Path(path) => append_to(path).map_err(|error| {
                format!(
                    "cannot write the log to {}: {error}; the user that the service runs as has to be able to \
                     make the file there",
                    path.display()
                )
            }),
            LogFile::Syslog => syslog().map_err(|error| {
                format!("cannot write the log to syslog: {SYSLOG_SOCKET}: {error}; is a syslog service running?")
            }),
        }
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            LogFile::Path(path) => Some(path),
            LogFile::Syslog => None,
        }
    }
}

/// Of this process. Stdout is nobody's then.
pub(in crate::server) fn become_log(log: impl AsFd) {
    let _ = rustix::stdio::dup2_stderr(log);
    crate::base::stderr::has_changed();
}

fn append_to(path: &Path) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    // Nobody may have to wait for a reader.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    match kind.is_fifo() || kind.is_dir() {
        true => Err(io::Error::other("it is no file")),
        false => Ok(file.into()),
    }
}

fn syslog() -> io::Result<OwnedFd> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SYSLOG_SOCKET)?;
    Ok(socket.into())
}
