//! What to do to switch from the old server to Camelpost, and back: the commands, for what starts the old one; those for daemontools and
//! runit are in supervised.rs, those for the rotation of logs in rotation.rs. Does none of it.

use std::path::Path;

use super::report::{Item, quoted};
use super::root::Root;
use super::serve::Serve;
use super::stage::{Instances, Own};
use super::start::{Kind, Start};

/// The directory in the copy that has what is not configuration.
pub(super) const OWN: &str = "migrated";
/// The drop-in there, and beneath /etc/systemd/system.
pub(super) const DROP_IN: &str = "camelpost.service.d/qpsmtpd.conf";

/// Where the control socket is of what camelpost.service starts (its RuntimeDirectory=): there may be other daemons.
const CONTROL: &str = "/run/camelpost/camelpost/*.sock";

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
    pub(super) fn has(&self, path: &str) -> bool {
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

    /// `instances`: those of camelpost@.service that are to be in the target again.
    pub(super) fn ways(
        &self,
        start: Option<&Start>,
        serve: &Serve,
        instances: Option<&Instances>,
    ) -> Ways {
        let mut ways = Ways::default();
        if let Some(instances) = instances {
            self.instances(&mut ways, instances);
        }
        let start = start.filter(|start| start.is_of_the_machine(self.root));
        match start {
            Some(start) if start.kind == Kind::Run => self.run(&mut ways, start, serve),
            start if self.has_systemd() => {
                self.systemd(&mut ways, start);
                return ways.end(&format!("camelpost ping --control {CONTROL}"));
            }
            Some(start) => self.init(&mut ways, &start.name, serve),
            None => {
                ways.switch("# stop the old server the way it is started, then:");
                ways.switch(&quoted(&serve.words()));
                ways.back("# stop Camelpost (`camelpost drain`), and start the old server");
            }
        }
        ways.end("camelpost ping")
    }

    fn instances(&self, ways: &mut Ways, instances: &Instances) {
        let Instances { kept, names, own } = instances;
        let new = self.target.join("instances");
        match own {
            Own::Missing => {
                ways.switch("# the instances of camelpost@.service, which are not in the copy:");
                ways.switch(&format!("mv {} {}", word(kept), word(self.target)));
            }
            Own::Directory(own) => {
                let (clash, free): (Vec<_>, Vec<_>) =
                    names.iter().partition(|name| own.contains(name));
                if !free.is_empty() {
                    ways.switch(
                        "# the instances of camelpost@.service, beside those that the copy has of its own:",
                    );
                    let names = free.iter().map(|name| format!(" {}", word(&kept.join(name))));
                    let names: String = names.collect();
                    ways.switch(&format!("mv -t {}{names}", word(&new)));
                }
                for name in clash {
                    ways.switch(&format!(
                        "# the instance {} in {} stays there, as the copy has one of that name, too: what differs is yours to move",
                        name.display(),
                        kept.display()
                    ));
                }
            }
            Own::Other => ways.switch(&format!(
                "# the instances of camelpost@.service in {} are yours to move: {} of the copy is no directory",
                kept.display(),
                new.display()
            )),
        }
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
            // systemd takes no template for a unit.
            Some(start) if start.kind == Kind::Unit && start.name.ends_with('@') => {
                let name = &start.name;
                ways.switch(&format!(
                    "systemctl stop {}",
                    text(&format!("{name}*.service"))
                ));
                ways.switch(&format!(
                    "# and each instance of {name}.service that is enabled, by its name: systemctl disable {name}NAME"
                ));
                ways.start();
                ways.back("systemctl disable --now camelpost");
                ways.back(&format!(
                    "# and each of these instances, by its name: systemctl enable --now {name}NAME"
                ));
                self.logrotate(
                    ways,
                    name.trim_end_matches('@'),
                    "systemctl reload camelpost",
                );
            }
            Some(start) => {
                let name = text(&start.name);
                // `--now` does nothing where an init script is the service.
                ways.switch(&format!("systemctl stop {name}"));
                ways.switch(&format!("systemctl disable {name}"));
                ways.start();
                ways.back("systemctl disable --now camelpost");
                ways.back(&format!("systemctl enable {name}"));
                ways.back(&format!("systemctl start {name}"));
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

    fn init(&self, ways: &mut Ways, given: &str, serve: &Serve) {
        let name = text(given);
        let script = word(&Path::new("/etc/init.d").join(given));
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
        ways.switch(&format!("{script} stop"));
        ways.switch(&off);
        let mut words = serve.words();
        words.extend(["--detach", "--pid-file", "/var/run/camelpost.pid"].map(str::to_owned));
        ways.switch(&quoted(&words));
        ways.switch("# and that line to where this machine starts its services");
        ways.back("kill $(cat /var/run/camelpost.pid)");
        ways.back(&on);
        ways.back(&format!("{script} start"));
        self.logrotate(ways, given, "camelpost reload");
    }
}

/// A path as a word of a shell's.
pub(super) fn word(path: &Path) -> String {
    text(&path.display().to_string())
}

/// A text as a word of a shell's.
fn text(text: &str) -> String {
    quoted(&[text.to_owned()])
}

impl Ways {
    pub(super) fn switch(&mut self, command: &str) {
        self.items.push(Item::Switch {
            command: command.to_owned(),
        });
    }

    /// Starts the unit, which may run already with the package's own configuration.
    fn start(&mut self) {
        self.switch("systemctl enable camelpost");
        self.switch("systemctl restart camelpost");
    }

    pub(super) fn back(&mut self, command: &str) {
        self.back.push(command.to_owned());
    }

    /// The way back comes behind the way there.
    fn end(mut self, ping: &str) -> Ways {
        self.switch(&format!("# and whether it serves: {ping}"));
        let back = std::mem::take(&mut self.back);
        self.items
            .extend(back.into_iter().map(|command| Item::Back { command }));
        self
    }
}
