//! What happens in a session, told to who listens (base/trace.rs).

use std::time::{Instant, SystemTime};

use crate::base::trace::{self, Event, Whose};
use crate::chain::Given;
use crate::mail::{Note, Transaction};
use crate::net::session::Session;
use crate::plugin::Handler;
use crate::session::{State, without_credentials};
use crate::smtp::Reply;
use crate::watch::QueueOutcome;

/// Gives a connection its id, unless it has one: a session that goes on in another process keeps it. Numbers
/// begin anew with each start, and the time does not.
pub(super) fn name_connection(state: &State, number: Option<u32>) {
    let connection = state.connection.borrow();
    if connection.id.borrow().is_empty() {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = since.map_or(0, |since| since.as_millis());
        let number = number.unwrap_or_else(std::process::id);
        let id = format!("{number}-{}", in_base_36(time));
        let note = Note::Bytes(id.clone().into_bytes());
        connection.notes.set(b"connection_id", note);
        connection.id.replace(id.into());
    }
}

/// Digits and small letters.
fn in_base_36(mut number: u128) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        // Below 36.
        let digit = (number % 36) as u32;
        digits.extend(char::from_digit(digit, 36));
        number /= 36;
    }
    digits.iter().rev().collect()
}

impl Session {
    /// Something has happened in this session.
    pub(in crate::net) fn tell(&self, event: &Event<'_>) {
        if trace::is_on() {
            let connection = self.state.connection.borrow();
            let id = connection.id.borrow();
            let transaction = connection.transactions.get();
            let ip = connection.remote_ip.borrow();
            let whose = Whose {
                connection: &id,
                transaction,
                ip: ip.as_deref().unwrap_or_default(),
            };
            trace::tell(&whose, event);
        }
    }

    /// The session begins; its client's name was looked for.
    pub(super) fn tell_connected(&self) {
        if !trace::is_on() {
            return;
        }
        let connection = self.state.connection.borrow().clone();
        let data = &connection;
        let bytes = |kept: &std::cell::RefCell<Option<Vec<u8>>>| kept.borrow().clone();
        let (ip, host) = (bytes(&data.remote_ip), bytes(&data.remote_host));
        let local_ip = bytes(&data.local_ip);
        self.tell(&Event::Connected {
            ip: &ip.unwrap_or_default(),
            port: data.remote_port.get().unwrap_or_default(),
            host: &host.unwrap_or_default(),
            local_ip: &local_ip.unwrap_or_default(),
            local_port: data.local_port.get().unwrap_or_default(),
        });
    }

    /// The client is sent a reply.
    pub(in crate::net) fn tell_reply(&self, reply: &Reply) {
        if trace::is_on() {
            let lines: Vec<Vec<u8>> = reply.written().collect();
            let notes = &self.state.connection.borrow().clone().notes;
            let said = notes.bytes(b"original_string");
            let command = said.as_deref().map(without_credentials);
            self.tell(&Event::Replied {
                code: reply.code,
                lines: &lines,
                command: command.as_deref(),
            });
        }
    }

    /// A message has come to its end.
    pub(super) fn tell_message(&self, outcome: QueueOutcome, message: &Transaction) {
        if !trace::is_on() {
            return;
        }
        let sender = message.sender.borrow();
        let sender = sender.as_ref().map(|path| path.address.borrow().format());
        let recipients = message.recipients.borrow();
        let recipients: Vec<Vec<u8>> = recipients
            .iter()
            .map(|path| path.address.borrow().format())
            .collect();
        self.tell(&Event::Message {
            outcome: outcome.name(),
            sender: &sender.unwrap_or_default(),
            recipients: &recipients,
            size: message.body.borrow().size(),
        });
    }

    /// A native plugin was called; `began` is when.
    pub(super) fn tell_native(&self, handler: &Handler, began: Option<Instant>, given: &Given) {
        if let Some((began, came_to)) = began.zip(given.told()) {
            self.tell(&Event::Said {
                hook: handler.hook.name(),
                plugin: handler.plugin.as_bytes(),
                native: true,
                came_to,
                took: began.elapsed(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::in_base_36;

    #[test]
    fn numbers_are_short_in_base_36() {
        assert_eq!(in_base_36(0), "0");
        assert_eq!(in_base_36(35), "z");
        assert_eq!(in_base_36(36), "10");
        assert_eq!(in_base_36(36 * 36 * 36 - 1), "zzz");
    }
}
