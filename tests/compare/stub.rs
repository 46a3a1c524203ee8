//! The servers that a config set's plugins talk to: small Perl programs of `tests/fixtures/stubs`.
//!
//! A stub prints `ready PORT` (0 where it listens on a unix socket), then what it hears, a line
//! each. It ends when its standard input does, so that none outlives the suite.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

pub struct Stub {
    name: String,
    pub port: u16,
    child: Child,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// `line` is the stub's name and its arguments.
    pub fn start(line: &str, root: &Path) -> std::io::Result<Self> {
        let line = line.replace("@ROOT@", &root.display().to_string());
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stubs");
        let mut child = Command::new("perl")
            .arg(dir.join(&name))
            .args(words)
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?);
        let mut first = String::new();
        out.read_line(&mut first)?;
        let port = first.strip_prefix("ready ").map(str::trim);
        let Some(port) = port.and_then(|port| port.parse().ok()) else {
            child.kill().ok();
            child.wait().ok();
            return Err(std::io::Error::other(format!(
                "stub {name} did not start: {first}"
            )));
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&heard);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                writer
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(format!("> {line}"));
            }
        });
        Ok(Self {
            name,
            port,
            child,
            heard,
        })
    }

    /// What stands for its port in the files of a set.
    pub fn placeholder(&self) -> String {
        format!("@{}@", self.name.to_uppercase())
    }

    /// What it has heard since the last call.
    pub fn harvest(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *heard);
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
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
