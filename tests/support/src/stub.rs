//! The servers that a config set's plugins talk to: small Perl programs of `tests/fixtures/stubs`.
//!
//! A stub prints `ready PORT` (0 where it listens on a unix socket), then what it hears, a line
//! each. One that says `ready PORT until its input ends` has processes of its own to end. An alarm
//! ends it in any case, so that none stays behind a suite that was killed.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long a stub may take to write down what it has.
const BEHIND: Duration = Duration::from_millis(60);

pub struct Stub {
    name: String,
    pub port: u16,
    child: Child,
    out: RefCell<BufReader<ChildStdout>>,
    ends_with_input: bool,
}

impl Stub {
    /// `line` is the stub's name and its arguments.
    pub fn start(line: &str, root: &Path) -> std::io::Result<Self> {
        let line = line.replace("@ROOT@", &root.display().to_string());
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let dir = crate::repository().join("tests/fixtures/stubs");
        // The alarm outlasts exec.
        let mut child = Command::new("perl")
            .args(["-e", "alarm 1200; exec $^X, @ARGV or die"])
            .arg(dir.join(&name))
            .args(words)
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?);
        let mut first = String::new();
        out.read_line(&mut first)?;
        let ready = first.strip_prefix("ready ").map(str::trim).unwrap_or("");
        let (port, rest) = ready.split_once(' ').unwrap_or((ready, ""));
        let Ok(port) = port.parse() else {
            child.kill().ok();
            child.wait().ok();
            return Err(std::io::Error::other(format!(
                "stub {name} did not start: {first}"
            )));
        };
        // What it wrote before it answered a plugin is in the pipe when the dialogue is over.
        rustix::io::ioctl_fionbio(out.get_ref(), true)?;
        Ok(Self {
            name,
            port,
            child,
            out: RefCell::new(out),
            ends_with_input: rest == "until its input ends",
        })
    }

    /// What stands for its port in the files of a set.
    pub fn placeholder(&self) -> String {
        format!("@{}@", self.name.to_uppercase())
    }

    /// What it has heard since the last call.
    pub fn harvest(&self) -> Vec<String> {
        let mut text = Vec::new();
        // It ends where there is nothing more at present; a stub may be behind what was sent to it.
        let mut out = self.out.borrow_mut();
        let mut before = usize::MAX;
        while before != text.len() {
            before = text.len();
            out.read_to_end(&mut text).ok();
            std::thread::sleep(BEHIND);
            out.read_to_end(&mut text).ok();
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(|line| format!("> {line}")).collect();
        if lines.is_empty() {
            return lines;
        }
        std::iter::once(format!("-- at {}", self.name))
            .chain(lines)
            .collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        for _ in 0..if self.ends_with_input { 300 } else { 0 } {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
