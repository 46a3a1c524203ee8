//! The config directory with the original's search order, and what its files were when last
//! looked at. Values are lines; their meaning is the reader's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::cache::{Directories, Watched};
use super::error::{ConfigError, Place};
use super::read::{Entry, ReadFile, read};
use crate::base::program_dir;

/// The lines of a config file that count. Cheap to clone.
pub type Lines = Rc<[Vec<u8>]>;

/// The config directories of a site, with what was read of them. Several directories: for each name, the first one counts in
/// which a file of that name exists.
///
/// What was read is kept. `begin_session` makes each name be looked at again when it is next
/// asked for (the 0.94 profile); with `always_check` that happens at every call (1.00). Looking
/// again costs a stat for each file that the value is made of.
#[derive(Debug)]
pub struct ConfigDir {
    dirs: Vec<PathBuf>,
    cache: RefCell<HashMap<Box<str>, Cached>>,
    session: Cell<u64>,
    always_check: Cell<bool>,
    problems: RefCell<Vec<ConfigError>>,
    directories: RefCell<Directories>,
}

#[derive(Debug)]
struct Cached {
    lines: Result<Option<Lines>, ConfigError>,
    watched: Watched,
    /// The session in which it was looked at last, and the state of the directories then.
    session: u64,
    generation: u64,
}

impl ConfigDir {
    /// A search through these directories.
    pub fn new(dirs: Vec<PathBuf>) -> ConfigDir {
        ConfigDir {
            dirs,
            cache: RefCell::default(),
            session: Cell::new(0),
            always_check: Cell::new(false),
            problems: RefCell::default(),
            directories: RefCell::default(),
        }
    }

    /// The original's search: `explicit`, else `$QPSMTPD_CONFIG`; then `config` beside the
    /// program; then `control` in `$QMAIL` or /var/qmail.
    pub fn locate(explicit: Option<PathBuf>) -> Result<ConfigDir, ConfigError> {
        if let Some(path) = &explicit {
            let reason = match fs::metadata(path) {
                Ok(found) if found.is_dir() => closed(path),
                Ok(_) => Some("it is not a directory".to_owned()),
                Err(error) => Some(super::error::reason(&error)),
            };
            if let Some(reason) = reason {
                let path = path.clone();
                return Err(ConfigError::NotADirectory { path, reason });
            }
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dirs = search(
            explicit.or_else(|| variable("QPSMTPD_CONFIG").map(PathBuf::from)),
            program_dir(),
            variable("QMAIL"),
        );
        if !dirs.iter().any(|dir| dir.is_dir()) {
            return Err(ConfigError::NoDirectory { searched: dirs });
        }
        Ok(ConfigDir::new(dirs))
    }

    /// The directories that are searched.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// The path of a config file: in the first directory that has it, else in the last one.
    /// A map of config `NAME` is the file `NAME.cdb` beside it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.find(name.as_bytes(), &mut Watched::default())
    }

    /// From now on each name is looked at again when it is next asked for.
    pub fn begin_session(&self) {
        self.session.set(self.session.get() + 1);
        self.directories.borrow_mut().look(&self.dirs);
    }

    /// Whether each call looks again.
    pub fn always_check(&self, always: bool) {
        self.always_check.set(always);
    }

    /// The lines of a config file, with those it includes; `None` where it does not exist.
    /// An error means that the file as a whole counts for nothing: to be logged at LOGERROR,
    /// and the default taken. For an included file see `take_problems`.
    pub fn lines(&self, name: &str) -> Result<Option<Lines>, ConfigError> {
        let session = self.session.get();
        if let Some(cached) = self.cache.borrow_mut().get_mut(name) {
            let current = cached.session == session && !self.always_check.get();
            let directories = self.directories.borrow();
            // Within a session, and under 1.00, a file may appear at any time.
            let unchanged = cached.generation == directories.generation
                && cached.session != session
                && !self.always_check.get();
            let still_missing = |path: &Path| unchanged && directories.hold(path);
            if current || cached.watched.holds(still_missing) {
                cached.session = session;
                cached.generation = directories.generation;
                return cached.lines.clone();
            }
        }
        let (loaded, error) = self.load(name);
        self.problems.borrow_mut().extend(loaded.problems);
        let lines = match error {
            Some(error) if exists(&self.path(name)) => Err(error),
            Some(_) => Ok(None),
            None => Ok(Some(
                loaded.entries.into_iter().map(|entry| entry.text).collect(),
            )),
        };
        let cached = Cached {
            lines: lines.clone(),
            watched: loaded.watched,
            session,
            generation: self.directories.borrow().generation,
        };
        self.cache.borrow_mut().insert(name.into(), cached);
        lines
    }

    /// The lines with their places, read now. Problems of included files are errors here: this
    /// is for what must be right when the service starts.
    pub fn entries(&self, name: &str) -> Result<Vec<Entry>, ConfigError> {
        let (mut loaded, error) = self.load(name);
        match error {
            Some(error) if exists(&self.path(name)) => Err(error),
            Some(_) => Ok(Vec::new()),
            None if loaded.problems.is_empty() => Ok(loaded.entries),
            None => Err(loaded.problems.swap_remove(0)),
        }
    }

    /// What is wrong with a config file and with those that it includes, read now; and what an `$include`
    /// names that is not there, with the place of that line.
    pub fn inspect(&self, name: &str) -> (Vec<ConfigError>, Vec<(Place, Vec<u8>)>) {
        let (loaded, error) = self.load(name);
        let mut problems = loaded.problems;
        problems.extend(error);
        (problems, loaded.missing)
    }

    /// File and line of the value of a config name at this place among its values, where it still stands
    /// there.
    pub fn place_of(&self, name: &str, index: usize, line: &[u8]) -> Option<String> {
        let entries = self.entries(name).ok()?;
        let entry = entries.get(index).filter(|entry| entry.text == line)?;
        Some(entry.place.to_string())
    }

    /// The lines of a file that is named by its path, read now, which counts as one of config
    /// `name`. Otherwise as `lines`.
    pub fn lines_of(&self, name: &str, path: &Path) -> Result<Option<Lines>, ConfigError> {
        if !exists(path) {
            return Ok(None);
        }
        let find = |name: &[u8], watched: &mut Watched| self.find(name, watched);
        let (loaded, error) = read(name, path, Watched::default(), &find);
        self.problems.borrow_mut().extend(loaded.problems);
        match error {
            Some(error) => Err(error),
            None => Ok(Some(
                loaded.entries.into_iter().map(|entry| entry.text).collect(),
            )),
        }
    }

    /// Whether one of the directories has such a file.
    pub fn has(&self, name: &str) -> bool {
        exists(&self.path(name))
    }

    /// What went wrong in included files since the last call, to be logged: their lines are
    /// missing from what `lines` gave.
    pub fn take_problems(&self) -> Vec<ConfigError> {
        self.problems.take()
    }

    fn load(&self, name: &str) -> (ReadFile, Option<ConfigError>) {
        let mut watched = Watched::default();
        let path = self.find(name.as_bytes(), &mut watched);
        read(name, &path, watched, &|name, watched| {
            self.find(name, watched)
        })
    }

    fn find(&self, name: &[u8], watched: &mut Watched) -> PathBuf {
        let mut path = PathBuf::new();
        for dir in &self.dirs {
            path = append(dir, name);
            if watched.add(&path) {
                break;
            }
        }
        path
    }
}

fn search(
    first: Option<PathBuf>,
    program: Option<PathBuf>,
    qmail: Option<OsString>,
) -> Vec<PathBuf> {
    let qmail = qmail.map_or_else(|| PathBuf::from("/var/qmail"), PathBuf::from);
    let dirs = [
        first,
        program.map(|program| program.join("config")),
        Some(qmail.join("control")),
    ];
    // Absolute, so that the search does not depend on a later chdir.
    let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
    dirs.into_iter().flatten().map(absolute).collect()
}

/// Why the user that this process runs as may not use a directory: its files would pass for
/// missing.
fn closed(dir: &Path) -> Option<String> {
    let found = accessat(CWD, dir, Access::EXEC_OK, AtFlags::EACCESS);
    let reason = super::error::reason(&found.err()?.into());
    Some(format!("the service user may not enter it: {reason}"))
}

fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

/// `DIR/NAME` as text: a name that starts with a slash stays in the directory.
fn append(dir: &Path, name: &[u8]) -> PathBuf {
    let bytes = [dir.as_os_str().as_bytes(), b"/", name].concat();
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests;
