//! One config file with everything it includes, as the lines that count. Does not know which
//! directory a name is found in, and caches nothing.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cache::Watched;
use super::error::{ConfigError, Place, reason};

/// How many files may include one another in a chain.
const MAX_DEPTH: usize = 100;

/// A line that counts, without the white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub text: Vec<u8>,
    pub place: Place,
}

/// What came of reading a file.
#[derive(Debug, Default)]
pub(super) struct ReadFile {
    pub entries: Vec<Entry>,
    /// Everything that was looked at: what comes out changes only if one of these does.
    pub watched: Watched,
    /// What went wrong in included files; the rest counts.
    pub problems: Vec<ConfigError>,
    /// What an `$include` names and is not there, which is nothing, as in the original: where it stands, and
    /// the name.
    pub missing: Vec<(Place, Vec<u8>)>,
}

/// Finds a relative name of an `$include`: the path in the first directory that has it.
pub(super) type Find<'a> = &'a dyn Fn(&[u8], &mut Watched) -> PathBuf;

/// Reads a file of config `name`, for which the search has looked at `watched`. An error means
/// that the file itself counts for nothing.
pub(super) fn read(
    name: &str,
    path: &Path,
    watched: Watched,
    find: Find<'_>,
) -> (ReadFile, Option<ConfigError>) {
    let mut reader = Reader {
        name,
        find,
        seen: HashSet::from([path.to_path_buf()]),
        chain: vec![path.to_path_buf()],
        loaded: ReadFile {
            watched,
            ..ReadFile::default()
        },
    };
    match reader.file(path, 1) {
        Ok(entries) => reader.loaded.entries = entries,
        Err(error) => return (reader.loaded, Some(error)),
    }
    (reader.loaded, None)
}

struct Reader<'a> {
    name: &'a str,
    find: Find<'a>,
    seen: HashSet<PathBuf>,
    /// The same in the order of inclusion, for messages.
    chain: Vec<PathBuf>,
    loaded: ReadFile,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<Vec<Entry>, ConfigError> {
        self.loaded.watched.add(path);
        let bytes = contents(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_path_buf(),
            reason: reason(&error),
        })?;
        let file: Rc<Path> = path.into();
        let mut entries = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let text = trim(line);
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            let place = Place {
                file: file.clone(),
                line: index + 1,
            };
            match included(text) {
                Some(target) => {
                    if depth == MAX_DEPTH {
                        return Err(ConfigError::TooDeep {
                            name: self.name.to_owned(),
                            place,
                            depth,
                        });
                    }
                    self.include(target, &place, depth, &mut entries)?;
                }
                None => entries.push(Entry {
                    text: text.to_vec(),
                    place,
                }),
            }
        }
        Ok(entries)
    }

    /// Appends the lines of what an `$include` names: a file, or each file of a directory in
    /// the order of their names. One that does not exist is nothing.
    fn include(
        &mut self,
        target: &[u8],
        place: &Place,
        depth: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ConfigError> {
        let path = match target.first() {
            Some(b'/') => PathBuf::from(OsStr::from_bytes(target)),
            _ => (self.find)(target, &mut self.loaded.watched),
        };
        self.loaded.watched.add(&path);
        let Ok(found) = fs::metadata(&path) else {
            self.loaded.missing.push((place.clone(), target.to_vec()));
            return Ok(());
        };
        self.see(&path, place)?;
        if !found.is_dir() {
            self.append(&path, depth, entries);
            return Ok(());
        }
        match files_of(&path) {
            Ok(files) => {
                for file in files {
                    self.see(&file, place)?;
                    self.append(&file, depth, entries);
                }
            }
            Err(error) => self.loaded.problems.push(ConfigError::Unreadable {
                path,
                reason: reason(&error),
            }),
        }
        Ok(())
    }

    /// Appends the lines of an included file; where it is wrong, nothing but the problem.
    fn append(&mut self, path: &Path, depth: usize, entries: &mut Vec<Entry>) {
        match self.file(path, depth + 1) {
            Ok(more) => entries.extend(more),
            Err(problem) => self.loaded.problems.push(problem),
        }
    }

    /// Like the original, refuses what was included before, whether or not it is a cycle.
    fn see(&mut self, path: &Path, place: &Place) -> Result<(), ConfigError> {
        if !self.seen.insert(path.to_path_buf()) {
            return Err(ConfigError::Circular {
                name: self.name.to_owned(),
                place: place.clone(),
                path: path.to_path_buf(),
                chain: self.chain.clone(),
            });
        }
        self.chain.push(path.to_path_buf());
        Ok(())
    }
}

/// The content of a file; a directory or a device (/dev/null) has none. A FIFO is not opened:
/// that would wait for a writer.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if found.file_type().is_fifo() || found.file_type().is_socket() {
        return Err(io::Error::other("it is not a file"));
    }
    if !found.is_file() {
        return Ok(Vec::new());
    }
    fs::read(path)
}

/// The files of a directory in the order of their names, without hidden ones.
fn files_of(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for found in fs::read_dir(dir)? {
        let found = found?;
        if found.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        let path = found.path();
        if !fs::metadata(&path).is_ok_and(|found| found.is_dir()) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The one word after `$include`, if the line is such a line, without the white space around it.
pub fn included(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"$include")?;
    let target = trim(rest);
    let is_one_word = target.len() < rest.len() && !target.iter().any(|byte| is_space(*byte));
    (is_one_word && !target.is_empty()).then_some(target)
}

/// What `\s` matches in Perl on bytes: the CR of a CR LF is trimmed with it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn trim(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line
        && is_space(*first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && is_space(*last)
    {
        line = rest;
    }
    line
}
