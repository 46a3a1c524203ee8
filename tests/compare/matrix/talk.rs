//! The client of one row: brings the session to the hook, and writes down what is said then.
//!
//! Every step is followed by a mark (`XMARK`, which plugin judge answers with 299): so no reply, one
//! and two are told apart without waiting.

use super::rows::Row;
use camelpost_oracle::client::visible;
use camelpost_support::connection::{Connection, Heard};
use std::time::Duration;

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

struct Line(Connection);

/// Holds the dialogue of a row.
pub fn hold(row: &Row, port: u16) -> Result<Said, String> {
    let wrong = |what: String| format!("{}: {what}", row.name());
    let connection = Connection::from(row.from, port);
    let mut line = Line(connection.map_err(|e| wrong(format!("no connection: {e}")))?);
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
        self.0.send(format!("{text}\r\n").as_bytes()).ok();
    }

    /// The next line without its end; `None` where the server closed.
    fn hear(&mut self) -> Result<Option<String>, &'static str> {
        match self.0.hear(REPLY) {
            Heard::Line(line) => Ok(Some(visible(line.strip_suffix(b"\r\n").unwrap_or(&line)))),
            Heard::Nothing => Err("nothing came"),
            Heard::Closed { .. } => Ok(None),
        }
    }

    /// Reads one whole reply, which has to have this code, and gives its last line.
    fn expect(&mut self, code: &str) -> Result<String, String> {
        loop {
            match self.hear() {
                Ok(Some(text)) if text.starts_with(&format!("{code}-")) => {}
                Ok(Some(text)) if text.starts_with(code) => return Ok(text),
                Ok(Some(text)) => return Err(format!("{code} expected: {text}")),
                Ok(None) => return Err(format!("{code} expected: the server closed")),
                Err(silence) => return Err(format!("{code} expected: {silence}")),
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
            match self.hear() {
                Ok(Some(text)) => {
                    if let Some(state) = text.strip_prefix("299 ") {
                        return Ok(Some(state.to_owned()));
                    }
                    if text.starts_with("354 ") {
                        self.send(&format!("{}\r\nXMARK", message.join("\r\n")));
                    }
                    replies.push(text);
                }
                Ok(None) => return Ok(None),
                Err(_) => return Err("no answer, and no end of the connection".to_owned()),
            }
        }
    }
}
