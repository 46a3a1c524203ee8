//! The client's connection: addresses, greeting, relay permission, notes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::face::Faces;
use super::locals::Locals;
use super::notes::{Note, Notes};
use crate::base::trace::{self, Event, Whose};

/// The names of fields that somebody else tells: the client, its name server, whoever started an inetd
/// service. For `tell`.
pub const REMOTE_IP: &str = "remote_ip";
/// The key of `remote_host`, as plugins' objects have it.
pub const REMOTE_HOST: &str = "remote_host";
/// The key of `remote_info`.
pub const REMOTE_INFO: &str = "remote_info";
/// The key of `remote_port`.
pub const REMOTE_PORT: &str = "remote_port";
/// The key of `local_ip`.
pub const LOCAL_IP: &str = "local_ip";
/// The key of `local_port`.
pub const LOCAL_PORT: &str = "local_port";
/// The key of `hello_host`.
pub const HELLO_HOST: &str = "hello_host";
/// `remote_host` and `remote_info` of a client whose name nobody knows.
pub const UNKNOWN: &[u8] = b"Unknown";

/// What is known of the client. Undefined values are `None`, as in Perl. Every field may be
/// changed by a plugin.
#[derive(Debug, Default)]
pub struct Connection {
    /// What it is known by in the log, `NUMBER-TEXT`: no other has it, also after a restart. Empty where
    /// there is no client.
    pub id: RefCell<Rc<str>>,
    /// How many mail transactions have begun.
    pub transactions: Cell<u32>,
    /// The client's address as text.
    pub remote_ip: RefCell<Option<Vec<u8>>>,
    /// The PTR name, or `Unknown`.
    pub remote_host: RefCell<Option<Vec<u8>>>,
    /// `TCPREMOTEINFO`, or the same text as remote_host.
    pub remote_info: RefCell<Option<Vec<u8>>>,
    /// The client's port.
    pub remote_port: Cell<Option<i64>>,
    /// The address as text that the client has come to.
    pub local_ip: RefCell<Option<Vec<u8>>>,
    /// The port that the client has come to.
    pub local_port: Cell<Option<i64>>,
    /// `helo` or `ehlo` once the client has greeted.
    pub hello: RefCell<Option<Vec<u8>>>,
    /// The name in the client's greeting.
    pub hello_host: RefCell<Option<Vec<u8>>>,
    /// Whether the client may send to any host (`$connection->relay_client`).
    pub relay_client: Cell<bool>,
    /// Whether a plugin has said so or the opposite: a permission that nobody spoke of is
    /// undefined to plugins, a refused one is 0.
    pub relay_client_said: Cell<bool>,
    /// What plugins keep until the connection ends.
    pub notes: Notes,
    /// Values that plugins wrote in a form of their own.
    pub faces: Faces,
    /// What native plugins keep until the connection ends.
    pub locals: Locals,
}

impl Connection {
    /// Something has happened in its session, for who listens.
    pub(crate) fn tell_of(&self, event: &Event<'_>) {
        let ip = self.remote_ip.borrow();
        let whose = Whose {
            connection: &self.id.borrow(),
            transaction: self.transactions.get(),
            ip: ip.as_deref().unwrap_or_default(),
        };
        trace::tell(&whose, event);
    }

    /// A field of text has a value that is somebody else's.
    pub fn tell(&self, field: &'static str, kept: &RefCell<Option<Vec<u8>>>, value: Vec<u8>) {
        self.faces.set(field, Some(&value), Note::of_client(&value));
        kept.replace(Some(value));
    }

    /// A field with a port has a value that is somebody else's.
    pub fn tell_port(&self, field: &'static str, kept: &Cell<Option<i64>>, port: i64) {
        let note = Note::Tainted(Box::new(Note::Int(port)));
        self.faces
            .set(field, Some(port.to_string().as_bytes()), note);
        kept.set(Some(port));
    }

    /// A connection with the same client and notes but without greeting, as STARTTLS needs it
    /// (RFC 3207 section 4.2; `clone` of the original).
    pub fn without_greeting(&self) -> Connection {
        Connection {
            id: self.id.clone(),
            transactions: self.transactions.clone(),
            remote_ip: self.remote_ip.clone(),
            remote_host: self.remote_host.clone(),
            remote_info: self.remote_info.clone(),
            remote_port: self.remote_port.clone(),
            local_ip: self.local_ip.clone(),
            local_port: self.local_port.clone(),
            hello: RefCell::new(None),
            hello_host: RefCell::new(None),
            relay_client: self.relay_client.clone(),
            relay_client_said: self.relay_client_said.clone(),
            notes: self.notes.copy(),
            faces: self.faces.share(),
            locals: self.locals.share(),
        }
    }

    /// Holds what another held.
    pub fn take(&self, other: Connection) {
        let Connection {
            id,
            transactions,
            remote_ip,
            remote_host,
            remote_info,
            remote_port,
            local_ip,
            local_port,
            hello,
            hello_host,
            relay_client,
            relay_client_said,
            notes,
            faces,
            locals,
        } = other;
        self.id.swap(&id);
        self.transactions.swap(&transactions);
        self.remote_ip.swap(&remote_ip);
        self.remote_host.swap(&remote_host);
        self.remote_info.swap(&remote_info);
        self.remote_port.swap(&remote_port);
        self.local_ip.swap(&local_ip);
        self.local_port.swap(&local_port);
        self.hello.swap(&hello);
        self.hello_host.swap(&hello_host);
        self.relay_client.swap(&relay_client);
        self.relay_client_said.swap(&relay_client_said);
        self.notes.swap(&notes);
        self.faces.swap(&faces);
        self.locals.swap(&locals);
    }

    /// A connection with the same client and greeting but without notes: what destructors see
    /// that run because a session's connection ends.
    pub fn without_notes(&self) -> Connection {
        Connection {
            hello: self.hello.clone(),
            hello_host: self.hello_host.clone(),
            notes: Notes::default(),
            locals: Locals::default(),
            ..self.without_greeting()
        }
    }

    /// Whether HELO or EHLO was accepted.
    pub fn has_greeted(&self) -> bool {
        self.hello.borrow().is_some()
    }

    /// Whether it was EHLO.
    pub fn said_ehlo(&self) -> bool {
        self.hello.borrow().as_deref() == Some(b"ehlo")
    }
}
