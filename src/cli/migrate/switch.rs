//! What to do to switch from the old server to Camelpost, and back: the commands, for what starts the old one. Does none of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::{Item, quoted};
use super::root::Root;
use super::serve::Serve;
use super::shared::beside;
use super::start::{Kind, Start};

/// The directory in the copy that has what is not configuration.
pub(super) const OWN: &str = "migrated";
/// The drop-in there, and beneath /etc/systemd/system.
pub(super) const DROP_IN: &str = "camelpost.service.d/qpsmtpd.conf";

/// Where daemontools and runit look for services.
const SCANNED: [&str; 3] = ["/service", "/etc/service", "/var/service"];

/// The way there, the way back, and the files for it in the copy.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) items: Vec<Item>,
    back: Vec<String>,
    /// Path in the copy, and text.
    pub(super) files: Vec<(String, String)>,
}

/// How services are started on that machine.
pub(super) struct Machine<'a> {
    pub(super) root: &'a Root,
    /// The directory of the copy.
    pub(super) target: &'a Path,
}

impl Machine<'_> {
    fn has(&self, path: &str) -> bool {
        self.root.real(Path::new(path)).exists()
    }

    pub(super) fn has_systemd(&self) -> bool {
        ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
            .iter()
            .any(|path| self.has(path))
    }

    /// Whether Camelpost's unit is installed.
    pub(super) fn has_unit(&self) -> bool {
        [
            "/etc/systemd/system",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
        ]
        .iter()
        .any(|dir| self.has(&format!("{dir}/camelpost.service")))
    }

    pub(super) fn ways(&self, start: Option<&Start>, serve: &Serve) -> Ways {
        let mut ways = Ways::default();
        match start {
            Some(start) if start.kind == Kind::Run => self.run(&mut ways, start, serve),
            start if self.has_systemd() => self.systemd(&mut ways, start),
            Some(start) => self.init(&mut ways, &start.name, serve),
            None => {
                ways.switch("# stop the old server the way it is started, then:");
                ways.switch(&quoted(&serve.words()));
                ways.back("# stop Camelpost (`camelpost drain`), and start the old server");
            }
        }
        ways.end()
    }

    fn systemd(&self, ways: &mut Ways, start: Option<&Start>) {
        if !self.has_unit() {
            ways.switch(
                "# first of all the package, which brings camelpost.service (packaging/README.md), then this command again:",
            );
            ways.switch("# its example is in /etc/camelpost then, and --force keeps that as /etc/camelpost.orig");
        }
        ways.switch(&format!(
            "install -D -m 644 {} /etc/systemd/system/{DROP_IN}",
            word(&self.target.join(OWN).join(DROP_IN))
        ));
        ways.switch("systemctl daemon-reload");
        match start {
            Some(start) => {
                // `--now` does nothing where an init script is the service.
                ways.switch(&format!("systemctl stop {}", start.name));
                ways.switch(&format!("systemctl disable {}", start.name));
                ways.start();
                ways.back("systemctl disable --now camelpost");
                ways.back(&format!("systemctl enable {}", start.name));
                ways.back(&format!("systemctl start {}", start.name));
                self.logrotate(ways, &start.name, "systemctl reload camelpost");
            }
            None => {
                ways.switch("# stop the old server the way it is started, then:");
                ways.start();
                ways.back("systemctl disable --now camelpost");
                ways.back("# start the old server the way it is started");
            }
        }
    }

    fn init(&self, ways: &mut Ways, name: &str, serve: &Serve) {
        let (off, on) = match self.has("/sbin/chkconfig") {
            true => (
                format!("chkconfig {name} off"),
                format!("chkconfig {name} on"),
            ),
            false => (
                format!("update-rc.d {name} disable"),
                format!("update-rc.d {name} enable"),
            ),
        };
        ways.switch(&format!("/etc/init.d/{name} stop"));
        ways.switch(&off);
        let mut words = serve.words();
        words.extend(["--detach", "--pid-file", "/var/run/camelpost.pid"].map(str::to_owned));
        ways.switch(&quoted(&words));
        ways.switch("# and that line to where this machine starts its services");
        ways.back("kill $(cat /var/run/camelpost.pid)");
        ways.back(&on);
        ways.back(&format!("/etc/init.d/{name} start"));
        self.logrotate(ways, name, "camelpost reload");
    }

    /// Rotation that restarts the old server would start it again.
    fn logrotate(&self, ways: &mut Ways, name: &str, reload: &str) {
        let file = format!("/etc/logrotate.d/{name}");
        let text = self.root.text(Path::new(&file)).unwrap_or_default();
        let restarts = [
            format!("/etc/init.d/{name} restart"),
            format!("invoke-rc.d {name} restart"),
            format!("service {name} restart"),
            format!("systemctl restart {name}"),
        ];
        let Some(restart) = restarts.iter().find(|restart| text.contains(*restart)) else {
            return;
        };
        let kept = word(&self.target.join(OWN).join("logrotate.orig"));
        ways.switch(&format!(
            "# {file} restarts the old server each time, which would start it again:"
        ));
        ways.switch(&format!("cp -a {file} {kept}"));
        ways.switch(&format!("sed -i 's|{restart}|{reload}|' {file}"));
        ways.back(&format!("cp -a {kept} {file}"));
    }

    fn run(&self, ways: &mut Ways, start: &Start, serve: &Serve) {
        let own = |name: &str| word(&self.target.join(OWN).join(name));
        ways.files
            .push((format!("{OWN}/run"), serve.run_script(start)));
        let real = self
            .root
            .canonical(&start.file)
            .unwrap_or_else(|| start.file.clone());
        let dir = real.parent().unwrap_or(Path::new("/"));
        let linked = self.link_to(dir);
        let has_sv = [
            "/usr/bin/sv",
            "/sbin/sv",
            "/usr/sbin/sv",
            "/bin/sv",
            "/usr/local/bin/sv",
            "/command/sv",
        ];
        let (down, up) = match has_sv.iter().any(|path| self.has(path)) {
            true => ("sv down", "sv up"),
            false => ("svc -d", "svc -u"),
        };
        // Names with a dot are not looked at until all is in them.
        let new = dir.with_file_name("camelpost");
        let hidden = dir.with_file_name(".camelpost");
        let run = word(&hidden.join("run"));
        ways.switch(&format!("install -D -m 755 {} {run}", own("run")));
        if let Some(text) = self.root.text(&dir.join("log/run")) {
            let (text, dirs) = self.log_script(&text);
            ways.files.push((format!("{OWN}/log/run"), text));
            let run = word(&hidden.join("log/run"));
            ways.switch(&format!("install -D -m 755 {} {run}", own("log/run")));
            for (before, after) in dirs {
                let (before, after) = (word(&before), word(&after));
                ways.switch(&format!(
                    "mkdir {after} && chown --reference={before} {after} && chmod --reference={before} {after}"
                ));
            }
        }
        let service = word(linked.as_deref().unwrap_or(dir));
        let (old_down, new_down) = (word(&dir.join("down")), word(&new.join("down")));
        let (new, hidden) = (word(&new), word(&hidden));
        ways.switch(&format!("touch {old_down} && {down} {service}"));
        ways.switch(&format!("mv {hidden} {new}"));
        let started = match &linked {
            Some(link) => {
                let link = word(&link.with_file_name("camelpost"));
                ways.switch(&format!("ln -s {new} {link}"));
                link
            }
            None if SCANNED
                .iter()
                .any(|place| dir.parent() == Some(Path::new(place))) =>
            {
                new.clone()
            }
            None => {
                ways.switch(&format!(
                    "# and a link to {new} to where the supervisor looks for services"
                ));
                new.clone()
            }
        };
        ways.back(&format!("touch {new_down} && {down} {started}"));
        ways.back(&format!("rm {old_down} && {up} {service}"));
        ways.back("# and over once more, as all is there then:");
        ways.back(&format!("# touch {old_down} && {down} {service}"));
        ways.back(&format!("# rm {new_down} && {up} {started}"));
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

    /// The script of the log: two of them cannot write to one directory. Gives the directories, too, before and now.
    fn log_script(&self, text: &str) -> (String, Vec<(PathBuf, PathBuf)>) {
        let mut text = text.to_owned();
        let mut dirs = Vec::new();
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        for word in words.iter().filter(|word| word.starts_with('/')) {
            let before: PathBuf = Path::new(word).components().collect();
            if self.root.real(&before).is_dir() {
                let after = beside(&before);
                text = text.replace(word, &after.display().to_string());
                dirs.push((before, after));
            }
        }
        (text, dirs)
    }
}

/// A path as a word of a shell's.
fn word(path: &Path) -> String {
    quoted(&[path.display().to_string()])
}

impl Ways {
    fn switch(&mut self, command: &str) {
        self.items.push(Item::Switch {
            command: command.to_owned(),
        });
    }

    /// Starts the unit, which may run already with the package's own configuration.
    fn start(&mut self) {
        self.switch("systemctl enable camelpost");
        self.switch("systemctl restart camelpost");
    }

    fn back(&mut self, command: &str) {
        self.back.push(command.to_owned());
    }

    /// The way back comes behind the way there.
    fn end(mut self) -> Ways {
        self.switch("# and whether it serves: camelpost ping");
        let back = std::mem::take(&mut self.back);
        self.items
            .extend(back.into_iter().map(|command| Item::Back { command }));
        self
    }
}
