//! The client's connection in a native plugin's hands.

use std::net::IpAddr;
use std::rc::Rc;

use super::notes::NotesHandle;
use crate::mail::{Connection, Note, Shown};

/// The client: where it is, what it is called, what it has said in its greeting.
pub struct Client(Rc<Shown<Connection>>);

impl Client {
    pub(in crate::plugin) fn of(connection: Rc<Shown<Connection>>) -> Client {
        Client(connection)
    }

    /// The client's address; none where what a plugin or the environment has said is no address.
    pub fn ip(&self) -> Option<IpAddr> {
        parsed(self.0.remote_ip.borrow().as_deref())
    }

    /// The client's address as it was said, which may be none.
    pub fn ip_text(&self) -> String {
        text(self.0.remote_ip.borrow().as_deref())
    }

    /// The client's port.
    pub fn port(&self) -> Option<u16> {
        self.0
            .remote_port
            .get()
            .and_then(|port| port.try_into().ok())
    }

    /// The PTR name of the client's address, or `Unknown`. Nobody has checked it.
    pub fn host(&self) -> String {
        text(self.0.remote_host.borrow().as_deref())
    }

    /// `TCPREMOTEINFO`, or the same as the host.
    pub fn info(&self) -> String {
        text(self.0.remote_info.borrow().as_deref())
    }

    /// The address that the client has come to.
    pub fn local_ip(&self) -> Option<IpAddr> {
        parsed(self.0.local_ip.borrow().as_deref())
    }

    /// The port that the client has come to.
    pub fn local_port(&self) -> Option<u16> {
        self.0
            .local_port
            .get()
            .and_then(|port| port.try_into().ok())
    }

    /// The name in the client's greeting, once it has greeted.
    pub fn hello_host(&self) -> Option<Vec<u8>> {
        self.0.hello_host.borrow().clone()
    }

    /// Whether HELO or EHLO was accepted.
    pub fn has_greeted(&self) -> bool {
        self.0.has_greeted()
    }

    /// Whether it was EHLO.
    pub fn said_ehlo(&self) -> bool {
        self.0.said_ehlo()
    }

    /// Whether what the client says is encrypted.
    pub fn uses_tls(&self) -> bool {
        self.0.notes.is_true(b"tls_enabled")
    }

    /// Whether the client may send to any host (`relay_client`).
    pub fn may_relay(&self) -> bool {
        self.0.relay_client.get()
    }

    /// The client may send to any host, or may not.
    pub fn set_may_relay(&self, may: bool) {
        self.0.relay_client.set(may);
        self.0.relay_client_said.set(true);
        self.0.faces.clear("relay_client");
    }

    /// What plugins keep until the connection ends.
    pub fn notes(&self) -> NotesHandle {
        NotesHandle::of(&self.0.notes)
    }

    /// Sets a note of the connection, for what is written in one line.
    pub fn set_note(&self, key: &str, value: impl Into<Note>) {
        self.notes().set(key, value);
    }
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

fn parsed(value: Option<&[u8]>) -> Option<IpAddr> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}
