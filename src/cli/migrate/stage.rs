//! The directory of the copy: made beside its place under another name, and put there when it is whole. Nothing half made is left, and what
//! was there before is kept.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};

use super::root::why;

/// The config directories of camelpost@.service that a migration has kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instances {
    /// Their directory.
    pub(super) kept: PathBuf,
    pub(super) names: Vec<OsString>,
    pub(super) own: Own,
}

/// What the copy has by that name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Own {
    Missing,
    /// With these in it.
    Directory(Vec<OsString>),
    Other,
}

/// Where the copy goes.
pub(super) struct Place {
    target: PathBuf,
    /// Whether something is there that has to make room.
    taken: bool,
}

impl Place {
    /// Looks at the place; with `force` what is there makes room.
    pub(super) fn find(target: &Path, source: &Path, force: bool) -> Result<Place, String> {
        let parent = target
            .parent()
            .filter(|parent| parent.is_dir())
            .ok_or_else(|| {
                format!(
                    "--to {}: the directory that it is to be in is not there",
                    target.display()
                )
            })?;
        let shown = target.display();
        // What a link there leads to stays where it is.
        if target.is_symlink() {
            return Err(format!(
                "--to {shown}: it is a link; name the directory that it leads to"
            ));
        }
        let name = target
            .file_name()
            .ok_or_else(|| format!("--to {shown}: it has no name"))?;
        let own = parent
            .canonicalize()
            .map_err(|error| format!("--to {shown}: {}", why(&error)))?;
        let own = own.join(name);
        let source = source
            .canonicalize()
            .unwrap_or_else(|_| source.to_path_buf());
        if own == source {
            return Err(format!(
                "--to {shown}: it is the directory that is to be copied"
            ));
        }
        if own.starts_with(&source) {
            return Err(format!(
                "--to {shown}: it is in the directory that is to be copied, which stays as it is"
            ));
        }
        if source.starts_with(&own) {
            return Err(format!(
                "--to {shown}: the directory that is to be copied is in it"
            ));
        }
        let taken = match fs::symlink_metadata(target) {
            Err(_) => false,
            Ok(found) if !found.is_dir() => {
                return Err(format!("--to {shown}: it is there, and no directory"));
            }
            Ok(_) => {
                let mut entries = fs::read_dir(target)
                    .map_err(|error| format!("--to {shown}: {}", why(&error)))?;
                let first = entries.next().and_then(Result::ok);
                if let Some(first) = first.as_ref().filter(|_| !force) {
                    return Err(format!(
                        "--to {shown}: it is there and not empty ({}); name another directory, or add --force, which \
                         keeps this one as {shown}.orig",
                        first.file_name().to_string_lossy()
                    ));
                }
                first.is_some()
            }
        };
        Ok(Place {
            target: target.to_path_buf(),
            taken,
        })
    }

    /// What is there that has to make room, and the name that it will be kept by.
    pub(super) fn kept(&self) -> Option<PathBuf> {
        let mut names = self.names();
        self.taken
            .then(|| names.find(|path| fs::symlink_metadata(path).is_err()))?
    }

    /// DIR.orig, DIR.orig2 and so on.
    fn names(&self) -> impl Iterator<Item = PathBuf> {
        let name = |end: &str| {
            let mut path = self.target.clone().into_os_string();
            path.push(end);
            PathBuf::from(path)
        };
        let numbered = (2..).map(move |number| name(&format!(".orig{number}")));
        std::iter::once(name(".orig")).chain(numbered)
    }

    /// The config directories of camelpost@.service that were in the target, and will lie with what makes room, or where an
    /// earlier migration has kept them and nobody has moved them back. `source` stays as it is.
    pub(super) fn instances(&self, source: &Path) -> Option<Instances> {
        let names = |dir: &Path| {
            let entries = fs::read_dir(dir.join("instances")).into_iter().flatten();
            let names = entries.flatten().map(|entry| entry.file_name());
            let mut names: Vec<OsString> = names.collect();
            names.sort();
            names
        };
        let own_path = source.join("instances");
        let own = match fs::symlink_metadata(&own_path) {
            Err(_) => Own::Missing,
            Ok(found) if found.is_dir() => Own::Directory(names(source)),
            Ok(_) => Own::Other,
        };
        // Those that were copied from there are none to move.
        let has_more = |dir: &Path| {
            let is_own =
                |name: &OsString| matches!(&own, Own::Directory(own) if own.contains(name));
            !names(dir).iter().all(is_own)
        };
        let real = source.canonicalize().ok();
        let kept = self
            .names()
            .take_while(|path| fs::symlink_metadata(path).is_ok());
        let kept = kept.filter(|path| has_more(path) && path.canonicalize().ok() != real);
        let older = kept.last().filter(|_| !has_more(&self.target));
        let (names, dir) = match older {
            Some(older) => (names(&older), older),
            None => (names(&self.target), self.kept()?),
        };
        (!names.is_empty()).then(|| Instances {
            kept: dir.join("instances"),
            names,
            own,
        })
    }

    /// An empty directory beside it.
    pub(super) fn stage(self) -> Result<Stage, String> {
        let name = self
            .target
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let path = self.target.with_file_name(format!(".{name}.migrating"));
        let cannot = |error: io::Error| format!("cannot make {}: {}", path.display(), why(&error));
        let make = || fs::DirBuilder::new().mode(0o700).create(&path);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // One that was ended in its midst has left it.
                let old = locked(&path)?;
                fs::remove_dir_all(&path).map_err(cannot)?;
                drop(old);
                make().map_err(cannot)?;
            }
            made => made.map_err(cannot)?,
        }
        // Before the lock it is this process's to remove.
        let lock = locked(&path)?;
        Ok(Stage {
            place: self,
            path,
            _lock: lock,
            is_done: false,
        })
    }
}

/// The directory, if it is this user's and no other process has it.
fn locked(path: &Path) -> Result<File, String> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::DIRECTORY).bits()).unwrap_or_default();
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path);
    let dir =
        opened.map_err(|error| format!("{} is in the way: {}", path.display(), why(&error)))?;
    let is_own = dir
        .metadata()
        .is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    if !is_own {
        return Err(format!(
            "{} is in the way, and somebody else's",
            path.display()
        ));
    }
    flock(&dir, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        format!(
            "another `camelpost migrate` makes {} now; wait for it",
            path.display()
        )
    })?;
    Ok(dir)
}

/// The directory that is filled. It is gone again unless it is put into its place.
pub(super) struct Stage {
    place: Place,
    pub(super) path: PathBuf,
    _lock: File,
    is_done: bool,
}

impl Stage {
    /// Puts it into its place, and gives the name that what was there has now.
    pub(super) fn finish(mut self) -> Result<Option<PathBuf>, String> {
        let target = &self.place.target;
        let cannot =
            |error: io::Error| format!("cannot make {}: {}", target.display(), why(&error));
        // What is there after a loss of power is whole.
        File::open(&self.path)
            .and_then(|dir| Ok(rustix::fs::syncfs(dir)?))
            .map_err(cannot)?;
        let kept = self.place.kept();
        if let Some(kept) = &kept {
            let moved = renameat_with(CWD, target, CWD, kept, RenameFlags::NOREPLACE);
            moved.map_err(|error| {
                format!(
                    "cannot keep {} as {}: {}",
                    target.display(),
                    kept.display(),
                    why(&error.into())
                )
            })?;
        }
        if let Err(error) = fs::rename(&self.path, target) {
            if let Some(kept) = &kept {
                let _ = fs::rename(kept, target);
            }
            return Err(cannot(error));
        }
        self.is_done = true;
        if let Some(parent) = target.parent() {
            let _ = File::open(parent).and_then(|dir| dir.sync_all());
        }
        Ok(kept)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_is_gone_and_what_one_has_left_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("old")).unwrap();
        let place = || Place::find(&at("new"), &at("old"), false).unwrap();
        let stage = place().stage().unwrap();
        fs::write(stage.path.join("a"), "").unwrap();
        // While one is at work another waits for it.
        assert!(
            place()
                .stage()
                .is_err_and(|problem| problem.contains("another"))
        );
        drop(stage);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // As after SIGKILL.
        fs::create_dir(at(".new.migrating")).unwrap();
        fs::write(at(".new.migrating/a"), "").unwrap();
        let stage = place().stage().unwrap();
        assert!(!stage.path.join("a").exists());
        assert_eq!(stage.finish(), Ok(None));
        assert!(at("new").is_dir() && !at(".new.migrating").exists());
    }

    #[test]
    fn what_makes_room_is_kept_under_a_name_that_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["old", "new", "new.orig"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("new/mine"), "edited").unwrap();
        assert!(Place::find(&at("new"), &at("old"), false).is_err());
        let stage = Place::find(&at("new"), &at("old"), true)
            .unwrap()
            .stage()
            .unwrap();
        assert_eq!(stage.finish(), Ok(Some(at("new.orig2"))));
        assert_eq!(fs::read_to_string(at("new.orig2/mine")).unwrap(), "edited");
    }

    #[test]
    fn instances_are_found_until_somebody_has_moved_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("old")).unwrap();
        let found = |place: &Place| place.instances(&at("old")).map(|found| found.kept);
        fs::create_dir_all(at("new/instances/b")).unwrap();
        for kept in ["new.orig", "new.orig2"] {
            let place = Place::find(&at("new"), &at("old"), true).unwrap();
            assert_eq!(found(&place), Some(at("new.orig/instances")));
            let stage = place.stage().unwrap();
            fs::write(stage.path.join("plugins"), "").unwrap();
            assert_eq!(stage.finish(), Ok(Some(at(kept))));
        }
        fs::rename(at("new.orig/instances"), at("new/instances")).unwrap();
        let place = Place::find(&at("new"), &at("old"), true).unwrap();
        assert_eq!(found(&place), Some(at("new.orig3/instances")));
        fs::remove_dir_all(at("new/instances")).unwrap();
        assert_eq!(place.instances(&at("old")), None);
        // What is copied from stays whole.
        fs::create_dir_all(at("new.orig/instances/b")).unwrap();
        assert_eq!(place.instances(&at("new.orig")), None);
    }

    #[test]
    fn a_place_in_the_old_directory_or_around_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/old")).unwrap();
        for (target, part) in [
            ("a/old", "it is the directory that is to be copied"),
            ("a/old/new", "it is in the directory"),
            ("a", "is in it"),
            ("b/new", "is not there"),
        ] {
            let problem = Place::find(&at(target), &at("a/old"), true).err().unwrap();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
