//! The received message: bytes in memory, and from `size_threshold` on in a spool file. Holds
//! the whole message as received (lines end in LF, header included) and remembers where the
//! body starts. Does not know who reads it.
//!
//! Positions are the original's: numbers of lines while the message is in memory, bytes in the file.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lines::Lines;
use crate::config::{ConfigError, SpoolDir};

/// Why the spool file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} spool file {}: {error}; check that spool_dir exists, is writable and has space", path.display())]
pub struct BodyError {
    what: &'static str,
    path: PathBuf,
    error: std::io::Error,
}

/// Where and when a body goes to disk.
#[derive(Debug, Clone)]
pub struct Spool {
    /// `spool_dir`.
    pub dir: PathBuf,
    /// `size_threshold` in bytes: a body that reaches it is spooled.
    pub threshold: u64,
    /// Whether the directory is there.
    pub readiness: RefCell<Readiness>,
}

/// Whether the spool directory is there.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// It is looked at, and made where it is missing, when it is first needed.
    Unseen(SpoolDir),
    /// That was done, and the log has not been told of this yet.
    Complaint(String),
    /// It is there.
    Ready,
}

impl Default for Spool {
    fn default() -> Spool {
        Spool {
            dir: std::env::temp_dir(),
            threshold: 10_000,
            readiness: RefCell::new(Readiness::Ready),
        }
    }
}

impl Spool {
    /// Before the directory is used. One that could not be made is tried again the next time.
    pub fn prepare(&self) -> Result<(), ConfigError> {
        let warning = match &*self.readiness.borrow() {
            Readiness::Unseen(dir) => dir.prepare()?,
            Readiness::Complaint(_) | Readiness::Ready => return Ok(()),
        };
        self.readiness
            .replace(warning.map_or(Readiness::Ready, Readiness::Complaint));
        Ok(())
    }

    /// What the log has to be told of the directory, once.
    pub fn take_complaint(&self) -> Option<String> {
        let mut readiness = self.readiness.borrow_mut();
        match &mut *readiness {
            Readiness::Complaint(text) => {
                let text = std::mem::take(text);
                *readiness = Readiness::Ready;
                Some(text)
            }
            Readiness::Unseen(_) | Readiness::Ready => None,
        }
    }
}

/// A message's body, in memory or in a file of the spool directory.
#[derive(Debug, Default)]
pub struct Body {
    spool: Rc<Spool>,
    memory: Lines,
    file: Option<SpoolFile>,
    /// Bytes written in all.
    size: u64,
    /// What plugins are told in the place of that, since one has said so.
    told_size: Option<u64>,
    /// The position of the first line after the header, once that is known.
    start: Option<u64>,
    /// The bytes that were there when the header ended.
    header_size: Option<u64>,
    /// Where `next_line` reads.
    position: u64,
    /// Something was written to the file since a line was read from it.
    written: bool,
    /// What has gone wrong with the file: since then it is not known to be the message.
    damage: Option<String>,
}

#[derive(Debug)]
struct SpoolFile {
    path: PathBuf,
    file: File,
    /// Read ahead of `position`, so that lines are not read one system call each.
    ahead: Vec<u8>,
    ahead_at: usize,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Body {
    /// An empty body, which is spooled there once it is large.
    pub fn new(spool: Rc<Spool>) -> Body {
        Body {
            spool,
            ..Body::default()
        }
    }

    /// What has gone wrong with the spool file, if anything: nobody may take the message over from then
    /// on, even where a plugin has caught the error.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Something has gone wrong with the spool file.
    pub fn distrust(&mut self, why: String) {
        self.damage.get_or_insert(why);
    }

    fn noting<T>(&mut self, done: Result<T, BodyError>) -> Result<T, BodyError> {
        if let Err(error) = &done {
            self.distrust(error.to_string());
        }
        done
    }

    /// Bytes of the whole message.
    pub fn size(&self) -> u64 {
        self.told_size.unwrap_or(self.size)
    }

    /// Plugins are told another size from now on; what is there stays as it is.
    pub fn tell_size(&mut self, size: u64) {
        self.told_size = Some(size).filter(|size| *size != self.size);
    }

    /// Offset of the body in the message; 0 where the header has not ended.
    pub fn start_offset(&mut self) -> u64 {
        let start = self.start.unwrap_or(0);
        match self.file {
            Some(_) => start,
            None => self.memory.offset_of(start) as u64,
        }
    }

    /// The position of the body's first line, once the header has ended.
    pub fn start(&self) -> Option<u64> {
        self.start
    }

    /// The bytes that were there when the header ended.
    pub fn header_size(&self) -> Option<u64> {
        self.header_size
    }

    /// The body begins at another position.
    pub fn set_start(&mut self, start: Option<u64>) {
        self.start = start;
    }

    /// The next line is read at another position.
    pub fn set_position(&mut self, position: u64) {
        self.reset_position();
        self.position = position;
    }

    /// Bytes after the header. 0 where there is no header, as the original counts.
    pub fn body_size(&self) -> u64 {
        match self.header_size {
            None | Some(0) => 0,
            Some(header) => self.size().saturating_sub(header),
        }
    }

    /// What is there is the header, and the body follows.
    pub fn end_header(&mut self) {
        self.start = Some(match self.file {
            Some(_) => self.size,
            None => self.memory.count(),
        });
        self.header_size = Some(self.size);
    }

    /// The body begins where reading and writing have come to.
    pub fn start_here(&mut self) -> u64 {
        let here = self.position();
        self.start = Some(here);
        self.header_size = Some(match self.file {
            Some(_) => here,
            None => self.memory.bytes.len() as u64,
        });
        here
    }

    /// Where the next line is read; after a write to the file, its end.
    pub fn position(&self) -> u64 {
        match self.written && self.file.is_some() {
            true => self.size,
            false => self.position,
        }
    }

    /// The spool file's path, once there is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|spooled| spooled.path.as_path())
    }

    /// The spool file, once there is one. It shares its offset with every duplicate.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref().map(|spooled| &spooled.file)
    }

    /// The message where it is in memory.
    pub fn in_memory(&self) -> Option<&[u8]> {
        self.file.is_none().then_some(&self.memory.bytes[..])
    }

    /// Its lines where they are in memory: as many as were written, of which some may have no end.
    pub fn lines_in_memory(&self) -> Option<impl Iterator<Item = &[u8]>> {
        self.file.is_none().then(|| self.memory.iter())
    }

    /// Appends bytes; what has no line feed at its end goes on with the next ones.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.append(bytes, false)
    }

    /// Appends lines, of which the last may have no end: the next one begins there all the same, as
    /// long as they are in memory.
    pub fn write_lines(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.append(bytes, true)
    }

    fn append(&mut self, bytes: &[u8], ends: bool) -> Result<(), BodyError> {
        let more = bytes.len() as u64;
        self.size += more;
        self.told_size = self.told_size.map(|told| told.saturating_add(more));
        if self.file.is_none() {
            self.position += self.memory.append(bytes, ends);
            if self.size >= self.spool.threshold {
                self.spool()?;
            }
            return Ok(());
        }
        self.written = true;
        let Some(spooled) = self.file.as_mut() else {
            return Ok(());
        };
        spooled.ahead.clear();
        spooled.ahead_at = 0;
        // A plugin may have appended through a handle of its own.
        let end = spooled.file.metadata().map(|file| file.len());
        let appended = end.and_then(|end| spooled.file.write_all_at(bytes, end));
        let appended = appended.map_err(|error| BodyError {
            what: "write",
            path: spooled.path.clone(),
            error,
        });
        self.noting(appended)
    }

    /// Moves what is in memory to a spool file, if it is not there yet.
    pub fn spool(&mut self) -> Result<(), BodyError> {
        if self.file.is_some() {
            return Ok(());
        }
        let path = unique_name(&self.spool.dir);
        let fail = |what| {
            let path = path.clone();
            move |error| BodyError { what, path, error }
        };
        let prepared = self
            .spool
            .prepare()
            .map_err(|error| std::io::Error::other(error.to_string()));
        prepared.map_err(fail("create"))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(above_standard)
            .map_err(fail("create"))?;
        let written = file.write_all(&self.memory.bytes);
        let spooled = SpoolFile {
            path: path.clone(),
            file,
            ahead: Vec::new(),
            ahead_at: 0,
        };
        // Without a whole file the message stays where it is.
        written.map_err(fail("write"))?;
        self.file = Some(spooled);
        // From here on positions are bytes, and the file is at its end.
        self.start = self.header_size;
        self.position = self.memory.bytes.len() as u64;
        self.memory = Lines::default();
        Ok(())
    }

    /// Replaces a message that is in memory.
    pub fn replace_in_memory<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) {
        if self.file.is_none() {
            self.memory = Lines::default();
            for line in lines {
                self.memory.append(line, true);
            }
            self.size = self.memory.bytes.len() as u64;
            self.told_size = None;
        }
    }

    /// Reading starts again at the first line of the body.
    pub fn reset_position(&mut self) {
        self.written = false;
        self.position = self.start.unwrap_or(0);
        if let Some(spooled) = self.file.as_mut() {
            spooled.ahead.clear();
            spooled.ahead_at = 0;
        }
    }

    /// Nothing is left to read, as after reading all of it.
    pub fn skip_to_end(&mut self) {
        self.reset_position();
        self.position = match self.file {
            Some(_) => self.size,
            // The look for a further line counts, too.
            None => self.position.max(self.memory.count()) + 1,
        };
    }

    /// The next line with its line feed, or `None` at the end.
    pub fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, BodyError> {
        line.clear();
        let Some(spooled) = self.file.as_mut() else {
            line.extend_from_slice(self.memory.get(self.position).unwrap_or_default());
            // Each look counts, also one behind the end.
            self.position += 1;
            return Ok(!line.is_empty());
        };
        // Reading begins again after a write, as in the original.
        if self.written {
            self.written = false;
            self.position = self.start.unwrap_or(0);
            spooled.ahead.clear();
            spooled.ahead_at = 0;
        }
        let read = spooled
            .next_line(self.position, line)
            .map_err(|error| BodyError {
                what: "read",
                path: spooled.path.clone(),
                error,
            });
        self.noting(read)?;
        self.position += line.len() as u64;
        Ok(!line.is_empty())
    }

    /// The whole message from the byte `from` on, wherever it is.
    pub fn read_from(&mut self, from: u64) -> Result<Vec<u8>, BodyError> {
        let read = self.bytes_from(from);
        self.noting(read)
    }

    /// At most `most` bytes of the message from the byte `from` on; none at its end. Where others read
    /// does not matter, nor change.
    pub fn chunk(&mut self, from: u64, most: usize) -> Result<Vec<u8>, BodyError> {
        let Some(spooled) = self.file.as_ref() else {
            let rest = self.memory.bytes.get(from as usize..).unwrap_or_default();
            return Ok(rest[..rest.len().min(most)].to_vec());
        };
        let mut bytes = vec![0; most];
        let read = spooled.file.read_at(&mut bytes, from);
        let read = read.map_err(|error| BodyError {
            what: "read",
            path: spooled.path.clone(),
            error,
        });
        let got = self.noting(read)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    fn bytes_from(&self, from: u64) -> Result<Vec<u8>, BodyError> {
        match self.file.as_ref() {
            None => Ok(self
                .memory
                .bytes
                .get(from as usize..)
                .unwrap_or_default()
                .to_vec()),
            Some(spooled) => spooled.read_from(from).map_err(|error| BodyError {
                what: "read",
                path: spooled.path.clone(),
                error,
            }),
        }
    }
}

impl SpoolFile {
    fn next_line(&mut self, position: u64, line: &mut Vec<u8>) -> std::io::Result<()> {
        loop {
            let rest = &self.ahead[self.ahead_at..];
            if let Some(at) = memchr::memchr(b'\n', rest) {
                line.extend_from_slice(&rest[..=at]);
                self.ahead_at += at + 1;
                return Ok(());
            }
            line.extend_from_slice(rest);
            let mut block = std::mem::take(&mut self.ahead);
            self.ahead_at = 0;
            block.resize(64 * 1024, 0);
            let got = self
                .file
                .read_at(&mut block, position + line.len() as u64)?;
            block.truncate(got);
            self.ahead = block;
            if got == 0 {
                return Ok(());
            }
        }
    }

    fn read_from(&self, from: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let filled = bytes.len();
            bytes.resize(filled + 64 * 1024, 0);
            let got = self
                .file
                .read_at(&mut bytes[filled..], from + filled as u64)?;
            bytes.truncate(filled + got);
            if got == 0 {
                return Ok(bytes);
            }
        }
    }
}

/// Where a plugin has closed one of the descriptors 0 to 2, the file gets its number, and what goes
/// to the client or to the log would go into the message.
fn above_standard(file: File) -> std::io::Result<File> {
    match file.as_raw_fd() {
        0..3 => Ok(rustix::io::fcntl_dupfd_cloexec(&file, 3)?.into()),
        _ => Ok(file),
    }
}

/// A name in `dir` as the original makes it (seconds:pid:counter), which the caller opens with
/// O_EXCL.
pub(super) fn unique_name(dir: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = now.map(|d| d.as_secs()).unwrap_or_default();
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("{seconds}:{}:{n}", std::process::id()))
}

#[cfg(test)]
mod tests;
