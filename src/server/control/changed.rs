//! Which files of some directories have changed since they were loaded. Looks at names, times, sizes and
//! inodes, not at contents; who asks, and what a change means, is not known here.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::status::ChangedFiles;

/// With more files than this nothing is said.
const MOST: usize = 4096;
/// How deep directories are looked into: plugins are in directories such as `auth` and `queue`.
const DEEPEST: usize = 3;
/// Changed files that are named.
const NAMED: usize = 5;
/// Files looked at before others get their turn.
const AT_A_TIME: usize = 64;

/// The files as they were when they had been loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownFiles {
    dirs: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Stamp>,
    /// Times that lie within the load, in nanoseconds since 1970: a file that was written then may have been
    /// read before.
    during: std::ops::Range<i128>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Nanoseconds since 1970.
    modified: i128,
    inode: u64,
    size: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp {
            modified: i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec()),
            inode: file.ino(),
            size: file.size(),
        }
    }
}

impl KnownFiles {
    /// Looks at the files of a load that began at a time and is over now. None where they cannot be seen, or
    /// are too many.
    pub(in crate::server) fn note(dirs: Vec<PathBuf>, since: SystemTime) -> Option<KnownFiles> {
        let files = Walk::through(&dirs)?.collect::<Option<_>>()?;
        let during = nanoseconds(since)..nanoseconds(SystemTime::now());
        Some(KnownFiles {
            dirs,
            files,
            during,
        })
    }

    /// What has changed since.
    pub(super) async fn changed(&self) -> Option<ChangedFiles> {
        let mut gone: BTreeMap<&Path, ()> = self.files.keys().map(|path| (&**path, ())).collect();
        let mut changed = Vec::new();
        for (number, file) in Walk::through(&self.dirs)?.enumerate() {
            let (path, now) = file?;
            gone.remove(&*path);
            let same = self.files.get(&path) == Some(&now);
            if !same || self.during.contains(&now.modified) {
                changed.push(path);
            }
            if number % AT_A_TIME == 0 {
                tokio::task::yield_now().await;
            }
        }
        changed.extend(gone.into_keys().map(Path::to_owned));
        changed.sort();
        let names = changed.iter().take(NAMED);
        Some(ChangedFiles {
            count: changed.len() as u64,
            names: names.map(|path| path.display().to_string()).collect(),
        })
    }
}

fn nanoseconds(time: SystemTime) -> i128 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// All files, each with its stamp; `None` in their place where they are too many.
struct Walk {
    dirs: Vec<(fs::ReadDir, usize)>,
    left: usize,
}

impl Walk {
    /// None where a directory cannot be read.
    fn through(dirs: &[PathBuf]) -> Option<Walk> {
        let open = |dir: &PathBuf| Some((fs::read_dir(dir).ok()?, 1));
        Some(Walk {
            dirs: dirs.iter().map(open).collect::<Option<_>>()?,
            left: MOST,
        })
    }
}

impl Iterator for Walk {
    type Item = Option<(PathBuf, Stamp)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (dir, depth) = self.dirs.last_mut()?;
            let depth = *depth;
            let Some(entry) = dir.next() else {
                self.dirs.pop();
                continue;
            };
            let Some(left) = self.left.checked_sub(1) else {
                return Some(None);
            };
            self.left = left;
            let Ok(entry) = entry else { continue };
            if is_an_editor_s(entry.file_name().as_encoded_bytes()) {
                continue;
            }
            let path = entry.path();
            // Links are followed, as a load does.
            match fs::metadata(&path) {
                Ok(file) if file.is_file() => return Some(Some((path, Stamp::of(&file)))),
                Ok(file) if file.is_dir() && depth < DEEPEST => {
                    if let Ok(inner) = fs::read_dir(&path) {
                        self.dirs.push((inner, depth + 1));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Nobody loads those.
fn is_an_editor_s(name: &[u8]) -> bool {
    name.starts_with(b".") || name.starts_with(b"#") || name.ends_with(b"~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(known: &KnownFiles) -> ChangedFiles {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(known.changed()).unwrap()
    }

    #[test]
    fn files_that_were_written_or_replaced_or_came_or_went_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("queue")).unwrap();
        for name in ["plugins", "me", "queue/one", "gone", "copied"] {
            fs::write(at(name), "x").unwrap();
        }
        let known = KnownFiles::note(vec![dir.path().to_owned()], SystemTime::now()).unwrap();
        assert_eq!(now(&known), ChangedFiles::default());
        for name in ["plugins", "queue/two", ".plugins.swp", "me~"] {
            fs::write(at(name), "xy").unwrap();
        }
        fs::remove_file(at("gone")).unwrap();
        // With its old time, as `cp -p` and packages do.
        let time = fs::metadata(at("copied")).unwrap().modified().unwrap();
        fs::write(at("new"), "z").unwrap();
        let new = fs::File::options().write(true).open(at("new")).unwrap();
        new.set_modified(time).unwrap();
        fs::rename(at("new"), at("copied")).unwrap();
        let names = ["copied", "gone", "plugins", "queue/two"];
        assert_eq!(
            now(&known),
            ChangedFiles {
                count: 4,
                names: names.map(|name| at(name).display().to_string()).to_vec(),
            }
        );
    }

    #[test]
    fn a_file_that_was_written_during_the_load_has_changed_and_one_of_the_future_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, time: SystemTime| {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        };
        let hour = std::time::Duration::from_secs(3600);
        let since = SystemTime::now() - hour;
        write("before", since - hour);
        write("during", since + hour / 2);
        write("future", since + hour * 3);
        let known = KnownFiles::note(vec![dir.path().to_owned()], since).unwrap();
        let changed = now(&known);
        assert_eq!(changed.count, 1, "{changed:?}");
        assert!(changed.names[0].ends_with("/during"));
    }

    #[test]
    fn what_cannot_be_seen_is_not_guessed() {
        let missing = vec![PathBuf::from("/nonexistent/config")];
        assert_eq!(KnownFiles::note(missing, SystemTime::now()), None);
    }
}
