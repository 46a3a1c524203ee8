//! A daemon under test, be it Camelpost's or the original's: started, known to be ready, asked for its log,
//! stopped. Dropped, it and all its processes are gone.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::client::Client;
use crate::log::Log;
use crate::process::{children, stop, wait, wait_at_most};
use crate::site::Site;
use crate::{PATIENCE, until};

pub struct Daemon {
    pub child: Child,
    pub log: Log,
    /// Where it said that it listens.
    pub address: Option<SocketAddr>,
    /// How long it may take to end by itself before it is killed.
    grace: Duration,
    /// Its processes are a group, unless they leave it.
    has_group: bool,
}

impl Daemon {
    /// Starts it, with a pipe for its log, in a process group of its own.
    pub fn spawn(mut command: Command) -> Daemon {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).process_group(0).spawn();
        let mut daemon = Daemon::of(started(child, &command));
        daemon.has_group = true;
        daemon
    }

    /// The same with the site's file for its log. Told to end, it has some seconds for that: the original
    /// passes it on to its children.
    pub fn logging_to(site: &Site, mut command: Command) -> Daemon {
        let daemon = Daemon::logging_to_file(site.log_path(), &mut command);
        started(daemon, &command)
    }

    /// The same with any file.
    pub fn logging_to_file(path: PathBuf, command: &mut Command) -> io::Result<Daemon> {
        let log = fs::File::options().append(true).create(true).open(&path)?;
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Daemon {
            child: command.spawn()?,
            log: Log::file(path),
            address: None,
            grace: Duration::from_secs(5),
            has_group: true,
        })
    }

    /// One that was started by itself, its standard error a pipe.
    pub fn of(mut child: Child) -> Daemon {
        let stderr = child.stderr.take().expect("its standard error is a pipe");
        Daemon {
            child,
            log: Log::of(stderr),
            address: None,
            grace: Duration::ZERO,
            has_group: false,
        }
    }

    pub fn wait_until_it_listens(&mut self) {
        let line = self.log.next("Listening on ");
        let (_, address) = line.split_once("Listening on ").unwrap();
        // In JSON the line goes on.
        let address = address.split('"').next().unwrap();
        self.address = Some(address.parse().unwrap());
        self.log.next("Running as user ");
    }

    /// Waits until `is_ready`, unless it ends before that; the error is what its log says.
    pub fn wait_until(&mut self, mut is_ready: impl FnMut() -> bool) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = self.log.text();
                return Err(format!("ended with {status} before it was ready:\n{log}"));
            }
            if is_ready() {
                return Ok(());
            }
            if Instant::now() > end {
                let log = self.log.text();
                return Err(format!("did not answer within {PATIENCE:?}:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Asks for a reload and does not wait.
    pub fn ask_for_reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Tells it to stop once its sessions have ended, and does not wait.
    pub fn tell_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it before it can do anything.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Tells it to stop and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        stop(&mut self.child)
    }

    /// The process that has loaded the plugins.
    pub fn zygote(&self) -> Pid {
        let first = children(self.child.id())[0];
        Pid::from_raw(first).unwrap()
    }

    /// The log so far.
    pub fn lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// How many lines of the log have this text.
    pub fn count(&self, text: &str) -> usize {
        let lines = self.log.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line of the log.
    pub fn wait_for(&self, text: &str) -> String {
        self.log.wait_for(text)
    }

    /// Asks for a reload and waits until it is done; the log level has to be 6.
    pub fn reload(&self) {
        let before = self.count("reloaded");
        self.ask_for_reload();
        until("a reload", || self.count("reloaded") > before);
    }

    /// Connects where it said that it listens, and does not wait for the greeting.
    pub fn connect_silently(&self) -> Client {
        Client::connect(self.address.expect("it has said where it listens"))
    }

    pub fn connect(&self) -> Client {
        let mut client = self.connect_silently();
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }
}

fn started<T>(child: io::Result<T>, command: &Command) -> T {
    child.unwrap_or_else(|error| panic!("{command:?}: {error}; packaging/install-deps test"))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.text());
        }
        let pid = self.pid();
        let is_there = matches!(self.child.try_wait(), Ok(None));
        if is_there && !self.grace.is_zero() {
            let _ = kill_process(pid, Signal::TERM);
            wait_at_most(&mut self.child, self.grace);
        }
        // Killing the supervisor takes zygote and idle workers along.
        let _ = self.child.kill();
        if self.has_group {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
