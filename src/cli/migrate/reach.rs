//! What the packaged unit has to let the service reach of the paths that the configuration names: PrivateTmp=, ProtectHome= and
//! ReadWritePaths= of the drop-in. Knows nothing of plugins, and makes no path.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::report::Item;
use super::root::Root;

/// What the drop-in says of it.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// A path in /tmp or /var/tmp.
    pub(super) in_tmp: Option<PathBuf>,
    /// A path in a home.
    pub(super) in_a_home: Option<PathBuf>,
    /// For ReadWritePaths=.
    pub(super) written: BTreeSet<PathBuf>,
    /// What is to be done before it starts.
    pub(super) remarks: Vec<Item>,
}

/// Directories that many use: a path in one of them opens that path, and not all of them.
const OF_THE_SYSTEM: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/run/lock",
    "/run/user",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lock",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// What the unit hides by PrivateTmp= and ProtectHome=.
const TMP: &[&str] = &["/tmp", "/var/tmp"];
const HOMES: &[&str] = &["/home", "/root", "/run/user"];

fn lies_in(path: &Path, dirs: &[&str]) -> bool {
    dirs.iter().any(|dir| path.starts_with(dir))
}

/// A directory that is not opened as a whole: one of the system's, or all of a user's.
fn is_of_many(path: &Path) -> bool {
    let is_home = || {
        path.parent().is_some_and(|parent| {
            ["/home", "/run/user"]
                .iter()
                .any(|dir| parent == Path::new(dir))
        })
    };
    OF_THE_SYSTEM.iter().any(|dir| path == Path::new(dir)) || is_home()
}

/// Whether it is a program, or lies where programs and devices do, and not what plugins write.
pub(super) fn is_for_programs(path: &Path) -> bool {
    let has_name = path.iter().any(|name| {
        ["bin", "sbin", "libexec"]
            .iter()
            .any(|known| name == *known)
    });
    let only_read = ["/usr", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys"];
    has_name || (lies_in(path, &only_read) && !path.starts_with("/usr/local"))
}

/// The path that it comes to by links, as far as it is there.
fn settled(root: &Root, path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|there| {
        let real = root.canonical(there)?;
        let rest = path.strip_prefix(there).ok()?;
        // An empty one would leave a slash at the end.
        Some(match rest.as_os_str().is_empty() {
            true => real,
            false => real.join(rest),
        })
    });
    found.unwrap_or_else(|| path.to_path_buf())
}

/// The directory above the first name that differs from time to time (`%Y`, `%u`), where there is one.
fn above_what_differs(path: &Path) -> Option<PathBuf> {
    let differs = |part: &std::ffi::OsStr| part.as_encoded_bytes().contains(&b'%');
    path.iter()
        .any(differs)
        .then(|| path.iter().take_while(|part| !differs(part)).collect())
}

impl Reach {
    /// `written`: what sessions write, `used`: what else the service reads.
    pub(super) fn find(
        root: &Root,
        user: &str,
        written: &BTreeSet<PathBuf>,
        used: &BTreeSet<PathBuf>,
    ) -> Reach {
        let mut reach = Reach::default();
        for path in written {
            let path = settled(root, path);
            reach.looks_at(&path);
            reach.writes(root, user, &path);
        }
        for path in used {
            reach.looks_at(&settled(root, path));
        }
        reach
    }

    /// One that is written itself, and there or made.
    pub(super) fn with_directory(mut self, root: &Root, path: &Path) -> Reach {
        self.looks_at(&settled(root, path));
        self.written.insert(path.to_path_buf());
        self
    }

    fn looks_at(&mut self, path: &Path) {
        if lies_in(path, TMP) {
            self.in_tmp.get_or_insert_with(|| path.to_path_buf());
        }
        if lies_in(path, HOMES) {
            self.in_a_home.get_or_insert_with(|| path.to_path_buf());
        }
    }

    fn writes(&mut self, root: &Root, user: &str, path: &Path) {
        let real = root.real(path);
        let is_executable = fs::metadata(&real)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        if is_executable || is_for_programs(path) {
            return;
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        // A file's directory, as logs are rotated and databases have journals beside them.
        let opened = match above_what_differs(path) {
            Some(above) => above,
            None if real.is_dir() || is_of_many(parent) || !root.real(parent).is_dir() => {
                path.to_path_buf()
            }
            None => parent.to_path_buf(),
        };
        let mut remark = |text: String| self.remarks.push(Item::Remark { text });
        let shown = opened.display();
        if is_of_many(&opened) {
            remark(format!(
                "for {} the service would have to write in all of {shown}, which the drop-in does not open: name a directory in it, or \
                 add {shown} to ReadWritePaths= there",
                path.display()
            ));
            return;
        }
        if !root.real(&opened).exists() && !self.written.contains(&opened) {
            let again = match lies_in(&opened, TMP) {
                true => {
                    ", and after each start of the machine, where that empties the directory (tmpfiles.d)"
                }
                false => "",
            };
            remark(format!(
                "{shown} is not there: the service writes it only if it is there, and {user}'s, before it is started{again}"
            ));
        }
        self.written.insert(opened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is opened of these on a machine with these directories; how many remarks there are.
    fn opened(dirs: &[&str], paths: &[&str]) -> (Vec<String>, Reach) {
        let dir = tempfile::tempdir().unwrap();
        for name in dirs {
            fs::create_dir_all(dir.path().join(&name[1..])).unwrap();
        }
        let root = Root::new(Some(dir.path())).unwrap();
        let written = paths.iter().map(PathBuf::from).collect();
        let reach = Reach::find(&root, "smtpd", &written, &BTreeSet::new());
        let opened = reach.written.iter();
        (
            opened.map(|path| path.display().to_string()).collect(),
            reach,
        )
    }

    fn said(reach: &Reach) -> Vec<&str> {
        let texts = reach.remarks.iter().filter_map(|item| match item {
            Item::Remark { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn a_file_s_directory_is_opened_and_a_directory_itself() {
        let (paths, reach) = opened(&["/srv/log", "/srv/md"], &["/srv/log/q", "/srv/md"]);
        assert_eq!(paths, ["/srv/log", "/srv/md"]);
        assert_eq!(said(&reach), [""; 0]);
        assert_eq!((reach.in_tmp, reach.in_a_home), (None, None));
    }

    #[test]
    fn of_what_lies_in_a_directory_of_many_it_alone_is_opened_and_has_to_be_there() {
        for (path, dirs) in [
            ("/var/log/q.log", &["/var/log"][..]),
            ("/var/lib/q.db", &["/var/lib"]),
            ("/tmp/mm", &["/tmp"]),
            ("/home/joe/Maildir", &["/home/joe"]),
            ("/etc/map", &["/etc"]),
            ("/srv/mail/in", &["/srv"]),
        ] {
            let (paths, reach) = opened(dirs, &[path]);
            assert_eq!(paths, [path]);
            let said = said(&reach);
            assert_eq!(said.len(), 1);
            let begin = format!("{path} is not there: ");
            assert!(said[0].starts_with(&begin), "{said:?}");
        }
    }

    #[test]
    fn programs_are_not_opened() {
        let (paths, reach) = opened(
            &["/usr/bin", "/opt/x/libexec", "/usr/lib/y"],
            &[
                "/usr/bin/checkpassword",
                "/opt/x/libexec/deliver",
                "/usr/lib/y/z",
                "/usr/local/sbin/w",
            ],
        );
        assert_eq!(paths, [""; 0]);
        assert_eq!(said(&reach), [""; 0]);
    }

    #[test]
    fn a_directory_of_many_is_not_opened_and_told_of() {
        for (path, wide) in [
            ("/var/log/q-%Y.log", "/var/log"),
            ("/home/%u/Maildir", "/home"),
            ("/tmp", "/tmp"),
            ("/srv", "/srv"),
        ] {
            let (paths, reach) = opened(&["/var/log", "/home", "/tmp", "/srv"], &[path]);
            assert_eq!(paths, [""; 0], "{path}");
            let said = said(&reach);
            assert!(said[0].contains(&format!("in all of {wide},")), "{said:?}");
        }
        let (paths, _) = opened(&["/srv/md"], &["/srv/md/%d/%u"]);
        assert_eq!(paths, ["/srv/md"]);
    }

    #[test]
    fn what_lies_in_tmp_or_a_home_is_seen_through_links_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        for (name, leads) in [("one", "/var/tmp"), ("two", "/home/joe")] {
            fs::create_dir_all(dir.path().join(&leads[1..])).unwrap();
            std::os::unix::fs::symlink(leads, dir.path().join(name)).unwrap();
        }
        let one = BTreeSet::from([PathBuf::from("/one/md")]);
        let two = BTreeSet::from([PathBuf::from("/two/map")]);
        let reach = Reach::find(&root, "smtpd", &one, &two);
        assert_eq!(reach.in_tmp, Some("/var/tmp/md".into()));
        assert_eq!(reach.in_a_home, Some("/home/joe/map".into()));
        let reach = Reach::default().with_directory(&root, Path::new("/one/spool"));
        assert!(reach.in_tmp.is_some());
    }
}
