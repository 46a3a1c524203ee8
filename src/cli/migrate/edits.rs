//! What is not the same in the copy: lines that would lead back into the old directory, the spool directory, where plugins and modules
//! are. Writes nothing; what a file is to have is kept here until it is copied.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::report::Item;
use super::source::{Entry, Kind, Source};
use crate::config::included;

/// The files that are others.
pub(super) struct Edits<'a> {
    source: &'a Source,
    /// The directory of the copy, by its path on its machine.
    target: &'a Path,
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(super) told: Vec<Item>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(source: &'a Source, target: &'a Path) -> Edits<'a> {
        Edits {
            source,
            target,
            files: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    pub(super) fn target(&self) -> &Path {
        self.target
    }

    /// What a file of the copy will have; none where there will be no such file.
    pub(super) fn will_have(&self, source: &Source, path: &Path) -> Option<Vec<u8>> {
        let edited = self.files.get(path).cloned();
        edited.or_else(|| std::fs::read(source.real.join(path)).ok())
    }

    /// What a file has in the copy.
    fn text(&self, path: &Path) -> Vec<u8> {
        let edited = self.files.get(path).cloned();
        edited.unwrap_or_else(|| self.source.read(path))
    }

    /// Puts another word into a line.
    fn replace(&mut self, path: &Path, line: usize, before: &[u8], after: &[u8]) {
        let text = self.text(path);
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines: Vec<Vec<u8>> = lines
            .map(|(at, old)| match at + 1 == line {
                true => replaced(old, before, after),
                false => old.to_vec(),
            })
            .collect();
        self.files.insert(path.to_path_buf(), lines.join(&b'\n'));
        self.told.push(Item::Changed {
            file: self.target.join(path),
            line: Some(line),
            before: Some(String::from_utf8_lossy(before).into_owned()),
            after: String::from_utf8_lossy(after).into_owned(),
        });
    }

    /// A file that the directory does not have.
    pub(super) fn add(&mut self, name: &str, text: &str) {
        self.files
            .insert(PathBuf::from(name), text.as_bytes().to_vec());
        self.told.push(Item::Changed {
            file: self.target.join(name),
            line: None,
            before: None,
            after: text.lines().last().unwrap_or_default().to_owned(),
        });
    }

    /// `$include` lines that name a file of the directory by its whole path, and such lines of plugin_dirs.
    pub(super) fn lead_into_the_copy(&mut self, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.kind == Kind::File) {
            let text = self.source.read(&entry.path);
            // A database has no lines.
            if text.contains(&0) {
                continue;
            }
            let is_list_of_paths = ["plugin_dirs", "module_dirs", "sandbox_write"]
                .iter()
                .any(|name| entry.path == Path::new(name));
            for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
                let line = line.trim_ascii();
                let word =
                    included(line).or((is_list_of_paths && line.starts_with(b"/")).then_some(line));
                let Some(word) = word else {
                    continue;
                };
                if let Some(inside) = self.source.inside(Path::new(OsStr::from_bytes(word))) {
                    let new = self.target.join(inside).into_os_string().into_vec();
                    self.replace(&entry.path, at + 1, word, &new);
                }
            }
        }
    }

    /// The first line of a config file that counts, and those that it includes: file, line, text. A file outside of the
    /// directory is named by its path.
    fn first_line(&self, name: &Path, depth: usize) -> Option<(PathBuf, usize, Vec<u8>)> {
        let text = self.text(name);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let Some(word) = included(line) else {
                return Some((name.to_path_buf(), at + 1, line.to_vec()));
            };
            let path = Path::new(OsStr::from_bytes(word));
            let inside = match path.is_absolute() {
                // What was changed already leads into the copy.
                true => path.strip_prefix(self.target).ok().map(Path::to_path_buf),
                false => Some(path.to_path_buf()),
            };
            match inside {
                Some(inside) if depth < 10 => {
                    if let Some(found) = self.first_line(&inside, depth + 1) {
                        return Some(found);
                    }
                }
                _ => return Some((path.to_path_buf(), 0, Vec::new())),
            }
        }
        None
    }

    /// The spool directory, another one: gives it. `home` is that of the service's user, where there is one.
    pub(super) fn spool(&mut self, wanted: Option<&Path>, home: Option<&Path>) -> PathBuf {
        let found = self.first_line(Path::new("spool_dir"), 0);
        let beside = |old: &Path| {
            let name = old
                .file_name()
                .unwrap_or(OsStr::new("spool"))
                .to_string_lossy();
            old.with_file_name(format!("{name}-camelpost"))
        };
        let new = |old: &Path| wanted.map_or_else(|| beside(old), Path::to_path_buf);
        match found {
            Some((file, line, text)) if line > 0 => {
                let old: PathBuf = Path::new(OsStr::from_bytes(&text)).components().collect();
                let new = new(&old);
                self.replace(&file, line, &text, new.as_os_str().as_bytes());
                new
            }
            other => {
                // Without one, or with one that a file elsewhere names.
                let (old, new) = match home {
                    Some(home) => {
                        let old = home.join("tmp");
                        let new = new(&old);
                        (old.display().to_string(), new)
                    }
                    None => (
                        "tmp in the home of its user".to_owned(),
                        new(Path::new("/var/spool/qpsmtpd")),
                    ),
                };
                let comment = match other {
                    Some((file, ..)) => format!(
                        "# camelpost migrate: in the place of what {} names.\n",
                        file.display()
                    ),
                    None => {
                        format!("# camelpost migrate: qpsmtpd has none, and takes {old} then.\n")
                    }
                };
                self.add("spool_dir", &format!("{comment}{}\n", new.display()));
                new
            }
        }
    }

    /// The directories of plugins and modules that the old server finds beside its program or its config directory.
    pub(super) fn beside(&mut self, program: Option<&Path>) {
        let root = &self.source.root;
        let places = [program, Some(&self.source.given)].into_iter().flatten();
        let places: Vec<&Path> = places.filter_map(Path::parent).collect();
        for (name, file) in [("plugins", "plugin_dirs"), ("lib", "module_dirs")] {
            let mut dirs = places.iter().map(|place| (place, place.join(name)));
            // That of the root directory is nobody's.
            let found =
                dirs.find(|(place, dir)| place.parent().is_some() && root.real(dir).is_dir());
            let Some((place, dir)) = found else {
                continue;
            };
            let stays = self.target.parent() == Some(place);
            if !stays && self.first_line(Path::new(file), 0).is_none() {
                let comment =
                    "# camelpost migrate: where the old server finds it without being told.";
                self.add(file, &format!("{comment}\n{}\n", dir.display()));
            }
        }
    }
}

/// A line with one word in the place of another.
fn replaced(line: &[u8], before: &[u8], after: &[u8]) -> Vec<u8> {
    let at = line
        .windows(before.len().max(1))
        .rposition(|part| part == before);
    match at {
        Some(at) => [&line[..at], after, &line[at + before.len()..]].concat(),
        None => line.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::root::Root;
    use super::*;
    use std::fs;

    #[test]
    fn what_leads_into_the_old_directory_leads_into_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        fs::create_dir_all(dir.path().join("etc/q/sub")).unwrap();
        let put =
            |name: &str, text: &str| fs::write(dir.path().join("etc/q").join(name), text).unwrap();
        put(
            "plugins",
            "a\r\n  $include /etc/q/more \r\n$include /etc/others\n$include sub/x\n# $include /etc/q/no",
        );
        put("spool_dir", "# /var/spool/q\n$include /etc/q/sub/spool\n");
        put("sub/spool", " /var/spool/q/ ");
        let source = Source::open(root, Path::new("/etc/q")).unwrap();
        let entries = source.entries().unwrap();
        let mut edits = Edits::new(&source, Path::new("/etc/c"));
        edits.lead_into_the_copy(&entries);
        let new = edits.spool(None, Some(Path::new("/home/q")));
        assert_eq!(new, Path::new("/var/spool/q-camelpost"));
        let text = |name: &str| String::from_utf8(edits.files[Path::new(name)].clone()).unwrap();
        assert_eq!(
            text("plugins"),
            "a\r\n  $include /etc/c/more \r\n$include /etc/others\n$include sub/x\n# $include /etc/q/no"
        );
        assert_eq!(text("sub/spool"), " /var/spool/q-camelpost ");
        assert_eq!(edits.told.len(), 3);
    }

    #[test]
    fn without_a_spool_directory_there_is_one_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        fs::create_dir_all(dir.path().join("srv/q/config")).unwrap();
        fs::create_dir_all(dir.path().join("srv/q/plugins")).unwrap();
        fs::write(dir.path().join("srv/q/config/plugins"), "").unwrap();
        let source = Source::open(root, Path::new("/srv/q/config")).unwrap();
        let mut edits = Edits::new(&source, Path::new("/etc/c"));
        let new = edits.spool(None, None);
        assert_eq!(new, Path::new("/var/spool/qpsmtpd-camelpost"));
        let mut edits = Edits::new(&source, Path::new("/etc/c"));
        let new = edits.spool(None, Some(Path::new("/home/q")));
        assert_eq!(new, Path::new("/home/q/tmp-camelpost"));
        edits.beside(None);
        assert!(edits.files.contains_key(Path::new("plugin_dirs")));
        assert!(!edits.files.contains_key(Path::new("module_dirs")));
    }
}
