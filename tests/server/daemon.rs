//! The daemon of this suite, which is this test program again, and a client that knows what its engine says.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use camelpost_support::process::as_root;
use tempfile::TempDir;

pub use camelpost_support::{until, wait};

pub struct Daemon {
    daemon: camelpost_support::Daemon,
    pub dir: TempDir,
}

/// This test program as the daemon, on a free port of 127.0.0.1, with its config in `dir`.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("serve").arg("--config").arg(dir.join("config"));
    if !args.contains(&"--listen-address") {
        command.args(["--listen-address", "127.0.0.1:0"]);
    }
    if !args.contains(&"--user") {
        as_root(&mut command);
    }
    command.args(args);
    // Its control socket is nobody else's business.
    command.env("RUNTIME_DIRECTORY", dir.join("run"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    // Where this suite runs under a service manager, that is not meant.
    command.env_remove("NOTIFY_SOCKET");
    command
}

pub fn config(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("config")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join("config").join(name), text).unwrap();
    }
    dir
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub fn start(args: &[&str]) -> Daemon {
        Daemon::start_with(config(&[]), args)
    }

    pub fn start_with(dir: TempDir, args: &[&str]) -> Daemon {
        let mut daemon = Daemon::begin(dir, args);
        daemon.wait_until_it_listens();
        daemon
    }

    /// Starts it and waits for nothing.
    pub fn begin(dir: TempDir, args: &[&str]) -> Daemon {
        let command = command(dir.path(), args);
        Daemon::spawn(dir, command)
    }

    /// The same for a command with an environment or descriptors of its own. It stays in the process group of
    /// the tests, so that a process that takes over lives on.
    pub fn spawn(dir: TempDir, mut command: Command) -> Daemon {
        Daemon::of(command.spawn().unwrap(), dir)
    }

    /// One that was started by itself.
    pub fn of(child: Child, dir: TempDir) -> Daemon {
        let daemon = camelpost_support::Daemon::of(child);
        Daemon { daemon, dir }
    }

    /// Waits for a new log line with this in it.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.daemon.log.next(text)
    }

    /// The lines that have come meanwhile, and those before.
    pub fn log(&mut self) -> String {
        self.daemon.log.pass()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address.unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
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

pub struct Client {
    client: camelpost_support::Client,
    pub greeting: String,
}

impl Client {
    /// Connects and reads the greeting.
    pub fn connect(address: SocketAddr) -> Client {
        let mut client = Client::without_greeting(address);
        client.greeting = client.line();
        client
    }

    pub fn without_greeting(address: SocketAddr) -> Client {
        Client {
            client: camelpost_support::Client::connect(address),
            greeting: String::new(),
        }
    }

    /// Sends a line, gives everything up to the end of the connection.
    pub fn end(&mut self, line: &str) -> String {
        self.send_line(line);
        self.rest()
    }

    /// Everything up to the end, which has to be one without a reset.
    pub fn rest(&mut self) -> String {
        self.client.try_rest().unwrap()
    }

    /// A value of the greeting.
    pub fn greeted(&self, key: &str) -> &str {
        self.greeting
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {key} in {:?}", self.greeting))
    }

    pub fn pid(&self) -> i32 {
        self.greeted("pid").parse().unwrap()
    }

    pub fn local_ip(&self) -> IpAddr {
        self.local_address().ip()
    }
}

impl Deref for Client {
    type Target = camelpost_support::Client;

    fn deref(&self) -> &camelpost_support::Client {
        &self.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut camelpost_support::Client {
        &mut self.client
    }
}
