//! A directory with a config, the service started in it, and a client: what the tests of what
//! ships have in common. Every wait has an end.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory as a fresh clone has it after `make run` has made what is missing.
pub struct Site {
    pub dir: TempDir,
}

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
        let site = Site {
            dir: tempfile::tempdir().expect("a temporary directory"),
        };
        for name in ["config", "spool", "Maildir"] {
            fs::create_dir(site.path(name)).expect("a directory");
        }
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(site.path("spool"), private).expect("a mode");
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self, name: &str, text: &str) -> &Site {
        fs::write(self.path("config").join(name), text).expect("a config file");
        self
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
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if geteuid().is_root() {
            command.args(["--user", "root"]);
        }
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

pub struct Daemon {
    pub child: Child,
    log: Receiver<String>,
    lines: Vec<String>,
    pub address: SocketAddr,
}

impl Daemon {
    fn start(mut command: Command) -> Daemon {
        let mut child = command.spawn().expect("camelpost");
        let stderr = child.stderr.take().expect("its stderr");
        let (lines, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Daemon {
            child,
            log,
            lines: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let line = daemon.wait_for("Listening on ");
        let (_, address) = line.split_once("Listening on ").expect("an address");
        daemon.address = address.parse().expect("an address");
        daemon
    }

    /// Waits for a log line with this in it.
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("no log line with {text:?} in:\n{}", self.lines.join("\n"));
            };
            self.lines.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A session: each line is sent when the one before has its reply. Gives the replies,
    /// the greeting first; it ends where the server closes.
    pub fn talk(&self, lines: &[&str]) -> Vec<String> {
        let socket = TcpStream::connect_timeout(&self.address, PATIENCE).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut input = BufReader::new(socket.try_clone().expect("the socket again"));
        let mut output = socket;
        let mut replies = Vec::new();
        replies.extend(reply(&mut input));
        for line in lines {
            if output.write_all(format!("{line}\r\n").as_bytes()).is_err() {
                break;
            }
            match reply(&mut input) {
                Some(reply) => replies.push(reply),
                None => break,
            }
        }
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
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("a signal");
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("its status") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not stop"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        // The channel ends with the last process that has the other end.
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.lines.push(line);
        }
        (self.lines.join("\n"), status)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reply with all its lines; none at the end of the connection.
fn reply(input: &mut impl BufRead) -> Option<String> {
    let mut reply = String::new();
    loop {
        let start = reply.len();
        if input.read_line(&mut reply).unwrap_or(0) == 0 {
            return None;
        }
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return Some(reply.trim_end().to_owned());
        }
    }
}
