//! What a client has had of what it may (`Limits`): errors, junk, commands, failures of AUTH. A client
//! that has had enough gets a 421 and is sent away; a message that is taken makes all but the failures
//! of AUTH be forgotten. Replies that a plugin has sent through the session count like the session's own.

use std::cell::Cell;

use crate::config::Limits;

/// In lower case: what a client may say for ever without bringing a message nearer.
const JUNK: [&[u8]; 6] = [b"helo", b"ehlo", b"rset", b"noop", b"vrfy", b"help"];

/// So many recipients beyond `recipient_limit` are no error: RFC 5321 4.5.3.1.10 has the client send
/// them again.
const OVERSHOOT: u64 = 1000;

/// What the client has had of each thing that is limited.
#[derive(Debug, Default)]
pub struct Counts {
    /// The present command has had a reply that refuses it.
    refused: Cell<bool>,
    /// That reply was a 4xx.
    for_now: Cell<bool>,
    errors: Cell<u64>,
    junk: Cell<u64>,
    commands: Cell<u64>,
    /// Recipients that a message could not have any more, and others that are to be tried again.
    overshoot: Cell<u64>,
    auth_failures: Cell<u64>,
    messages: Cell<u64>,
}

impl Counts {
    /// Messages that were taken.
    pub fn messages(&self) -> u64 {
        self.messages.get()
    }

    /// A reply goes to the client.
    pub(super) fn replied(&self, code: u16) {
        if code >= 400 {
            self.refused.set(true);
            self.for_now.set(code < 500);
        }
        if code == 535 {
            add(&self.auth_failures);
        }
    }

    /// The recipient that was refused was one too many for this message, and no error.
    pub(super) fn one_too_many(&self) {
        if add(&self.overshoot) <= OVERSHOOT {
            self.refused.set(false);
        }
        self.for_now.set(false);
    }

    /// A command is over. What there is too much of, in the words of the reply.
    pub(super) fn end(&self, verb: &[u8], limits: &Limits) -> Option<&'static str> {
        let refused = self.refused.take();
        if verb == b"data" && !refused {
            add(&self.messages);
            for count in [&self.errors, &self.junk, &self.commands, &self.overshoot] {
                count.set(0);
            }
            return None;
        }
        // A greylist has a client come back with each of its recipients.
        let for_now = refused && self.for_now.take();
        let again = verb == b"rcpt" && for_now && add(&self.overshoot) <= OVERSHOOT;
        if refused && !again {
            add(&self.errors);
        }
        if JUNK.contains(&verb) {
            add(&self.junk);
        }
        // Recipients have limits of their own.
        if verb != b"rcpt" {
            add(&self.commands);
        }
        let reached =
            |count: &Cell<u64>, limit: Option<u64>| limit.is_some_and(|limit| count.get() >= limit);
        if reached(&self.auth_failures, limits.auth_failures) {
            return Some("Too many failures of authentication");
        }
        if reached(&self.errors, limits.errors) {
            return Some("Too many errors");
        }
        // As many as the limit says have their replies.
        let exceeded =
            |count: &Cell<u64>, limit: Option<u64>| limit.is_some_and(|limit| count.get() > limit);
        if exceeded(&self.junk, limits.junk_commands) || exceeded(&self.commands, limits.commands) {
            return Some("Too many commands without a message");
        }
        None
    }
}

fn add(count: &Cell<u64>) -> u64 {
    let sum = count.get().saturating_add(1);
    count.set(sum);
    sum
}
