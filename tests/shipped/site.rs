//! What the tests of what ships have in common: a directory with a config, the service started in it, and
//! whole sessions with it.

use std::fs;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitStatus};

use camelpost_support::process::as_root;
use rustix::process::Signal;

pub use camelpost_support::PATIENCE;

/// A directory as a fresh clone has it after `make run` has made what is missing.
pub struct Site(camelpost_support::Site);

impl Site {
    /// With the config directory that ships.
    pub fn shipped() -> Site {
        let site = Site::empty();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in fs::read_dir(root.join("config")).expect("config") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            fs::copy(&path, site.path("config").join(name)).expect("a copy");
        }
        symlink(root.join("compat-plugins"), site.path("compat-plugins")).expect("a link");
        site
    }

    /// The same with these lines as config/plugins, and plugins of the test's own.
    pub fn with_plugins(lines: &str) -> Site {
        let site = Site::shipped();
        fs::create_dir(site.path("own")).expect("a directory");
        site.config("plugin_dirs", "own\ncompat-plugins\n")
            .config("plugins", lines);
        site
    }

    pub fn empty() -> Site {
        let site = camelpost_support::Site::empty();
        fs::create_dir(site.path("Maildir")).expect("a directory");
        Site(site)
    }

    pub fn own(&self, name: &str, text: &str) -> &Site {
        fs::write(self.path("own").join(name), text).expect("a plugin");
        self
    }

    /// Starts the service in the directory and waits until it listens.
    pub fn start(&self) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camelpost"));
        command
            .args(["serve", "--config", "config", "--no-rdns"])
            .args(["--listen-address", "127.0.0.1:0", "--workers", "1"])
            .current_dir(self.root());
        as_root(&mut command);
        Daemon::start(command)
    }

    /// The messages in Maildir/new.
    pub fn mail(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("Maildir/new")) else {
            return Vec::new();
        };
        entries
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a message"))
            .collect()
    }
}

impl Deref for Site {
    type Target = camelpost_support::Site;

    fn deref(&self) -> &camelpost_support::Site {
        &self.0
    }
}

pub struct Daemon {
    daemon: camelpost_support::Daemon,
    pub address: SocketAddr,
}

impl Daemon {
    fn start(command: Command) -> Daemon {
        let mut daemon = camelpost_support::Daemon::spawn(command);
        daemon.wait_until_it_listens();
        let address = daemon.address.expect("an address");
        Daemon { daemon, address }
    }

    /// Waits for a new log line with this in it.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.daemon.log.next(text)
    }

    /// A session: each line is sent when the one before has its reply. Gives the replies,
    /// the greeting first; it ends where the server closes.
    pub fn talk(&self, lines: &[&str]) -> Vec<String> {
        let mut client = self.connect_silently();
        let mut replies = vec![client.reply()];
        for line in lines {
            match client.say(line) {
                reply if reply.is_empty() => break,
                reply => replies.push(reply),
            }
        }
        replies.retain(|reply| !reply.is_empty());
        replies
    }

    /// A message to these recipients; gives the replies from the first RCPT's on.
    pub fn send(&self, recipients: &[&str]) -> Vec<String> {
        let rcpt: Vec<_> = recipients
            .iter()
            .map(|recipient| format!("RCPT TO:<{recipient}>"))
            .collect();
        let message = "Subject: hello\r\nMessage-Id: <1@example.net>\r\n\r\nHello.\r\n.";
        let mut lines = vec!["EHLO client.example.net", "MAIL FROM:<a@example.net>"];
        lines.extend(rcpt.iter().map(String::as_str));
        lines.extend(["DATA", message, "QUIT"]);
        self.talk(&lines).split_off(3)
    }

    /// Stops it by INT, as the terminal does. All lines of the log, and how it ended.
    pub fn stop(mut self) -> (String, ExitStatus) {
        self.signal(Signal::INT);
        let status = self.daemon.wait();
        (self.daemon.log.whole(), status)
    }
}

impl Deref for Daemon {
    type Target = camelpost_support::Daemon;

    fn deref(&self) -> &camelpost_support::Daemon {
        &self.daemon
    }
}

impl DerefMut for Daemon {
    fn deref_mut(&mut self) -> &mut camelpost_support::Daemon {
        &mut self.daemon
    }
}
