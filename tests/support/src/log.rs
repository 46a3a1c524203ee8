//! What a daemon writes on standard error: through a pipe, or in a file that several processes share.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

pub struct Log {
    from: From,
    /// Lines before this one were found by `next`.
    seen: usize,
}

enum From {
    Pipe(Arc<Pipe>),
    File(PathBuf),
}

#[derive(Default)]
struct Pipe {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    /// The last process that had the other end is gone.
    ended: bool,
}

impl Log {
    /// Reads what comes there to its end, in a thread.
    pub fn of(stderr: impl Read + Send + 'static) -> Log {
        let pipe = Arc::<Pipe>::default();
        let writer = pipe.clone();
        thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|got| got > 0) {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                writer.said().lines.push(text);
                writer.more.notify_all();
                line.clear();
            }
            writer.said().ended = true;
            writer.more.notify_all();
        });
        Log::from(From::Pipe(pipe))
    }

    pub fn file(path: PathBuf) -> Log {
        Log::from(From::File(path))
    }

    fn from(from: From) -> Log {
        Log { from, seen: 0 }
    }

    pub fn lines(&self) -> Vec<String> {
        match &self.from {
            From::Pipe(pipe) => pipe.said().lines.clone(),
            From::File(path) => {
                let text = fs::read(path).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                text.lines().map(str::to_owned).collect()
            }
        }
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The first line with this in it; waits for it.
    pub fn wait_for(&self, text: &str) -> String {
        self.found(0, text).1
    }

    /// The first line with this in it behind the one that the last call has found.
    pub fn next(&mut self, text: &str) -> String {
        let (number, line) = self.found(self.seen, text);
        self.seen = number + 1;
        line
    }

    /// Everything so far; `next` goes on behind it.
    pub fn pass(&mut self) -> String {
        let lines = self.lines();
        self.seen = lines.len();
        lines.join("\n")
    }

    /// Waits until no process can write to the pipe any more, and gives everything.
    pub fn whole(&self) -> String {
        if let From::Pipe(pipe) = &self.from {
            let said = pipe.said();
            let more = &pipe.more;
            let waited = more.wait_timeout_while(said, PATIENCE, |said| !said.ended);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        self.text()
    }

    fn found(&self, from: usize, text: &str) -> (usize, String) {
        let end = Instant::now() + PATIENCE;
        let fits = |lines: &[String]| {
            let mut numbered = lines.iter().enumerate().skip(from);
            let found = numbered.find(|(_, line)| line.contains(text));
            found.map(|(number, line)| (number, line.clone()))
        };
        let From::Pipe(pipe) = &self.from else {
            loop {
                match fits(&self.lines()) {
                    Some(found) => return found,
                    None => assert!(Instant::now() < end, "{}", self.lacks(text)),
                }
                thread::sleep(Duration::from_millis(5));
            }
        };
        let mut said = pipe.said();
        loop {
            if let Some(found) = fits(&said.lines) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                drop(said);
                panic!("{}", self.lacks(text));
            }
            let waited = pipe.more.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lacks(&self, text: &str) -> String {
        format!("no log line with {text:?}; the log:\n{}", self.text())
    }
}

impl Pipe {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
