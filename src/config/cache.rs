//! When a cached config value may still be used: what it was made of, and whether that changed.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file that changed this shortly before it was read may have changed again in the same
/// tick of the file system's clock.
const SETTLED: Duration = Duration::from_millis(100);

/// What identifies the state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    dev: u64,
    ino: u64,
    size: i64,
    mtime: (i64, u64),
    ctime: (i64, u64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        // std's way asks for more than this, and a message costs a dozen of these.
        let found = rustix::fs::stat(path).ok()?;
        Some(Stamp {
            dev: found.st_dev,
            ino: found.st_ino,
            size: found.st_size,
            mtime: (found.st_mtime, found.st_mtime_nsec),
            ctime: (found.st_ctime, found.st_ctime_nsec),
        })
    }
}

/// Files and directories, existing or not, with their state when they were looked at.
#[derive(Debug, Default, Clone)]
pub(super) struct Watched {
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// Some file was so young that its stamp proves nothing.
    young: bool,
}

impl Watched {
    /// Notes the state of a path, unless it was the last one; says whether it exists. To be
    /// called before its content is read.
    pub(super) fn add(&mut self, path: &Path) -> bool {
        if let Some((known, stamp)) = self.files.last()
            && known == path
        {
            return stamp.is_some();
        }
        let stamp = Stamp::of(path);
        if let Some(stamp) = stamp {
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            let changed = Duration::new(
                u64::try_from(stamp.ctime.0).unwrap_or_default(),
                u32::try_from(stamp.ctime.1).unwrap_or_default(),
            );
            self.young |= changed + SETTLED > now;
        }
        self.files.push((path.to_path_buf(), stamp));
        stamp.is_some()
    }

    /// Whether nothing has changed since. Files that are `still_missing` are not looked for.
    pub(super) fn holds(&self, still_missing: impl Fn(&Path) -> bool) -> bool {
        let same = |(path, stamp): &(PathBuf, Option<Stamp>)| {
            (stamp.is_none() && still_missing(path)) || Stamp::of(path) == *stamp
        };
        !self.young && self.files.iter().all(same)
    }
}

/// The searched directories as they were at the start of the session: while one is unchanged,
/// a file that was missing in it is missing still.
#[derive(Debug, Default)]
pub(super) struct Directories {
    seen: Vec<(PathBuf, Option<Stamp>)>,
    /// Counts the changes.
    pub generation: u64,
}

impl Directories {
    /// Looks at them.
    pub(super) fn look(&mut self, dirs: &[PathBuf]) {
        let mut now = Watched::default();
        for dir in dirs {
            now.add(dir);
        }
        if now.young || now.files != self.seen {
            self.generation += 1;
        }
        self.seen = now.files;
    }

    /// Whether a path lies directly in one of them.
    pub(super) fn hold(&self, path: &Path) -> bool {
        let path = path.as_os_str().as_bytes();
        self.seen.iter().any(|(dir, _)| {
            let name = path.strip_prefix(dir.as_os_str().as_bytes());
            let name = name.and_then(|rest| rest.strip_prefix(b"/"));
            name.is_some_and(|name| !name.contains(&b'/'))
        })
    }
}
