//! The config directory that is migrated: whether it is one, which paths lie in it, what is in it. Writes nothing.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::root::{Root, plain, why};

/// The directory, by its path on its machine.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) root: Root,
    /// As it was named.
    pub(super) given: PathBuf,
    /// Without links.
    own: PathBuf,
    /// On this machine.
    pub(super) real: PathBuf,
}

/// Something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path from the directory.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    /// With what the link says.
    Link(PathBuf),
    /// With what it is.
    Other(&'static str),
}

impl Source {
    /// The directory of this name, if it is qpsmtpd's.
    pub(super) fn open(root: Root, from: &Path) -> Result<Source, String> {
        let given = match root.is_this() {
            true => std::path::absolute(from)
                .map_err(|error| format!("--from {}: {}", from.display(), why(&error)))?,
            false => Path::new("/").join(from),
        };
        let given = plain(&given);
        let real = root.real(&given);
        let real = root.canonical(&given).map_or(real, |own| root.real(&own));
        let shown = given.display();
        let found =
            fs::metadata(&real).map_err(|error| format!("--from {shown}: {}", why(&error)))?;
        if !found.is_dir() {
            return Err(format!("--from {shown}: it is not a directory"));
        }
        fs::read_dir(&real)
            .map_err(|error| format!("--from {shown}: {}; run it as root", why(&error)))?;
        // A link may lead to where nothing is here; the directory of qpsmtpd itself has its plugins in one of the name.
        let is_list = fs::symlink_metadata(real.join("plugins")).is_ok_and(|found| !found.is_dir());
        if !is_list {
            let hint = match real.join("config/plugins").exists() {
                true => format!("; {shown}/config has one"),
                false => String::new(),
            };
            return Err(format!(
                "--from {shown}: it is no config directory of qpsmtpd's: it has no file plugins{hint}"
            ));
        }
        let own = root.canonical(&given).unwrap_or_else(|| given.clone());
        Ok(Source {
            root,
            given,
            own,
            real,
        })
    }

    /// The path from the directory of one that lies in it, by its words or by where links lead.
    pub(super) fn inside(&self, path: &Path) -> Option<PathBuf> {
        if !path.is_absolute() {
            return None;
        }
        let path = plain(path);
        let by_words = [&self.given, &self.own]
            .into_iter()
            .find_map(|dir| path.strip_prefix(dir).ok().map(Path::to_path_buf));
        by_words.or_else(|| {
            // The last part may be a link out of it, or missing.
            let parent = self.root.canonical(path.parent()?)?;
            let rest = parent.strip_prefix(&self.own).ok()?;
            Some(rest.join(path.file_name()?))
        })
    }

    /// All that is in it, a directory before what is in it, in the order of names.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, String> {
        let mut found = Vec::new();
        self.walk(Path::new(""), &mut found)?;
        Ok(found)
    }

    fn walk(&self, dir: &Path, found: &mut Vec<Entry>) -> Result<(), String> {
        let real = self.real.join(dir);
        let cannot = |path: &Path, error: io::Error| {
            format!("cannot read {}: {}", path.display(), why(&error))
        };
        let entries = fs::read_dir(&real).map_err(|error| cannot(&real, error))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(|error| cannot(&real, error))?.file_name());
        }
        names.sort();
        for name in names {
            let path = dir.join(name);
            let real = self.real.join(&path);
            let kind = fs::symlink_metadata(&real)
                .map_err(|error| cannot(&real, error))?
                .file_type();
            let kind = if kind.is_dir() {
                Kind::Directory
            } else if kind.is_file() {
                // What cannot be read is told of before anything is written.
                fs::File::open(&real).map_err(|error| cannot(&real, error))?;
                Kind::File
            } else if kind.is_symlink() {
                Kind::Link(fs::read_link(&real).map_err(|error| cannot(&real, error))?)
            } else if kind.is_fifo() {
                Kind::Other("a FIFO")
            } else if kind.is_socket() {
                Kind::Other("a socket")
            } else {
                Kind::Other("a device")
            };
            let is_directory = kind == Kind::Directory;
            found.push(Entry {
                path: path.clone(),
                kind,
            });
            if is_directory {
                self.walk(&path, found)?;
            }
        }
        Ok(())
    }

    /// What a file in it has, or the one that a link leads to; nothing where there is none.
    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let found = self.root.canonical(&self.given.join(path));
        let real = found.map(|path| self.root.real(&path));
        let is_file = |real: &PathBuf| fs::metadata(real).is_ok_and(|found| found.is_file());
        real.filter(is_file)
            .and_then(|real| fs::read(real).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_into_the_directory_is_inside() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/q")).unwrap();
        fs::write(dir.path().join("etc/q/plugins"), "").unwrap();
        std::os::unix::fs::symlink("q", dir.path().join("etc/link")).unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        let source = Source::open(root, Path::new("/etc/link")).unwrap();
        for path in ["/etc/q/a", "/etc/link/a", "/etc/../etc/q//a"] {
            assert_eq!(
                source.inside(Path::new(path)).unwrap(),
                Path::new("a"),
                "{path}"
            );
        }
        for path in ["/etc/quite", "a", "/etc/q/../x"] {
            assert_eq!(source.inside(Path::new(path)), None, "{path}");
        }
    }
}
