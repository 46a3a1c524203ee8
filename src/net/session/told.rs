//! What happens in a session, told to who listens (base/trace.rs).

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use crate::base::trace::{self, Event};
use crate::chain::Given;
use crate::mail::{Note, Transaction};
use crate::net::session::Session;
use crate::plugin::Handler;
use crate::session::State;
use crate::smtp::Reply;
use crate::watch::{QueueOutcome, RefusalStage};

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

/// Commands whose words are no secret.
const KNOWN: [&[u8]; 13] = [
    b"helo",
    b"ehlo",
    b"lhlo",
    b"mail",
    b"rcpt",
    b"data",
    b"bdat",
    b"rset",
    b"noop",
    b"help",
    b"vrfy",
    b"quit",
    b"starttls",
];

/// A command without what might be a password: of AUTH its mechanism is left, of what is no command (an
/// answer to an AUTH that was refused, for one) its length.
fn as_it_may_be_known(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.trim_ascii_start();
    let end = line.iter().position(|byte| !byte.is_ascii_alphabetic());
    let (verb, rest) = line.split_at(end.unwrap_or(line.len()));
    let known = verb.to_ascii_lowercase();
    if KNOWN.contains(&&known[..]) {
        return Cow::Borrowed(line);
    }
    let mechanisms: [&[u8]; 3] = [b"plain", b"login", b"cram-md5"];
    let word = rest.trim_ascii_start();
    let word = word
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    match known == b"auth" && mechanisms.contains(&&word.to_ascii_lowercase()[..]) {
        true if rest.trim_ascii().len() == word.len() => Cow::Borrowed(line),
        true => [verb, b" ", word, b" <hidden credentials>"].concat().into(),
        false => format!("<{} bytes>", line.len()).into_bytes().into(),
    }
}

/// Whether a reply has words of the command in it.
fn repeats(lines: &[Vec<u8>], command: &[u8]) -> bool {
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
    let words = command.split(u8::is_ascii_whitespace);
    let mut words = words
        .filter(|word| word.len() > 3)
        .map(<[u8]>::to_ascii_lowercase);
    words.any(|word| {
        let mut lines = lines.iter();
        lines.any(|line| memchr::memmem::find(line, &word).is_some())
    })
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
            let connection = self.state.connection.borrow().clone();
            connection.tell_of(event);
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

    /// The client is sent a reply, at this stage.
    pub(super) fn tell_reply(&self, stage: RefusalStage, reply: &Reply) {
        if trace::is_on() {
            let lines: Vec<Vec<u8>> = reply.written().collect();
            let notes = &self.state.connection.borrow().clone().notes;
            let said = notes.bytes(b"original_string");
            let said = said.filter(|_| self.state.has_command.get());
            let command = said.as_deref().map(as_it_may_be_known);
            let lines = match said.as_deref().zip(command.as_deref()) {
                // What is not known of a command is not in the reply either.
                Some((said, command)) if said != command && repeats(&lines, said) => {
                    vec![format!("{} <hidden>", reply.code).into_bytes()]
                }
                _ => lines,
            };
            self.tell(&Event::Replied {
                code: reply.code,
                stage: stage.name(),
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
    use super::{as_it_may_be_known, in_base_36, repeats};

    #[test]
    fn what_might_be_a_password_is_not_told() {
        let known = |line: &str| {
            String::from_utf8(as_it_may_be_known(line.as_bytes()).into_owned()).unwrap()
        };
        for line in ["RCPT TO:<a@b.example>", "quit", "AUTH LOGIN", "auth plain"] {
            assert_eq!(known(line), line);
        }
        assert_eq!(
            known("AUTH PLAIN AGEAc2VjcmV0"),
            "AUTH PLAIN <hidden credentials>"
        );
        assert_eq!(
            known(" auth\tplain\tAGEAc2VjcmV0"),
            "auth plain <hidden credentials>"
        );
        for line in [
            "AUTH \"PLAIN\" AGEAc2VjcmV0",
            "AUTHPLAIN AGEA",
            "AUTH=PLAIN x",
            "AUTH XOAUTH2 token",
            "cGFzc3dvcmQ=",
        ] {
            assert_eq!(known(line), format!("<{} bytes>", line.len()));
        }
        assert!(repeats(
            &[b"500 what is cgfzc3dvcmq=?".to_vec()],
            b"cGFzc3dvcmQ="
        ));
        assert!(!repeats(&[b"500 no".to_vec()], b"cGFzc3dvcmQ="));
    }

    #[test]
    fn numbers_are_short_in_base_36() {
        assert_eq!(in_base_36(0), "0");
        assert_eq!(in_base_36(35), "z");
        assert_eq!(in_base_36(36), "10");
        assert_eq!(in_base_36(36 * 36 * 36 - 1), "zzz");
    }
}
