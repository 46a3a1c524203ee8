//! What the old server and the copy both use: logs, databases, queue directories, files that a line includes from elsewhere. Changes
//! nothing: what a plugin's line names is the administrator's to change.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::reach::is_for_programs;
use super::report::Item;
use super::source::{Entry, Kind, Source};
use crate::config::{Entry as ConfigLine, Place, PluginLine, included, may_be_written, paths_of};

/// What was found.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) items: Vec<Item>,
    /// What sessions write.
    pub(super) written: BTreeSet<PathBuf>,
    /// All paths that any line names.
    pub(super) named: BTreeSet<PathBuf>,
    /// The plugins of all lists.
    pub(super) plugins: BTreeSet<String>,
}

pub(super) fn look(source: &Source, target: &Path, entries: &[Entry]) -> Shared {
    let mut looker = Looker {
        source,
        target,
        seen: BTreeSet::new(),
        found: Shared::default(),
    };
    let files = entries
        .iter()
        .filter(|entry| !matches!(entry.kind, Kind::Directory | Kind::Other(_)));
    let paths: Vec<&Path> = files.map(|entry| entry.path.as_path()).collect();
    for path in &paths {
        let is_list = |dir: &str| path.parent() == Some(Path::new(dir));
        let is_log = *path == Path::new("logging");
        if is_log || *path == Path::new("plugins") || is_list("peers") || is_list("plugins") {
            looker.list(&source.given.join(path), is_log, 0);
        }
    }
    for path in &paths {
        looker.includes(path);
        looker.names(&source.given.join(path));
    }
    looker.found
}

struct Looker<'a> {
    source: &'a Source,
    target: &'a Path,
    /// Lists that were looked at.
    seen: BTreeSet<PathBuf>,
    found: Shared,
}

impl Looker<'_> {
    /// A file's lines that count, with their numbers.
    fn lines(&self, path: &Path) -> Vec<(usize, Vec<u8>)> {
        let text = match self.source.inside(path) {
            Some(inside) => self.source.read(&inside),
            None => fs::read(self.source.root.real(path)).unwrap_or_default(),
        };
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.map(|(at, line)| (at + 1, line.trim_ascii().to_vec()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
            .collect()
    }

    /// The name of a file in the copy.
    fn shown(&self, path: &Path) -> PathBuf {
        match self.source.inside(path) {
            Some(inside) => self.target.join(inside),
            None => path.to_path_buf(),
        }
    }

    /// A list of plugins, with those that it includes.
    fn list(&mut self, path: &Path, is_log: bool, depth: usize) {
        if depth > 20 || !self.seen.insert(path.to_path_buf()) {
            return;
        }
        self.names(path);
        for (line, text) in self.lines(path) {
            if let Some(word) = included(&text) {
                let word = Path::new(OsStr::from_bytes(word));
                self.list(&self.source.given.join(word), is_log, depth + 1);
                continue;
            }
            let place = Place {
                file: Rc::from(self.shown(path)),
                line,
            };
            if let Ok(parsed) = PluginLine::parse(&ConfigLine { text, place }) {
                self.plugin(&parsed, is_log);
            }
        }
    }

    fn plugin(&mut self, line: &PluginLine, is_log: bool) {
        let root = &self.source.root;
        let name = String::from_utf8_lossy(&line.name).into_owned();
        let plain = name.split(':').next().unwrap_or_default().to_owned();
        self.found.plugins.insert(plain.clone());
        let is_there = |path: &Path| root.real(path).is_dir();
        for path in paths_of(line, &is_there) {
            let inside = self.source.inside(&path);
            let real = root.real(&path);
            if inside.is_none() && !is_log && !may_be_written(&real) && !is_new(line, &path, &real)
            {
                continue;
            }
            if inside.is_none() && is_for_programs(&path) {
                continue;
            }
            let new = beside(&path);
            let is_taken = root.real(&new).symlink_metadata().is_ok();
            let (what, instead) = match (&inside, &*plain) {
                (Some(inside), _) => (
                    format!(
                        "argument of {name}, in the old directory; the copy's is {}",
                        self.target.join(inside).display()
                    ),
                    None,
                ),
                (None, "greylisting" | "karma") => (
                    "database".to_owned(),
                    Some(format!(
                        "db_dir {}, which has to be made and the service's user's",
                        new.display()
                    )),
                ),
                (None, "queue/maildir") => (
                    "both deliver there".to_owned(),
                    Some(new.display().to_string()),
                ),
                (None, _) if is_log => ("log".to_owned(), Some(new.display().to_string())),
                (None, _) => (
                    format!("argument of {name}"),
                    Some(new.display().to_string()),
                ),
            };
            let instead = match instead {
                Some(instead) if is_taken => {
                    Some(format!("{instead} ({} is there already)", new.display()))
                }
                instead => instead,
            };
            if inside.is_none() {
                self.found.written.insert(path.clone());
            }
            self.found.items.push(Item::Shared {
                path,
                file: line.place.file.to_path_buf(),
                line: line.place.line,
                what,
                instead,
            });
        }
        let is_relative = |word: &&Vec<u8>| word.starts_with(b"./") || word.starts_with(b"../");
        if let Some(word) = line.args.iter().find(is_relative) {
            self.found.items.push(Item::Shared {
                path: Path::new(OsStr::from_bytes(word)).to_path_buf(),
                file: line.place.file.to_path_buf(),
                line: line.place.line,
                what: format!("argument of {name}, from the working directory"),
                instead: None,
            });
        }
    }

    /// Paths in a file, whatever it is that names them: what the unit hides is to be seen.
    fn names(&mut self, file: &Path) {
        for (_, text) in self.lines(file) {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b"=:,;\"'()".contains(byte);
            let words = text.split(ends).filter(|word| word.starts_with(b"/"));
            let paths = words.map(|word| Path::new(OsStr::from_bytes(word)).components().collect());
            let named: Vec<PathBuf> = paths.collect();
            self.found.named.extend(named);
        }
    }

    /// What lies elsewhere, and a file of the directory includes.
    fn includes(&mut self, path: &Path) {
        let file = self.source.given.join(path);
        for (line, text) in self.lines(&file) {
            let Some(word) = included(&text) else {
                continue;
            };
            let word = Path::new(OsStr::from_bytes(word));
            if word.is_absolute() && self.source.inside(word).is_none() {
                let what = match self.source.root.real(word).exists() {
                    true => "an $include of what lies elsewhere: both read it",
                    false => "an $include of what lies elsewhere, and is not there",
                };
                self.found.items.push(Item::Shared {
                    path: word.to_path_buf(),
                    file: self.shown(&file),
                    line,
                    what: what.to_owned(),
                    instead: None,
                });
            }
        }
    }
}

/// What a plugin delivers to or has its database in, and neither it nor what it is to lie in is there.
fn is_new(line: &PluginLine, path: &Path, real: &Path) -> bool {
    let is_path = |word: &Vec<u8>| Path::new(OsStr::from_bytes(word)) == path;
    let behind = line.args.iter().position(is_path);
    let before = behind.and_then(|at| line.args.get(at.checked_sub(1)?));
    let is_written =
        line.name.starts_with(b"queue/maildir") || before.is_some_and(|word| word == b"db_dir");
    is_written && !real.exists() && real.parent().is_some_and(|parent| !parent.exists())
}

/// Another name in the same directory.
pub(super) fn beside(path: &Path) -> PathBuf {
    let first = names_beside(path).next();
    first.unwrap_or_else(|| path.to_path_buf())
}

/// Directories of Camelpost's package: their rights are the package's, and go with it when it is purged.
const PACKAGED: [&str; 4] = [
    "/var/log/camelpost",
    "/var/log/camelpost-plugins",
    "/var/spool/camelpost",
    "/var/lib/camelpost",
];

/// Other names in the same directory, without end; none of them is the package's.
pub(super) fn names_beside(path: &Path) -> impl Iterator<Item = PathBuf> {
    let packaged = |path: &Path| PACKAGED.into_iter().find(|dir| path.starts_with(dir));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let first = match name.contains("qpsmtpd") {
        true => name.replace("qpsmtpd", "camelpost"),
        false => format!("camelpost-{name}"),
    };
    let place = packaged(path).map_or(path, Path::new);
    let place = place.parent().unwrap_or(place).to_path_buf();
    let second = format!("{name}-camelpost");
    let more = (2..).map({
        let second = second.clone();
        move |number: usize| format!("{second}{number}")
    });
    let names = [first, second].into_iter().chain(more);
    names
        .map(move |name| place.join(name))
        .filter(move |path| packaged(path).is_none())
}

#[cfg(test)]
mod tests {
    use super::super::root::Root;
    use super::*;

    #[test]
    fn what_lists_name_is_told_of_wherever_the_line_stands() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "etc/q/plugins",
            "$include /etc/q/queue\n$include /srv/more\nx /etc/q/map /bin/sh\n",
        );
        put("etc/q/queue", "queue/maildir /var/Maildir\n");
        put("etc/q/map", "");
        put("etc/q/peers/0", "greylisting db_dir /var/db/\n");
        put("etc/q/logging", "logging/file 6 /var/log/qpsmtpd.log\n");
        put("srv/more", "y /var/db/y\n");
        put("var/db/y", "");
        put("var/Maildir/new", "");
        let root = Root::new(Some(dir.path())).unwrap();
        let source = Source::open(root, Path::new("/etc/q")).unwrap();
        let entries = source.entries().unwrap();
        let found = look(&source, Path::new("/etc/c"), &entries);
        let lines: Vec<String> = found
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Shared {
                    path, file, line, ..
                } => Some(format!("{}:{line} {}", file.display(), path.display())),
                _ => None,
            })
            .collect();
        assert_eq!(
            lines,
            [
                "/etc/c/logging:1 /var/log/qpsmtpd.log",
                "/etc/c/peers/0:1 /var/db",
                "/etc/c/queue:1 /var/Maildir",
                "/srv/more:1 /var/db/y",
                "/etc/c/plugins:3 /etc/q/map",
                "/etc/c/plugins:2 /srv/more",
            ]
        );
        assert_eq!(
            beside(Path::new("/var/log/qpsmtpd.log")),
            Path::new("/var/log/camelpost.log")
        );
    }

    #[test]
    fn another_name_is_none_of_the_package_s() {
        for (path, name) in [
            ("/var/log/qpsmtpd", "/var/log/qpsmtpd-camelpost"),
            ("/var/log/plugins", "/var/log/plugins-camelpost"),
            ("/var/spool/qpsmtpd", "/var/spool/qpsmtpd-camelpost"),
            ("/var/lib/camelpost/q/db", "/var/lib/camelpost-db"),
            ("/srv/qpsmtpd", "/srv/camelpost"),
        ] {
            assert_eq!(beside(Path::new(path)), Path::new(name));
        }
        let names = names_beside(Path::new("/srv/q"));
        let names: Vec<PathBuf> = names.take(3).collect();
        let expected = ["/srv/camelpost-q", "/srv/q-camelpost", "/srv/q-camelpost2"];
        assert_eq!(names, expected.map(PathBuf::from));
    }
}
