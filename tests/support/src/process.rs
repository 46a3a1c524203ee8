//! Processes that tests have started: how they end, what the kernel says of them, who runs the tests.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;

use crate::PATIENCE;

/// The end of a process, if that comes in time.
pub fn wait_at_most(child: &mut Child, time: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + time;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        sleep(Duration::from_millis(5));
    }
}

pub fn wait(child: &mut Child) -> ExitStatus {
    wait_at_most(child, PATIENCE).unwrap_or_else(|| {
        let _ = child.kill();
        panic!("the process did not end")
    })
}

/// Tells a process to stop and waits for its end.
pub fn stop(child: &mut Child) -> ExitStatus {
    if let Ok(Some(status)) = child.try_wait() {
        return status;
    }
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    wait(child)
}

/// Starts a command with a socket as its standard input and output. The command is dropped, for it
/// holds the socket, too, and the client would not see its end.
pub fn on_socket(mut command: Command, socket: TcpStream) -> Child {
    let copy = socket.try_clone().unwrap();
    command.stdin(Stdio::from(OwnedFd::from(socket)));
    command.stdout(Stdio::from(OwnedFd::from(copy)));
    command.spawn().unwrap()
}

/// The children of a process, in the order of their start.
pub fn children(pid: u32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let numbers = children.split_whitespace().map(str::parse);
    numbers.filter_map(Result::ok).collect()
}

/// The most memory that a process has had, in kilobytes.
pub fn peak_memory(pid: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs one of the program's commands for the control socket.
pub fn ask(program: &str, control: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(words).arg("--control").arg(control);
    command.stdin(Stdio::null()).output().unwrap()
}

/// What a daemon answers on its control socket, without a process for the question: tests ask often.
fn status_of(control: &Path) -> Option<Value> {
    let mut socket = UnixStream::connect(control).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let question = b"{\"version\":1,\"command\":\"status\"}\n";
    socket.write_all(question).ok()?;
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).ok()?;
    let answer: Value = serde_json::from_str(&answer).ok()?;
    (answer["result"] == "status").then_some(answer)
}

/// What `camelpost status --json` shows; its complaint where there is none.
pub fn status(program: &str, control: &Path) -> Result<Value, String> {
    if let Some(status) = status_of(control) {
        return Ok(status);
    }
    let output = ask(program, control, &["status", "--json"]);
    match output.status.success() {
        true => serde_json::from_slice(&output.stdout).map_err(|error| error.to_string()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("status: {}", stderr.trim()))
        }
    }
}

/// Who runs the tests.
pub fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Root has to say as whom the service is to run: here as root.
pub fn as_root(command: &mut Command) {
    if is_root() {
        command.args(["--user", "root"]);
    }
}

/// The number of a user.
pub fn uid(name: &str) -> u32 {
    let entries = fs::read_to_string("/etc/passwd").unwrap();
    let mut entries = entries.lines().map(|line| line.split(':'));
    let entry = entries.find(|entry| entry.clone().next() == Some(name));
    entry.unwrap().nth(2).unwrap().parse().unwrap()
}
