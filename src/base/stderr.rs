//! Where this process's own log goes: stderr, which may be a terminal, a file, systemd's journal or the machine's
//! syslog. The two last want the level before a line: `<N>` (sd-daemon(3)), and a priority with a name
//! (RFC 3164). Does not decide what is logged.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrUnix};

/// LOG_MAIL, in the place that it has in a priority.
const MAIL: u8 = 2 << 3;

const UNKNOWN: u8 = 0;
const PLAIN: u8 = 1;
const JOURNAL: u8 = 2;
const SYSLOG: u8 = 3;

static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Lines of this process that could not be written, and why not: the errno of the last.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct LostLines {
    count: AtomicU64,
    errno: AtomicI32,
}

impl LostLines {
    fn add(&self, error: &io::Error) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.errno
            .store(error.raw_os_error().unwrap_or_default(), Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Why the last was lost; none where that is not known.
    pub(crate) fn why(&self) -> Option<io::Error> {
        let errno = self.errno.load(Ordering::Relaxed);
        (errno != 0).then(|| io::Error::from_raw_os_error(errno))
    }
}

static LOST: LostLines = LostLines {
    count: AtomicU64::new(0),
    errno: AtomicI32::new(0),
};
/// Where they are counted instead, for who looks from another process.
static SHARED: Mutex<Option<&'static LostLines>> = Mutex::new(None);

/// Lost lines are counted here from now on.
pub(crate) fn count_lost_in(lines: &'static LostLines) {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    *shared = Some(lines);
}

/// The lines that were lost before that, or without.
pub(crate) fn lost() -> &'static LostLines {
    &LOST
}

fn count_lost(error: &io::Error) {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.unwrap_or(&LOST).add(error);
}

/// Writes a line that has its end, in one write, so that the lines of several processes do not mix. One that
/// cannot be written is counted: it is nothing that could be logged.
pub(super) fn write(level: u8, line: &[u8]) {
    let mut stderr = std::io::stderr();
    let level = level.min(7);
    let written: io::Result<()> = match kind() {
        JOURNAL => {
            // Each line is an entry of its own.
            let mut all = Vec::with_capacity(line.len() + 8);
            for line in line.split_inclusive(|byte| *byte == b'\n') {
                all.extend_from_slice(format!("<{level}>").as_bytes());
                all.extend_from_slice(line);
            }
            stderr.write_all(&all)
        }
        SYSLOG => {
            let pid = std::process::id();
            let mut all = format!("<{}>camelpost[{pid}]: ", MAIL | level).into_bytes();
            all.extend_from_slice(line.trim_ascii_end());
            match rustix::net::send(&stderr, &all, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                // A syslog service that was started anew is another peer.
                Err(Errno::CONNREFUSED | Errno::NOTCONN | Errno::CONNRESET) => reconnect(&stderr)
                    .and_then(|()| rustix::net::send(&stderr, &all, SendFlags::DONTWAIT)),
                sent => sent,
            }
            .map(drop)
            .map_err(Into::into)
        }
        _ => write_whole(&mut stderr, line),
    };
    if let Err(error) = written {
        count_lost(&error);
    }
}

/// The line before was written in part.
static IS_TORN: AtomicBool = AtomicBool::new(false);

fn write_whole(stderr: &mut io::Stderr, line: &[u8]) -> io::Result<()> {
    if IS_TORN.load(Ordering::Relaxed) {
        stderr.write_all(b"\n")?;
        IS_TORN.store(false, Ordering::Relaxed);
    }
    let mut rest = line;
    while !rest.is_empty() {
        match stderr.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => rest = rest.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                IS_TORN.store(rest.len() < line.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Where the machine's syslog listens.
pub(crate) const SYSLOG_SOCKET: &str = "/dev/log";

fn reconnect(socket: &std::io::Stderr) -> Result<(), Errno> {
    rustix::net::connect(socket, &SocketAddrUnix::new(SYSLOG_SOCKET)?)
}

/// Stderr leads elsewhere now.
pub(crate) fn has_changed() {
    KIND.store(UNKNOWN, Ordering::Relaxed);
}

fn kind() -> u8 {
    match KIND.load(Ordering::Relaxed) {
        UNKNOWN => {
            let found = find();
            KIND.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

fn find() -> u8 {
    let Ok(facts) = fstat(std::io::stderr()) else {
        return PLAIN;
    };
    if FileType::from_raw_mode(facts.st_mode) == FileType::Socket
        && rustix::net::sockopt::socket_type(std::io::stderr())
            .is_ok_and(|kind| kind == rustix::net::SocketType::DGRAM)
    {
        return SYSLOG;
    }
    let stream = std::env::var_os("JOURNAL_STREAM");
    let is_it = stream.is_some_and(|stream| names(stream.as_bytes(), facts.st_dev, facts.st_ino));
    if is_it { JOURNAL } else { PLAIN }
}

/// Whether `DEVICE:INODE` of systemd's is this file.
fn names(stream: &[u8], device: u64, inode: u64) -> bool {
    stream == format!("{device}:{inode}").as_bytes()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(names(b"9:123", 9, 123));
        assert!(!names(b"9:123", 9, 124));
        assert!(!names(b"", 9, 123));
    }
}
