//! The service with plugins of a test's, in a site of its own, as most suites need it.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::daemon::Daemon;
use crate::process::{as_root, uid};
use crate::repository;
use crate::site::Site;

pub struct Server {
    daemon: Daemon,
    pub port: u16,
    // After the daemon that runs there.
    pub site: Site,
}

/// How it is started.
#[derive(Default)]
pub struct Setup<'a> {
    /// Lines of config/plugins, and the file of each plugin that is the test's own.
    pub plugins: &'a [(&'a str, &'a str)],
    pub args: &'a [&'a str],
    pub environment: &'a [(&'a str, &'a str)],
    /// Further config files, or others in the place of the usual ones.
    pub config: &'a [(&'a str, &'a str)],
    /// The service's, and its plugins'; needs root.
    pub users: Option<[&'a str; 2]>,
}

impl Server {
    pub fn start(program: &str, setup: &Setup) -> Server {
        Server::start_in(Site::empty(), program, setup)
    }

    /// The same in a directory where a test has already put something.
    pub fn start_in(site: Site, program: &str, setup: &Setup) -> Server {
        let mut lines = String::new();
        for (name, text) in setup.plugins {
            lines += &format!("{name}\n");
            if !text.is_empty() {
                fs::write(site.path("plugins").join(name), text).unwrap();
            }
        }
        let shipped = repository().join("compat-plugins");
        site.config("plugins", lines)
            .config(
                "plugin_dirs",
                format!("@ROOT@/plugins\n{}\n", shipped.display()),
            )
            .config("spool_dir", "@ROOT@/spool\n")
            .config("me", "mx.example\n")
            .config("size_threshold", "1000\n")
            .config("loglevel", "6\n");
        for (name, text) in setup.config {
            site.config(name, text);
        }
        let mut command = match setup.users {
            None => Command::new(program),
            Some(users) => command_of(users, Path::new(program), &site),
        };
        command.args(["serve", "--config"]).arg(site.path("config"));
        command.args(["--listen-address", "127.0.0.1:0", "--no-rdns"]);
        command.args(["--max-from-ip", "0"]).args(setup.args);
        match setup.users {
            Some([user, worker]) => {
                command.args(["--user", user, "--worker-user", worker]);
            }
            None => as_root(&mut command),
        }
        command.envs(setup.environment.iter().copied());
        command.current_dir(site.root());
        let mut daemon = Daemon::spawn(command);
        daemon.wait_until_it_listens();
        let port = daemon.address.map_or(0, |address| address.port());
        Server { daemon, port, site }
    }

    /// Writes a config file while the server runs.
    pub fn config(&self, name: &str, text: &str) {
        self.site.config(name, text);
    }

    /// The files below a directory of the server's.
    pub fn files(&self, name: &str) -> Vec<std::path::PathBuf> {
        self.site.files(name)
    }
}

impl Deref for Server {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

/// The program, and in the site what these users need.
fn command_of([user, worker]: [&str; 2], built: &Path, site: &Site) -> Command {
    // The directory that it was built in may be closed to others.
    let program = site.path("camelpost");
    if fs::hard_link(built, &program).is_err() {
        fs::copy(built, &program).unwrap();
    }
    site.allow("", 0o755);
    chown(site.path("spool"), Some(uid(worker)), None).unwrap();
    let run = site.path("run");
    fs::create_dir(&run).unwrap();
    site.allow("run", 0o700);
    chown(&run, Some(uid(user)), None).unwrap();
    let mut command = Command::new(program);
    command.env("RUNTIME_DIRECTORY", run);
    command.env_remove("NOTIFY_SOCKET");
    command
}
