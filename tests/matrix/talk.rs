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
const REPLY: Duration = Duration::from_secs(20);
/// How long a command may be silent where a mark could become a part of a message.
const SILENCE: Duration = Duration::from_secs(5);
const AFTER: &[&str] = &["NOOP", "MAIL FROM:<after@example.net>"];

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
    match row.place.step {
        Some(step) if row.place.more.is_empty() => line.send(&format!("{step}\r\nXMARK")),
        Some(step) => {
            line.send(step);
            for more in row.place.more {
                if !line.asks_for_more(&mut said.replies).map_err(wrong)? {
                    break;
                }
                line.send(more);
            }
            line.send("XMARK");
        }
        None => line.send("XMARK"),
    }
    said.state = line.until_mark(&mut said.replies).map_err(wrong)?;
    if said.state.is_some() {
        let commands: Vec<String> = AFTER.iter().map(|c| format!("{c}\r\nXMARK")).collect();
        line.send(&format!("{}\r\nQUIT", commands.join("\r\n")));
        for command in AFTER {
            let mut replies = Vec::new();
            line.until_mark(&mut replies).map_err(wrong)?;
            said.after.push((command, replies));
        }
        let mut replies = Vec::new();
        line.until_mark(&mut replies).map_err(wrong)?;
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

    /// Reads one whole reply, which has to have this code.
    fn expect(&mut self, code: &str) -> Result<(), String> {
        loop {
            match self.hear(REPLY) {
                Heard::Line(text) if text.starts_with(&format!("{code}-")) => {}
                Heard::Line(text) if text.starts_with(code) => return Ok(()),
                Heard::Line(text) => return Err(format!("{code} expected: {text}")),
                Heard::Silence => return Err(format!("{code} expected: nothing came")),
                Heard::Closed => return Err(format!("{code} expected: the server closed")),
            }
        }
    }

    /// Reads the reply to a command that may ask for more, and may be silent.
    fn asks_for_more(&mut self, replies: &mut Vec<String>) -> Result<bool, String> {
        loop {
            match self.hear(SILENCE) {
                Heard::Line(text) => {
                    let (asks, whole) = (
                        text.starts_with('3'),
                        !text[..4.min(text.len())].ends_with('-'),
                    );
                    replies.push(text);
                    if whole {
                        return Ok(asks);
                    }
                }
                _ => return Ok(false),
            }
        }
    }

    /// Reads replies until the mark's; `None` where the server has closed before.
    fn until_mark(&mut self, replies: &mut Vec<String>) -> Result<Option<String>, String> {
        loop {
            match self.hear(REPLY) {
                Heard::Line(text) => match text.strip_prefix("299 ") {
                    Some(state) => return Ok(Some(state.to_owned())),
                    // A reply that came after its time: the mark is a line of the message now.
                    None if text.starts_with("354") => {
                        return Err("the reply to DATA came too late".to_owned());
                    }
                    None => replies.push(text),
                },
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
