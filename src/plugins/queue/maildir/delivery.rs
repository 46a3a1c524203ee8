//! A message on its way into a maildir: written below tmp, synced, linked into new, and the directories synced that
//! have got entries. All of it blocks. Does not know of sessions.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::hostname;
use crate::config::reason;

/// How much is held before it is written.
const PIECE: usize = 1 << 20;
/// How often another name is tried where a file of that name is there.
const TRIES: usize = 10;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Why a message is not in a maildir.
pub(super) struct Undelivered {
    /// What could not be done, as the reply has it.
    pub(super) step: &'static str,
    /// The same for the log.
    pub(super) log: String,
}

impl Undelivered {
    fn new(step: &'static str, what: String, error: &io::Error) -> Undelivered {
        let log = format!("could not {what}: {}", reason(error));
        Undelivered { step, log }
    }

    /// The plugin's line names no place.
    pub(super) fn nowhere() -> Undelivered {
        let log = "could not open a file: the plugin's line is not understood".to_owned();
        Undelivered { step: "open", log }
    }
}

/// A message on its way.
pub(super) struct Delivery {
    dir: PathBuf,
    mode: u32,
    held: Vec<u8>,
    file: Option<Written>,
}

/// The file below tmp. What is dropped before it is in new is taken away.
struct Written {
    file: File,
    path: PathBuf,
    name: String,
}

impl Drop for Written {
    fn drop(&mut self) {
        // It is there no more, or nobody would look for it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Delivery {
    /// A message that begins so, for the maildir in this directory.
    pub(super) fn new(dir: &Path, mode: u32, start: Vec<u8>) -> Delivery {
        Delivery {
            dir: dir.to_owned(),
            mode,
            held: start,
            file: None,
        }
    }

    /// How it goes on.
    pub(super) fn push(&mut self, piece: Vec<u8>) {
        self.held.extend_from_slice(&piece);
    }

    /// Whether there is enough to be written.
    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= PIECE
    }

    /// Writes what there is.
    pub(super) fn write(mut self) -> Result<Delivery, Undelivered> {
        let mut written = match self.file.take() {
            Some(written) => written,
            None => self.open()?,
        };
        let result = written.file.write_all(&self.held);
        result.map_err(|error| not_closed(&written.path, &error))?;
        self.held.clear();
        self.file = Some(written);
        Ok(self)
    }

    fn open(&self) -> Result<Written, Undelivered> {
        let tmp = self.dir.join("tmp");
        // Where there is none, the file is what cannot be opened.
        let _ = make_maildir(&self.dir, self.mode);
        let mut tries = 0;
        loop {
            let name = unique();
            let path = tmp.join(&name);
            let mode = 0o666 & self.mode;
            let mut options = OpenOptions::new();
            match options.write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => {
                    // The process's own umask may have taken rights away.
                    let set = file.set_permissions(Permissions::from_mode(mode));
                    let written = Written { file, path, name };
                    set.map_err(|error| not_closed(&written.path, &error))?;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {
                    tries += 1;
                }
                Err(error) => {
                    let what = format!("open {}", path.display());
                    return Err(Undelivered::new("open", what, &error));
                }
            }
        }
    }

    /// Writes the rest; the message is in the maildir then, also if the power fails.
    pub(super) fn end(self) -> Result<(), Undelivered> {
        let dir = self.dir.clone();
        let Some(written) = self.write()?.file else {
            return Ok(());
        };
        let result = written.file.sync_all();
        result.map_err(|error| not_closed(&written.path, &error))?;
        let new = dir.join("new");
        let place = new.join(&written.name);
        fs::hard_link(&written.path, &place).map_err(|error| {
            let (from, to) = (written.path.display(), place.display());
            Undelivered::new("link", format!("link {from} to {to}"), &error)
        })?;
        sync(&new).map_err(|error| {
            // It is not acknowledged, so that it must not be there twice in the end.
            let _ = fs::remove_file(&place);
            Undelivered::new("sync", format!("sync {}", new.display()), &error)
        })
    }
}

fn not_closed(path: &Path, error: &io::Error) -> Undelivered {
    Undelivered::new("close", format!("close {}", path.display()), error)
}

/// A name that no other delivery has.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let (pid, count) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let host = hostname();
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let host = host.iter().skip_while(|byte| !is_usual(byte));
    let host: String = host
        .take_while(|byte| is_usual(byte))
        .map(|byte| char::from(*byte))
        .collect();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    format!("{seconds}.P{pid}M{micros}Q{count}.{host}")
}

/// Makes the directories of a maildir that are not there, those above it too, with these rights.
pub(super) fn make_maildir(dir: &Path, mode: u32) -> io::Result<()> {
    for part in ["cur", "tmp", "new"] {
        make(&dir.join(part), mode)?;
    }
    Ok(())
}

fn make(dir: &Path, mode: u32) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make(parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    fs::set_permissions(dir, Permissions::from_mode(mode))?;
    sync(parent.unwrap_or(Path::new(".")))
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_in_new_with_the_rights_that_were_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let mut delivery = Delivery::new(&dir, 0o750, b"Subject: x\n".to_vec());
        delivery.push(vec![b'x'; PIECE]);
        assert!(delivery.is_full());
        let Ok(mut delivery) = delivery.write() else {
            panic!("it is written");
        };
        delivery.push(b"end\n".to_vec());
        assert!(delivery.end().is_ok());
        let files = |part: &str| -> Vec<PathBuf> {
            let entries = fs::read_dir(dir.join(part)).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        assert!(files("tmp").is_empty() && files("cur").is_empty());
        let new = files("new");
        let text = fs::read(&new[0]).unwrap();
        assert_eq!(text.len(), 11 + PIECE + 4);
        assert!(text.starts_with(b"Subject: x\nxx") && text.ends_with(b"xend\n"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&new[0]), mode(&dir)), (0o640, 0o750));
        assert_eq!(mode(&root.path().join("a")), 0o750);
    }

    #[test]
    fn what_is_given_up_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let delivery = Delivery::new(root.path(), 0o700, b"x".to_vec());
        drop(delivery.write());
        let left = fs::read_dir(root.path().join("tmp")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_place_that_is_none_is_told_of() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let Err(why) = Delivery::new(&file, 0o700, Vec::new()).end() else {
            panic!("there is no directory");
        };
        assert_eq!(why.step, "open");
        let start = format!("could not open {}/tmp/", file.display());
        assert!(why.log.starts_with(&start) && why.log.ends_with(": Not a directory"));
    }
}
