//! The client of a session under test, and what there is to see when it has ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::mail::Connection;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that has connected. It says a line and hears the reply, one after the other.
pub struct Client {
    stream: BufReader<UnixStream>,
    session: JoinHandle<Ended>,
    greeting: Reply,
}

/// A reply as the client heard it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply(pub Vec<String>);

impl Reply {
    /// 250 and its like; 0 where there was no reply, as the connection is closed.
    pub fn code(&self) -> u16 {
        let first = self.0.first().and_then(|line| line.get(..3));
        first.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The texts of its lines, without the code.
    pub fn text(&self) -> String {
        let texts = self.0.iter().filter_map(|line| line.get(4..));
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// A message that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The reverse-path, with its `<>`.
    pub sender: String,
    /// The forward-paths, each with its `<>`.
    pub recipients: Vec<String>,
    /// The header as it was queued, in lines ending in LF.
    pub header: String,
    /// The body, in lines ending in LF.
    pub body: String,
    /// The transaction's notes that have a text.
    pub notes: BTreeMap<String, String>,
}

/// What a session has left behind.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// The messages that were taken ([`Site::taking_messages`](super::Site::taking_messages)).
    pub messages: Vec<Taken>,
    /// The connection's notes that have a text.
    pub notes: BTreeMap<String, String>,
    /// Lines of the log, without the number at their beginning.
    pub log: Vec<String>,
}

impl Ended {
    pub(super) fn see(&mut self, connection: &Connection) {
        self.notes = texts(&connection.notes);
    }

    /// Whether a line of the log has this in it.
    pub fn has_logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}

/// Notes that have a text, by their keys.
pub(super) fn texts(notes: &crate::mail::Notes) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let keys = notes.keys().into_iter();
    keys.filter_map(|key| Some((text(&key), text(&notes.bytes(&key)?))))
        .collect()
}

impl Client {
    pub(super) fn new(stream: UnixStream, session: JoinHandle<Ended>) -> Client {
        // A session that hangs is to fail its test.
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut client = Client {
            stream: BufReader::new(stream),
            session,
            greeting: Reply::default(),
        };
        client.greeting = client.reply();
        client
    }

    /// What the server has said first.
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// Says a line and hears the reply.
    pub fn say(&mut self, line: &str) -> Reply {
        self.send(&format!("{line}\r\n"));
        self.reply()
    }

    /// EHLO with this name.
    pub fn greet(&mut self, name: &str) -> Reply {
        self.say(&format!("EHLO {name}"))
    }

    /// DATA, and where the server wants it the message, with lines ending in LF. Gives the last reply.
    pub fn send_message(&mut self, message: &str) -> Reply {
        let reply = self.say("DATA");
        if reply.code() != 354 {
            return reply;
        }
        let lines = message.lines().map(|line| match line.starts_with('.') {
            true => format!(".{line}\r\n"),
            false => format!("{line}\r\n"),
        });
        let text: String = lines.collect();
        self.send(&format!("{text}.\r\n"));
        self.reply()
    }

    /// QUIT; what the session has left behind.
    pub fn quit(mut self) -> Ended {
        self.say("QUIT");
        self.hang_up()
    }

    /// Closes the connection without a word.
    pub fn hang_up(self) -> Ended {
        drop(self.stream);
        match self.session.join() {
            Ok(ended) => ended,
            // A panic outside of any plugin's call: the test's, then.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn send(&mut self, text: &str) {
        // An error: the server has closed, as the missing reply shows.
        let _ = self.stream.get_mut().write_all(text.as_bytes());
    }

    fn reply(&mut self) -> Reply {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            match self.stream.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return Reply(lines),
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return Reply(lines);
            }
        }
    }
}
