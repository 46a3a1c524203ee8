//! The way there and back where daemontools or runit starts the old server: a second service directory beside the old one, which is told
//! to stay down. Does none of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::comment;
use super::root::{Root, plain};
use super::rotation::words;
use super::serve::Serve;
use super::shared::{beside, names_beside};
use super::start::{Start, base};
use super::switch::{Machine, OWN, Ways, word};

/// What the new service is called, unless that name is another's.
const NAME: &str = "camelpost";

/// Where daemontools and runit look for services.
const SCANNED: [&str; 3] = ["/service", "/etc/service", "/var/service"];

/// The two programs' commands.
struct Control {
    down: &'static str,
    up: &'static str,
    /// Ends one that runs, which is started anew.
    term: &'static str,
}

const SVC: Control = Control {
    down: "svc -d",
    up: "svc -u",
    term: "svc -t",
};

const SV: Control = Control {
    down: "sv down",
    up: "sv up",
    // `restart` would wait.
    term: "sv term",
};

impl Machine<'_> {
    pub(super) fn run(&self, ways: &mut Ways, start: &Start, serve: &Serve) {
        let own = |name: &str| word(&self.target.join(OWN).join(name));
        ways.files
            .push((format!("{OWN}/run"), serve.run_script(start)));
        let real = self.root.canonical(&start.file);
        let real = real.unwrap_or_else(|| start.file.clone());
        let dir = real.parent().unwrap_or(Path::new("/"));
        let control = self.control();
        let link = self.link_to(dir);
        let (name, is_there) = self.name(start, dir, link.as_deref());
        let new = dir.with_file_name(&name);
        // Names with a dot are not looked at until all is in them.
        let made = match is_there {
            true => new.clone(),
            false => dir.with_file_name(format!(".{name}")),
        };
        if name != NAME {
            ways.switch(&format!(
                "# a service {NAME} is there, and is none that takes this one's place: the new one is {name}"
            ));
        }
        let install = |ways: &mut Ways, name: &str| {
            let to = word(&made.join(name));
            ways.switch(&format!("install -D -m 755 {} {to}", own(name)));
        };
        install(ways, "run");
        let earlier = self.root.text(&new.join("log/run")).filter(|_| is_there);
        let mut is_log_new = false;
        if let Some(text) = self.root.text(&dir.join("log/run")) {
            let known = earlier.as_deref().unwrap_or_default();
            let (text, dirs) = log_script(self.root, dir, &new, &text, known);
            // Where there was none the supervisor starts one, or has to be told.
            is_log_new = earlier.is_some_and(|earlier| earlier != text);
            ways.files.push((format!("{OWN}/log/run"), text));
            install(ways, "log/run");
            for dir in dirs {
                let after = match dir.after.strip_prefix(&new) {
                    Ok(inside) => made.join(inside),
                    Err(_) => dir.after.clone(),
                };
                let (before, own) = (word(&dir.before), word(&after));
                if dir.is_read {
                    ways.switch(&format!("cp -aHT {before} {own}"));
                    continue;
                }
                // The script's own directory comes with it. What somebody has put there meanwhile is not given away.
                let parent = after.parent().unwrap_or(&after);
                let has_parent = parent == made.join("log") || self.root.real(parent).is_dir();
                let parents = if has_parent { "" } else { " -p" };
                ways.switch(&format!(
                    "mkdir{parents} {own} && chown -h --reference={before} {own} && chmod --reference={before} {own}"
                ));
            }
        }
        let service = word(link.as_deref().unwrap_or(dir));
        let new_link = link.map(|link| link.with_file_name(&name));
        let started = word(new_link.as_ref().unwrap_or(&new));
        let is_scanned = SCANNED
            .iter()
            .any(|place| dir.parent() == Some(Path::new(place)));
        let missing_link = new_link.clone().filter(|link| !self.leads(link, &new));
        let (old_down, new_down) = (word(&dir.join("down")), word(&new.join("down")));
        let Control { down, up, term } = control;
        ways.switch(&format!("touch {old_down} && {down} {service}"));
        match (is_there, &missing_link) {
            (false, _) => ways.switch(&format!("mv -T {} {}", word(&made), word(&new))),
            // The link starts it.
            (true, Some(_)) => ways.switch(&format!("rm -f {new_down}")),
            // It may run, with what it was before.
            (true, None) => ways.switch(&format!(
                "rm -f {new_down} && {term} {started} && {up} {started}"
            )),
        }
        if is_log_new && missing_link.is_none() {
            let log = Path::new(new_link.as_ref().unwrap_or(&new)).join("log");
            ways.switch(&format!("{term} {}", word(&log)));
        }
        match missing_link {
            Some(link) => ways.switch(&format!("ln -sT {} {}", word(&new), word(&link))),
            None if is_scanned || started != word(&new) => {}
            None => ways.switch(&format!(
                "# and a link to {} to where the supervisor looks for services, unless there is one",
                word(&new)
            )),
        }
        ways.back(&format!("touch {new_down} && {down} {started}"));
        ways.back(&format!("rm -f {old_down} && {up} {service}"));
        ways.back("# and over once more, as all is there then:");
        ways.back(&format!("# touch {old_down} && {down} {service}"));
        ways.back(&format!("# rm -f {new_down} && {up} {started}"));
    }

    /// What the new service is called, and whether it is there from an earlier switch.
    fn name(&self, start: &Start, dir: &Path, link: Option<&Path>) -> (String, bool) {
        let of = |name: &str| {
            (
                dir.with_file_name(name),
                link.map(|link| link.with_file_name(name)),
            )
        };
        let is_it = |name: &String| {
            let run = self.root.text(&of(name).0.join("run"));
            let run = run.unwrap_or_default();
            let written_for = Serve::written_for(&run);
            let old = self.root.canonical(&start.file);
            let is_shown = written_for == Some(&*comment(&start.file.display().to_string()));
            is_shown
                || written_for.is_some_and(|file| {
                    old.is_some() && self.root.canonical(Path::new(file)) == old
                })
        };
        let is_taken = |path: &Path| self.root.real(path).symlink_metadata().is_ok();
        let is_free = |name: &String| {
            let (dir, link) = of(name);
            !is_taken(&dir) && link.is_none_or(|link| !is_taken(&link) || self.leads(&link, &dir))
        };
        let names = || {
            let more = (2..100).map(|number| format!("{NAME}-mx{number}"));
            let first = [NAME.to_owned(), format!("{NAME}-mx")];
            first.into_iter().chain(more)
        };
        match names().find(is_it) {
            Some(name) => (name, true),
            None => {
                let free = names().find(is_free);
                (free.unwrap_or_else(|| format!("{NAME}-mx100")), false)
            }
        }
    }

    fn control(&self) -> Control {
        let has_sv = [
            "/usr/bin/sv",
            "/sbin/sv",
            "/usr/sbin/sv",
            "/bin/sv",
            "/usr/local/bin/sv",
            "/command/sv",
        ];
        match has_sv.iter().any(|path| self.has(path)) {
            true => SV,
            false => SVC,
        }
    }

    /// Where the supervisor finds the directory of a service by a link.
    fn link_to(&self, dir: &Path) -> Option<PathBuf> {
        let links = SCANNED.iter().flat_map(|place| {
            let entries = fs::read_dir(self.root.real(Path::new(place)))
                .into_iter()
                .flatten();
            let entries = entries.flatten();
            entries.map(|entry| Path::new(place).join(entry.file_name()))
        });
        let mut links = links.filter(|path| self.root.real(path).is_symlink());
        links.find(|path| self.root.canonical(path).as_deref() == Some(dir))
    }

    /// Whether a link leads to a directory, which may not be there yet.
    fn leads(&self, link: &Path, dir: &Path) -> bool {
        let place = link.parent().unwrap_or(link);
        let named = fs::read_link(self.root.real(link)).map(|to| plain(&place.join(to)));
        let is_there = self.root.canonical(link).as_deref() == Some(dir);
        is_there || named.is_ok_and(|named| named == dir)
    }
}

/// A directory that the log of the new service has to have.
#[derive(Debug, PartialEq, Eq)]
struct LogDir {
    before: PathBuf,
    after: PathBuf,
    /// Whether what is in it counts, as nobody writes there.
    is_read: bool,
}

/// The script of the log of the service in `new`: two of them cannot write to one directory. Gives the directories that are to be
/// made, too. `earlier`: the script that an earlier switch has put there, whose directories are its own.
fn log_script(
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
