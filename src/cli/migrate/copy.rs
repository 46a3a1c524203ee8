//! Copies the config directory into one that is there and empty: what is in files, who owns them, who may read them, when they
//! were written, extended attributes (access lists among them). Links lead where they led. Changes nothing of what it reads.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown, lchown, symlink,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::report::Item;
use super::root::{plain, why};
use super::source::{Entry, Kind, Source};

/// How a directory is copied.
pub(super) struct Copy<'a> {
    pub(super) source: &'a Source,
    pub(super) entries: &'a [Entry],
    /// What files have that are others than the old ones, or new.
    pub(super) files: &'a std::collections::BTreeMap<PathBuf, Vec<u8>>,
    /// Where it goes in the end.
    pub(super) target: &'a Path,
}

/// What there is to say of a link or of something that is no file; and what a link says in the copy.
pub(super) fn look(
    source: &Source,
    target: &Path,
    entry: &Entry,
) -> (Option<PathBuf>, Option<Item>) {
    let file = target.join(&entry.path);
    match &entry.kind {
        Kind::Directory => (None, None),
        Kind::File => {
            let is_database = [".db", ".dbm", ".dir", ".pag", ".sqlite", ".mdb"]
                .iter()
                .any(|end| entry.path.to_string_lossy().ends_with(end));
            let what = "a database by its name, as it was at this moment: what is written to the old one does not come here";
            let item = is_database.then(|| Item::LeftOut {
                file,
                what: what.to_owned(),
            });
            (None, item)
        }
        Kind::Other(what) => {
            let what = format!("{what}, which is not copied");
            (None, Some(Item::LeftOut { file, what }))
        }
        Kind::Link(says) => {
            let dir = source.given.join(&entry.path);
            let dir = dir.parent().unwrap_or(Path::new("/"));
            let leads = plain(&dir.join(says));
            let (new, what) = match (source.inside(&leads), says.is_absolute()) {
                (Some(_), false) => (says.clone(), None),
                (Some(inside), true) => {
                    let new = target.join(inside);
                    let what = format!("a link to {}, now to {}", says.display(), new.display());
                    (new, Some(what))
                }
                (None, _) => {
                    let is_there = source.root.real(&leads).exists();
                    let what = match is_there {
                        true => {
                            format!("a link to {}: both servers read the same", leads.display())
                        }
                        false => format!("a link to {}, where nothing is", leads.display()),
                    };
                    (leads, Some(what))
                }
            };
            (Some(new), what.map(|what| Item::LeftOut { file, what }))
        }
    }
}

impl Copy<'_> {
    /// Fills the directory. The error is one line.
    pub(super) fn fill(&self, made: &Path) -> Result<(), String> {
        let cannot = |path: &Path, error: &io::Error| {
            let shown = self.target.join(path);
            format!("cannot write {}: {}", shown.display(), why(error))
        };
        for entry in self.entries {
            let (from, to) = (self.source.real.join(&entry.path), made.join(&entry.path));
            let done = match &entry.kind {
                Kind::Directory => fs::DirBuilder::new().mode(0o700).create(&to),
                Kind::File => self.file(&from, &to, self.files.get(&entry.path)),
                Kind::Link(_) if self.files.contains_key(&entry.path) => Ok(()),
                Kind::Link(_) => match look(self.source, self.target, entry).0 {
                    Some(says) => link(&from, &says, &to),
                    None => Ok(()),
                },
                Kind::Other(_) => Ok(()),
            };
            done.map_err(|error| cannot(&entry.path, &error))?;
        }
        for (path, text) in self.files {
            let is_file = |entry: &Entry| entry.kind == Kind::File && entry.path == *path;
            let is_new = !self.entries.iter().any(is_file);
            if is_new {
                self.new_file(made, path, text)
                    .map_err(|error| cannot(path, &error))?;
            }
        }
        // The inner ones first: what is made in a directory changes its time.
        for entry in self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.kind == Kind::Directory)
        {
            let (from, to) = (self.source.real.join(&entry.path), made.join(&entry.path));
            directory(&from, &to).map_err(|error| cannot(&entry.path, &error))?;
        }
        Ok(())
    }

    fn file(&self, from: &Path, to: &Path, text: Option<&Vec<u8>>) -> io::Result<()> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let flags = i32::try_from(flags).unwrap_or_default();
        let mut old = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(from)?;
        let found = old.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
        // Nobody else reads it before it has the rights of the old one.
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        match text {
            Some(text) => new.write_all(text)?,
            None => {
                io::copy(&mut old, &mut new)?;
            }
        }
        owned(fchown(&new, Some(found.uid()), Some(found.gid())))?;
        new.set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
        attributes(&old, &new);
        match text {
            Some(_) => Ok(()),
            None => new.set_modified(found.modified()?),
        }
    }

    /// With the owner and the rights of the file `plugins`, which the service reads as well.
    fn new_file(&self, made: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
        let to = made.join(path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let like = fs::metadata(self.source.real.join("plugins"))
            .or_else(|_| fs::metadata(&self.source.real))?;
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)?;
        new.write_all(text)?;
        owned(fchown(&new, Some(like.uid()), Some(like.gid())))?;
        let is_program = text.starts_with(b"#!");
        let mode = match (is_program, like.is_dir()) {
            (true, _) => 0o755,
            (false, true) => like.mode() & 0o666,
            (false, false) => like.mode() & 0o777,
        };
        new.set_permissions(Permissions::from_mode(mode))
    }
}

/// Gives a directory what the old one has.
pub(super) fn directory(from: &Path, to: &Path) -> io::Result<()> {
    let found = fs::metadata(from)?;
    owned(chown(to, Some(found.uid()), Some(found.gid())))?;
    let (old, new) = (File::open(from)?, File::open(to)?);
    attributes(&old, &new);
    new.set_permissions(Permissions::from_mode(found.mode() & 0o7777))?;
    new.set_modified(found.modified()?)
}

fn link(from: &Path, says: &Path, to: &Path) -> io::Result<()> {
    symlink(says, to)?;
    let found = fs::symlink_metadata(from)?;
    owned(lchown(to, Some(found.uid()), Some(found.gid())))
}

/// Nobody but root gives files away.
fn owned(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Copies extended attributes as far as the file system takes them.
fn attributes(old: impl AsFd, new: impl AsFd) {
    let mut names = vec![0; 64 << 10];
    let Ok(count) = rustix::fs::flistxattr(&old, &mut names[..]) else {
        return;
    };
    let names = names[..count].split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        if let Ok(count) = rustix::fs::fgetxattr(&old, name, &mut value[..]) {
            let _ =
                rustix::fs::fsetxattr(&new, name, &value[..count], rustix::fs::XattrFlags::empty());
        }
    }
}
