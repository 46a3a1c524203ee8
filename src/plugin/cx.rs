//! What every hook of a native plugin has of its session. What a certain hook has besides is in
//! contexts.rs.

use std::rc::Rc;

use super::access::SessionAccess;
use super::facade::{Auth, Client, Envelope, Local, Message, NotesHandle};
use crate::hook::{Arg, Hook, HookCall};
use crate::mail::{EnvelopeAddress, Shown};

/// The surroundings of any hook.
pub struct Cx<'a> {
    pub(super) session: &'a dyn SessionAccess,
    pub(super) call: &'a HookCall,
    pub(super) plugin: &'a Rc<str>,
}

impl<'a> Cx<'a> {
    /// The surroundings of one call.
    pub(super) fn new(
        session: &'a dyn SessionAccess,
        call: &'a HookCall,
        plugin: &'a Rc<str>,
    ) -> Cx<'a> {
        Cx {
            session,
            call,
            plugin,
        }
    }

    /// The hook that runs.
    pub fn hook(&self) -> Hook {
        self.call.hook
    }

    /// The plugin's name, as other plugins and the log have it.
    pub fn plugin_name(&self) -> &str {
        self.plugin
    }

    /// The client: where it is and what it is called, whether it may relay, the connection's notes.
    pub fn client(&self) -> Client {
        Client::of(self.session.connection())
    }

    /// The transaction's sender, recipients and notes. There always is one, also before MAIL.
    pub fn envelope(&self) -> Envelope {
        Envelope::of(self.session.transaction())
    }

    /// The message: header and body.
    pub fn message(&self) -> Message<'a> {
        Message::of(self.session)
    }

    /// Who the client has shown to be.
    pub fn auth(&self) -> Auth {
        self.session.auth()
    }

    /// The connection's notes; the transaction's are the envelope's.
    pub fn notes(&self) -> NotesHandle {
        self.client().notes()
    }

    /// The plugin's own value of this session, made at first use; it ends with the connection.
    pub fn local<T: Default + 'static>(&self) -> Local<T> {
        Local(self.session.connection().locals.of(self.plugin))
    }

    /// The same of this transaction, with which it ends.
    pub fn transaction_local<T: Default + 'static>(&self) -> Local<T> {
        Local(self.session.transaction().locals.of(self.plugin))
    }

    /// All values of a config name: a config hook's, else the file's lines, else the default. Empty where it
    /// has none. A config hook itself gets what the files say.
    pub async fn config_lines(&self, name: &str) -> Vec<Vec<u8>> {
        match self.hook() {
            Hook::Config => self.session.file_config(name),
            _ => self.session.config(name).await,
        }
    }

    /// A log line in the form of a Perl plugin's. Levels: 0 LOGEMERG to 7 LOGDEBUG. A logging hook's own
    /// lines go nowhere, as they would not end.
    pub fn log(&self, level: u8, text: impl AsRef<str>) {
        if self.hook() != Hook::Logging {
            let hook = self.hook().name();
            self.session.log(level, hook, self.plugin, text.as_ref());
        }
    }

    /// The hook's arguments behind the transaction, as docs/hooks.md has them.
    pub fn args(&self) -> &'a [Arg] {
        &self.call.args
    }

    /// The argument that the table of hooks calls so, and those behind it.
    pub(super) fn args_from(&self, name: &str) -> &'a [Arg] {
        let mut known = self.call.hook.facts().args.iter();
        let at = known.position(|(known, _)| *known == name);
        at.and_then(|at| self.call.args.get(at..))
            .unwrap_or_default()
    }

    pub(super) fn bytes(&self, name: &str) -> &'a [u8] {
        self.given(name).unwrap_or(b"")
    }

    /// The same where undefined is not empty.
    pub(super) fn given(&self, name: &str) -> Option<&'a [u8]> {
        self.args_from(name).first().and_then(Arg::text)
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        match self.args_from(name).first() {
            Some(Arg::Int(number)) => *number,
            Some(other) => {
                let text = other.text().and_then(|text| std::str::from_utf8(text).ok());
                text.and_then(|text| text.parse().ok()).unwrap_or_default()
            }
            None => 0,
        }
    }

    pub(super) fn address(&self, name: &str) -> Option<Rc<Shown<EnvelopeAddress>>> {
        match self.args_from(name).first() {
            Some(Arg::Address(address)) => Some(address.clone()),
            _ => None,
        }
    }

    /// The value of a parameter of MAIL or RCPT (`SIZE=1000`); the name in any case.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        let pairs = self.args_from("parameters").chunks_exact(2);
        let mut found = pairs.filter_map(|pair| match pair {
            [key, value] if key.text()?.eq_ignore_ascii_case(name.as_bytes()) => value.text(),
            _ => None,
        });
        found.next()
    }
}
