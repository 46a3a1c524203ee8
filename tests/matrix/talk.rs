//! The client of one row: brings the session to the hook, and writes down what is said then.
//!
//! Every step is followed by a mark (`XMARK`, which plugin judge answers with 299): so no reply, one
//! and two are told apart without waiting.

use super::rows::Row;
use crate::compare::client::{connect, visible};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a reply that must come may take.
const REPLY: Duration = Duration::from_secs(60);
const AFTER: &[&str] = &["NOOP", "MAIL FROM:<after@example.net>"];
/// What may come after a step, and the ends of a row.
pub const LATER: &[&str] = &[AFTER[0], AFTER[1], "QUIT"];
pub const ENDS: &[&str] = &["goes on", "closed", "the daemon ends"];

/// What was said in one row.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Said {
    pub replies: Vec<String>,
    /// What the session knew after the step; `None` where it was over.
    pub state: Option<String>,
    /// The replies to the commands after it, where it was not.
    pub after: Vec<(&'static str, Vec<String>)>,
    /// How the connection ended.
    pub end: &'static str,
}

impl Said {
    pub fn with_end(self, end: &'static str) -> Self {
        Self { end, ..self }
    }
}

struct Line {
    socket: TcpStream,
    ahead: Vec<u8>,
}

enum Heard {
    Line(String),
    Silence,
    Closed,
}

/// Holds the dialogue of a row.
pub fn hold(row: &Row, port: u16) -> Result<Said, String> {
    let wrong = |what: String| format!("{}: {what}", row.name());
    let socket = connect(row.from, port).map_err(|e| wrong(format!("no connection: {e}")))?;
    let mut line = Line {
        socket,
        ahead: Vec::new(),
    };
    let mut said = Said::default();
    if !row.place.is_first() {
        line.expect("220").map_err(wrong)?;
        for command in row.place.before() {
            line.send(command);
            line.expect("250").map_err(wrong)?;
        }
        line.send("XARM");
        line.expect("298").map_err(wrong)?;
    }
    let more = row.place.more;
    match row.place.step {
        // Where the reply is 354, this mark is a line of the message's header that is no field, and
        // vanishes.
        Some("DATA") => line.send("DATA\r\nXMARK"),
        Some(step) if more.is_empty() => line.send(&format!("{step}\r\nXMARK")),
        Some(step) => {
            line.send(step);
            for answer in more {
                said.replies.push(line.expect("334").map_err(wrong)?);
                line.send(answer);
            }
            line.send("XMARK");
        }
        None => line.send("XMARK"),
    }
    said.state = line.until_mark(&mut said.replies, more).map_err(wrong)?;
    if said.state.is_some() {
        let commands: Vec<String> = AFTER.iter().map(|c| format!("{c}\r\nXMARK")).collect();
        line.send(&format!("{}\r\nQUIT", commands.join("\r\n")));
        for command in AFTER {
            let mut replies = Vec::new();
            line.until_mark(&mut replies, &[]).map_err(wrong)?;
            said.after.push((command, replies));
        }
        let mut replies = Vec::new();
        line.until_mark(&mut replies, &[]).map_err(wrong)?;
        said.after.push(("QUIT", replies));
        said.end = "goes on";
    } else {
        said.end = "closed";
    }
    Ok(said)
}

impl Line {
    /// A server that has closed shows at the next read, so errors are not reported here.
    fn send(&mut self, text: &str) {
        self.socket.write_all(format!("{text}\r\n").as_bytes()).ok();
    }

    /// Reads one whole reply, which has to have this code, and gives its last line.
    fn expect(&mut self, code: &str) -> Result<String, String> {
        loop {
            match self.hear(REPLY) {
                Heard::Line(text) if text.starts_with(&format!("{code}-")) => {}
                Heard::Line(text) if text.starts_with(code) => return Ok(text),
                Heard::Line(text) => return Err(format!("{code} expected: {text}")),
                Heard::Silence => return Err(format!("{code} expected: nothing came")),
                Heard::Closed => return Err(format!("{code} expected: the server closed")),
            }
        }
    }

    /// Reads replies until the mark's, and sends the message when it is asked for; `None` where the
    /// server closes before.
    fn until_mark(
        &mut self,
        replies: &mut Vec<String>,
        message: &[&str],
    ) -> Result<Option<String>, String> {
        loop {
            match self.hear(REPLY) {
                Heard::Line(text) => {
                    if let Some(state) = text.strip_prefix("299 ") {
                        return Ok(Some(state.to_owned()));
                    }
                    if text.starts_with("354 ") {
                        self.send(&format!("{}\r\nXMARK", message.join("\r\n")));
                    }
                    replies.push(text);
                }
                Heard::Silence => return Err("no answer, and no end of the connection".to_owned()),
                Heard::Closed => return Ok(None),
            }
        }
    }

    fn hear(&mut self, wait: Duration) -> Heard {
        let until = Instant::now() + wait;
        loop {
            if let Some(end) = self.ahead.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Heard::Line(visible(line.strip_suffix(b"\r\n").unwrap_or(&line)));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            self.socket.set_read_timeout(Some(left)).ok();
            let mut buffer = [0; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) if self.ahead.is_empty() => return Heard::Closed,
                Ok(0) => return Heard::Line(visible(&std::mem::take(&mut self.ahead))),
                Ok(n) => self.ahead.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Heard::Silence;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Heard::Closed,
            }
        }
    }
}
