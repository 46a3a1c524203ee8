//! A daemon under test, and a client of it: start, look at the log, talk, stop. Every wait has
//! an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Daemon {
    pub child: Child,
    log: Receiver<String>,
    /// Every line of the log so far.
    pub lines: Vec<String>,
    pub address: Option<SocketAddr>,
    pub dir: TempDir,
}

/// This test program as the daemon, on a free port of 127.0.0.1, with its config in `dir`.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("serve").arg("--config").arg(dir.join("config"));
    if !args.contains(&"--listen-address") {
        command.args(["--listen-address", "127.0.0.1:0"]);
    }
    if !args.contains(&"--user") && rustix::process::geteuid().is_root() {
        command.args(["--user", "root"]);
    }
    command.args(args);
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

    /// The same for a command with an environment or descriptors of its own.
    pub fn spawn(dir: TempDir, mut command: Command) -> Daemon {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Daemon {
            child,
            log,
            lines: Vec::new(),
            address: None,
            dir,
        }
    }

    pub fn wait_until_it_listens(&mut self) {
        let line = self.wait_for("Listening on ");
        let (_, address) = line.split_once("Listening on ").unwrap();
        self.address = Some(address.parse().unwrap());
        self.wait_for("Running as user ");
    }

    /// Waits for a new log line with this in it.
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self
                .log
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.lines.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!(
                    "no log line with {text:?}; the log:\n{}",
                    self.lines.join("\n")
                ),
            }
        }
    }

    /// The lines that have come meanwhile.
    pub fn log(&mut self) -> String {
        self.lines.extend(self.log.try_iter());
        self.lines.join("\n")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address.unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Killing the supervisor takes zygote and idle workers along.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    panic!("the process did not end");
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
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
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream: BufReader::new(stream),
            greeting: String::new(),
        }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }

    pub fn say(&mut self, line: &str) {
        // In one write: the engine takes what one read gives for a line.
        self.stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
    }

    /// Sends a line, gives everything up to the end of the connection.
    pub fn end(&mut self, line: &str) -> String {
        self.say(line);
        self.rest()
    }

    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Whether nothing comes for a while.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(time)).unwrap();
        let silent = self.stream.fill_buf().is_err();
        self.stream
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        silent
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
        self.stream.get_ref().local_addr().unwrap().ip()
    }
}
