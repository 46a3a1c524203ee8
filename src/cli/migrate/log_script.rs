//! The script of the log of a service under daemontools or runit, as one for the new service beside it: which directories it has to
//! have of its own. Makes none, and knows no other command.

use std::path::{Path, PathBuf};

use super::root::{Root, plain};
use super::rotation::words;
use super::shared::{beside, names_beside};
use super::start::base;

/// A directory that the log of the new service has to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogDir {
    pub(super) before: PathBuf,
    pub(super) after: PathBuf,
    /// Whether what is in it counts, as nobody writes there.
    pub(super) is_read: bool,
}

/// The script of the log of the service in `new`: two of them cannot write to one directory. Gives the directories that are to be
/// made, too. `earlier`: the script that an earlier switch has put there, whose directories are its own.
pub(super) fn log_script(
    root: &Root,
    dir: &Path,
    new: &Path,
    text: &str,
    earlier: &str,
) -> (String, Vec<LogDir>) {
    let mut script = String::new();
    let mut dirs: Vec<LogDir> = Vec::new();
    let log = dir.join("log");
    let is_dir = |path: &Path| {
        let path = root.canonical(path);
        path.is_some_and(|path| root.real(&path).is_dir())
    };
    let is_earlier = |path: &Path| {
        let mut lines = earlier.lines().flat_map(|line| {
            let words = words(line).into_iter();
            words.filter_map(|word| line.get(word))
        });
        lines.any(|word| Path::new(word) == path)
    };
    let is_free = |path: &PathBuf| is_earlier(path) || root.real(path).symlink_metadata().is_err();
    let mut reads = Reads::default();
    for line in text.split_inclusive('\n') {
        let mut done = 0;
        for at in words(line) {
            let word = line.get(at.clone()).unwrap_or_default();
            let behind = line.get(..at.start).unwrap_or_default();
            if word.starts_with('#') && behind.chars().next_back().is_none_or(char::is_whitespace) {
                break;
            }
            let (word, is_read) = reads.next(word);
            let before: PathBuf = plain(&log.join(word)).components().collect();
            if word.is_empty() || log.starts_with(&before) || !is_dir(&before) {
                continue;
            }
            let after = match before.strip_prefix(dir) {
                // The script of the new service runs in the new directory.
                Ok(inside) if !word.starts_with('/') => new.join(inside),
                // Both may read it.
                _ if is_read => continue,
                _ => {
                    let free = names_beside(&before).take(1000).find(is_free);
                    let after = free.unwrap_or_else(|| beside(&before));
                    script += line.get(done..at.start).unwrap_or_default();
                    script += &after.display().to_string();
                    done = at.end;
                    after
                }
            };
            let is_new = dirs.iter().all(|known| known.after != after);
            if is_new && !is_dir(&after) {
                dirs.push(LogDir {
                    before,
                    after,
                    is_read,
                });
            }
        }
        script += line.get(done..).unwrap_or_default();
    }
    (script, dirs)
}

/// Which words of a script name a directory of variables: envdir's, and that of chpst's -e.
#[derive(Default)]
struct Reads {
    is_next: bool,
    has_chpst: bool,
}

impl Reads {
    /// The directory that a word may be, and whether it is one of variables.
    fn next<'a>(&mut self, word: &'a str) -> (&'a str, bool) {
        match base(word) {
            "envdir" | "s6-envdir" => self.is_next = true,
            "chpst" => self.has_chpst = true,
            _ if word == "-e" && self.has_chpst => self.is_next = true,
            _ if word.starts_with("-e") && self.has_chpst => {
                return (word.get(2..).unwrap_or_default(), true);
            }
            _ if word.starts_with('-') => {}
            _ => return (word, std::mem::take(&mut self.is_next)),
        }
        ("", false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_log_has_directories_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        for name in [
            "var/log/q",
            "var/log/qpsmtpd",
            "srv/q/log/main",
            "srv/q/log/env",
            "srv/logs/q",
        ] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/var/log/q", dir.path().join("srv/q/log/link")).unwrap();
        let of = |script: &str, earlier: &str| {
            let paths = [Path::new("/srv/q"), Path::new("/srv/camelpost")];
            let (text, dirs) = log_script(&root, paths[0], paths[1], script, earlier);
            let dirs = dirs.iter();
            let dirs: Vec<String> = dirs
                .map(|dir| {
                    let what = if dir.is_read { "read " } else { "" };
                    format!("{what}{} {}", dir.before.display(), dir.after.display())
                })
                .collect();
            (text, dirs)
        };
        for (script, becomes, made) in [
            (
                "multilog t ./main",
                "multilog t ./main",
                &["/srv/q/log/main /srv/camelpost/log/main"][..],
            ),
            (
                "multilog t 'link' main;",
                "multilog t 'link' main;",
                &[
                    "/srv/q/log/link /srv/camelpost/log/link",
                    "/srv/q/log/main /srv/camelpost/log/main",
                ],
            ),
            ("svlogd -tt .", "svlogd -tt .", &[]),
            (
                "svlogd /var/log/q",
                "svlogd /var/log/camelpost-q",
                &["/var/log/q /var/log/camelpost-q"],
            ),
            (
                "svlogd ../../logs/q",
                "svlogd /srv/logs/camelpost-q",
                &["/srv/logs/q /srv/logs/camelpost-q"],
            ),
            // A comment is none of it, and a part of a path is not the path.
            (
                "# in /var/log\nmultilog t /var/log/q/../qpsmtpd '/var/log/q' # /var/log/q",
                "# in /var/log\nmultilog t /var/log/qpsmtpd-camelpost '/var/log/camelpost-q' # /var/log/q",
                &[
                    "/var/log/qpsmtpd /var/log/qpsmtpd-camelpost",
                    "/var/log/q /var/log/camelpost-q",
                ],
            ),
            (
                "envdir ./env multilog t /var/log",
                "envdir ./env multilog t /var/camelpost-log",
                &[
                    "read /srv/q/log/env /srv/camelpost/log/env",
                    "/var/log /var/camelpost-log",
                ],
            ),
            (
                "chpst -u log -e env svlogd -tt .; s6-envdir -I /srv/q/log/env x",
                "chpst -u log -e env svlogd -tt .; s6-envdir -I /srv/q/log/env x",
                &["read /srv/q/log/env /srv/camelpost/log/env"],
            ),
            (
                "chpst -e./env svlogd main",
                "chpst -e./env svlogd main",
                &[
                    "read /srv/q/log/env /srv/camelpost/log/env",
                    "/srv/q/log/main /srv/camelpost/log/main",
                ],
            ),
        ] {
            let (text, dirs) = of(script, "");
            assert_eq!(
                (&*text, &dirs[..]),
                (
                    becomes,
                    &made.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()[..]
                )
            );
        }
        fs::create_dir_all(dir.path().join("srv/camelpost/log/main")).unwrap();
        fs::create_dir_all(dir.path().join("var/log/camelpost-q")).unwrap();
        assert_eq!(of("multilog t ./main", "").1, [""; 0]);
        assert_eq!(
            of("svlogd /var/log/q", "svlogd /var/log/camelpost-q"),
            ("svlogd /var/log/camelpost-q".to_owned(), vec![])
        );
        // That one is somebody's.
        assert_eq!(
            of("svlogd /var/log/q", ""),
            (
                "svlogd /var/log/q-camelpost".to_owned(),
                vec!["/var/log/q /var/log/q-camelpost".to_owned()]
            )
        );
    }
}
