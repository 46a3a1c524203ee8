//! The way there and back where daemontools or runit starts the old server: a second service directory beside the old one, which is told
//! to stay down. Does none of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::log_script::log_script;
use super::report::comment;
use super::root::plain;
use super::serve::Serve;
use super::start::Start;
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
