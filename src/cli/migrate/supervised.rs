//! The way there and back where daemontools or runit starts the old server: a second service directory beside the old one, which is told
//! to stay down. Does none of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::root::{Root, plain};
use super::serve::Serve;
use super::shared::beside;
use super::start::Start;
use super::switch::{Machine, OWN, Ways, word};

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
        let new = dir.with_file_name("camelpost");
        // Somebody has switched before.
        let is_there = self.root.real(&new).is_dir();
        // Names with a dot are not looked at until all is in them.
        let made = match is_there {
            true => new.clone(),
            false => dir.with_file_name(".camelpost"),
        };
        let install = |ways: &mut Ways, name: &str| {
            let to = word(&made.join(name));
            ways.switch(&format!("install -D -m 755 {} {to}", own(name)));
        };
        install(ways, "run");
        if let Some(text) = self.root.text(&dir.join("log/run")) {
            let (text, dirs) = log_script(self.root, dir, &new, &text);
            ways.files.push((format!("{OWN}/log/run"), text));
            install(ways, "log/run");
            for (before, after) in dirs {
                let after = match after.strip_prefix(&new) {
                    Ok(inside) => made.join(inside),
                    Err(_) => after,
                };
                let (before, after) = (word(&before), word(&after));
                ways.switch(&format!(
                    "mkdir -p {after} && chown --reference={before} {after} && chmod --reference={before} {after}"
                ));
            }
        }
        let link = self.link_to(dir);
        let service = word(link.as_deref().unwrap_or(dir));
        let new_link = link.map(|link| link.with_file_name("camelpost"));
        let started = word(new_link.as_ref().unwrap_or(&new));
        let is_scanned = SCANNED
            .iter()
            .any(|place| dir.parent() == Some(Path::new(place)));
        let missing_link = new_link.filter(|link| !self.leads(link, &new));
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

/// The script of the log of the service in `new`: two of them cannot write to one directory. Gives the directories that are to be
/// made, too, before and now.
fn log_script(
    root: &Root,
    dir: &Path,
    new: &Path,
    text: &str,
) -> (String, Vec<(PathBuf, PathBuf)>) {
    let mut script = text.to_owned();
    let mut dirs: Vec<(PathBuf, PathBuf)> = Vec::new();
    let log = dir.join("log");
    for word in text.split_whitespace() {
        let word = word.trim_matches(['"', '\'', ';']);
        let before: PathBuf = plain(&log.join(word)).components().collect();
        let is_dir = |path: &Path| {
            let path = root.canonical(path);
            path.is_some_and(|path| root.real(&path).is_dir())
        };
        if word.is_empty() || log.starts_with(&before) || !is_dir(&before) {
            continue;
        }
        let after = match before.strip_prefix(dir) {
            // The script of the new service runs in the new directory.
            Ok(inside) if !word.starts_with('/') => new.join(inside),
            _ => {
                let after = beside(&before);
                script = script.replace(word, &after.display().to_string());
                after
            }
        };
        let is_new = dirs.iter().all(|(_, known)| *known != after);
        if is_new && !is_dir(&after) {
            dirs.push((before, after));
        }
    }
    (script, dirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_directories_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(Some(dir.path())).unwrap();
        for name in ["var/log/q", "srv/q/log/main", "srv/logs/q"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/var/log/q", dir.path().join("srv/q/log/link")).unwrap();
        let of = |script: &str| {
            let paths = [Path::new("/srv/q"), Path::new("/srv/camelpost")];
            let (text, dirs) = log_script(&root, paths[0], paths[1], script);
            let dirs = dirs.iter();
            let dirs: Vec<String> = dirs
                .map(|(before, after)| format!("{} {}", before.display(), after.display()))
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
        ] {
            let (text, dirs) = of(script);
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
        assert_eq!(of("multilog t ./main").1, [""; 0]);
        assert_eq!(
            of("svlogd /var/log/q"),
            ("svlogd /var/log/camelpost-q".to_owned(), vec![])
        );
    }
}
