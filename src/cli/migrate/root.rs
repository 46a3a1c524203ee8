//! The machine whose qpsmtpd is migrated: this one, or one whose files lie beneath a directory (`--root`). Paths are shown as
//! they are on that machine; here it is said where they are on this one.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The directory that is `/` there.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(dir: Option<&Path>) -> Result<Root, String> {
        let Some(dir) = dir else {
            return Ok(Root(PathBuf::from("/")));
        };
        match fs::metadata(dir) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(format!("--root {}: it is not a directory", dir.display())),
            Err(error) => return Err(format!("--root {}: {}", dir.display(), why(&error))),
        }
        let absolute = std::path::absolute(dir);
        absolute
            .map(Root)
            .map_err(|error| format!("--root {}: {}", dir.display(), why(&error)))
    }

    /// A machine without files.
    pub(super) fn nowhere() -> Root {
        Root(PathBuf::from("/dev/null/nowhere"))
    }

    /// Whether it is this machine.
    pub(super) fn is_this(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The directory, for programs that take one.
    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    /// Where a path of that machine is.
    pub(super) fn real(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(rest) => self.0.join(rest),
            Err(_) => self.0.join(path),
        }
    }

    /// The path on that machine of one that is here.
    pub(super) fn shown(&self, real: &Path) -> PathBuf {
        match real.strip_prefix(&self.0) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => real.to_path_buf(),
        }
    }

    /// A path of that machine without `.`, `..` and links, which lead where they lead there; none where it is not there.
    pub(super) fn canonical(&self, path: &Path) -> Option<PathBuf> {
        /// As many links as the kernel follows.
        const LINKS: usize = 40;
        let mut links = 0;
        let mut done = PathBuf::from("/");
        let mut rest: Vec<OsString> = words(path).rev().collect();
        while let Some(word) = rest.pop() {
            match word.as_encoded_bytes() {
                b"/" => done = PathBuf::from("/"),
                b"." => {}
                b".." => {
                    done.pop();
                }
                _ => {
                    let next = done.join(&word);
                    let real = self.real(&next);
                    let found = fs::symlink_metadata(&real).ok()?;
                    if !found.is_symlink() {
                        done = next;
                        continue;
                    }
                    links += 1;
                    if links > LINKS {
                        return None;
                    }
                    rest.extend(words(&fs::read_link(&real).ok()?).rev());
                }
            }
        }
        Some(done)
    }

    /// The text of a file there, where it is one and not too long to be a script.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        const LONGEST: u64 = 256 << 10;
        let path = self.real(&self.canonical(path)?);
        let found = fs::metadata(&path).ok()?;
        if !found.is_file() || found.len() > LONGEST {
            return None;
        }
        Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
    }

    /// A field of the line of /etc/passwd or /etc/group whose first or third field this is.
    pub(super) fn entry(&self, file: &str, wanted: &str, field: usize) -> Option<String> {
        let text = self.text(Path::new(file))?;
        text.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let is_it = fields.first() == Some(&wanted) || fields.get(2) == Some(&wanted);
            is_it.then(|| fields.get(field).map(|text| (*text).to_owned()))?
        })
    }

    /// The name of a user of this number or name.
    pub(super) fn user(&self, wanted: &str) -> Option<String> {
        self.entry("/etc/passwd", wanted, 0)
    }
}

/// The parts of a path, `/` among them.
fn words(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let parts: Vec<OsString> = path
        .components()
        .map(|part| part.as_os_str().to_owned())
        .collect();
    parts.into_iter()
}

/// The words of an error of the system's.
pub(super) fn why(error: &std::io::Error) -> String {
    crate::config::reason(error)
}

/// A path without `.`, `..` and double slashes, by its words alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_other_machine_is_beneath_its_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        assert!(!root.is_this());
        let real = root.real(Path::new("/etc/qpsmtpd"));
        assert_eq!(real, dir.path().join("etc/qpsmtpd"));
        assert_eq!(root.shown(&real), Path::new("/etc/qpsmtpd"));
        fs::create_dir_all(dir.path().join("srv/q")).unwrap();
        std::os::unix::fs::symlink("/srv", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        let canonical = |path: &str| root.canonical(Path::new(path));
        assert_eq!(canonical("/link/./q/../q"), Some(PathBuf::from("/srv/q")));
        assert_eq!(canonical("/loop"), None);
        assert_eq!(canonical("/no"), None);
        assert!(Root::new(None).unwrap().is_this());
        assert_eq!(plain(Path::new("/a//b/./../c")), Path::new("/a/c"));
    }
}
