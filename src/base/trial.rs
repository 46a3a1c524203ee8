//! What `camelpost try` asks of its session, and what it is told of it: words between the process that shows and
//! the one that runs the session, an object of JSON a line. Does not know how either does it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The client that is to come, and what is taken for granted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub ip: IpAddr,
    /// Its name; none: it is looked up.
    pub host: Option<String>,
    /// Its session is one in TLS.
    pub tls: bool,
    /// It authenticates as this user, once it has greeted.
    pub auth: Option<String>,
    /// The hooks queue and queue_post run, too.
    pub queue: bool,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// 0 LOGEMERG to 7 LOGDEBUG.
    pub level: u8,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plugin: Option<String>,
    pub text: String,
}

/// Something that a plugin has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// `connection note`, `transaction note`, `header field`, `recipient`, `relay_client`, `transaction`.
    pub of: String,
    /// `added`, `changed`, `removed`.
    pub what: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// What a plugin's call came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub hook: String,
    pub plugin: String,
    pub native: bool,
    /// A verdict's name, or `died`, `too late`, `quarantined`, `undef`, `unsafe`.
    pub verdict: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    pub ms: f64,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lines: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<Change>,
}

/// What is told of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Told {
    /// The session begins.
    Connected { ip: String, host: String },
    /// A plugin was called.
    Plugin(Call),
    /// A line of the log that belongs to no call.
    Line(Line),
    /// The message would go to these plugins now, and does not.
    NotQueued { plugins: Vec<String> },
    /// Something is as if the client had done it.
    Assumed { text: String },
    /// A message has come to its end.
    Message {
        outcome: String,
        sender: String,
        recipients: Vec<String>,
        /// Bytes of the body.
        bytes: u64,
    },
    /// So many bytes were written to the client.
    Replied { bytes: usize },
    /// The session waits for the client: for a command, or for its message.
    Waits { in_message: bool },
    /// All hooks have run.
    Ended,
}
