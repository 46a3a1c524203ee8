//! What every hook of a native plugin has of its session. What a certain hook has besides is in
//! contexts.rs.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::access::{NoteValues, Peek, SessionAccess};
use super::facade::{Auth, Client, Envelope, Local, Message, NotesHandle};
use super::failure::{Failure, HookResult, done};
use super::policy::Policy;
use super::services::{self, ConfigValue, Dns, Http, Store};
use crate::hook::{Arg, Hook, HookCall};
use crate::mail::{EnvelopeAddress, Shown};

/// The surroundings of any hook.
pub struct Cx<'a> {
    pub(super) session: &'a dyn SessionAccess,
    pub(super) call: &'a HookCall,
    pub(super) plugin: &'a Identity,
}

/// What a plugin's line says of it for all of its hooks.
pub(super) struct Identity {
    pub name: Rc<str>,
    pub policy: Policy,
}

impl<'a> Cx<'a> {
    /// The surroundings of one call.
    pub(super) fn new(
        session: &'a dyn SessionAccess,
        call: &'a HookCall,
        plugin: &'a Identity,
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
        &self.plugin.name
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
        Local(self.session.connection().locals.of(&self.plugin.name))
    }

    /// The plugin's own value of this transaction, made at first use; it ends with the transaction.
    pub fn transaction_local<T: Default + 'static>(&self) -> Local<T> {
        Local(self.session.transaction().locals.of(&self.plugin.name))
    }

    /// All values of a config name: a config hook's, else the file's lines, else the default. Empty where it
    /// has none. A config hook itself gets what the files say.
    pub async fn config_lines(&self, name: &str) -> Vec<Vec<u8>> {
        match self.hook() {
            Hook::Config => self.session.file_config(name),
            _ => self.session.config(name).await,
        }
    }

    /// Whether the map of a config name has a key, where Perl plugins have hooks that may give a map; they have
    /// been asked then, and the file too. None: [`Cx::config_map`] is what there is.
    pub async fn hooks_map_has(&self, name: &str, key: &[u8]) -> Result<Option<bool>, Failure> {
        self.session.map_has(name, key).await
    }

    /// Where the map of a config name is: NAME.cdb beside the file of that name; none where there is no such
    /// file.
    pub fn config_map(&self, name: &str) -> Option<PathBuf> {
        let mut path = self.session.config_path(name)?.into_os_string();
        path.push(".cdb");
        let path = PathBuf::from(path);
        path.exists().then_some(path)
    }

    /// A config value of the plugin's own type, made of the lines once for each version of them. What is
    /// wrong with one is a failure that names the file and the line.
    pub async fn config<T: ConfigValue>(&self, name: &str) -> Result<Rc<T>, Failure> {
        let lines = self.config_lines(name).await;
        services::parsed(name, lines.clone()).map_err(|wrong| {
            let line = lines.get(wrong.line).map_or(&b""[..], Vec::as_slice);
            let place = self.session.config_place(name, wrong.line, line);
            let place = place.unwrap_or_else(|| format!("config {name}, value {}", wrong.line + 1));
            Failure::new(format!("{place}: {}", wrong.text))
        })
    }

    /// What a note of the connection's that is a hash has under these keys, Perl's hashes too; none where there is no
    /// such note.
    pub async fn note_values(
        &self,
        note: &str,
        keys: &[&'static str],
    ) -> Result<Option<NoteValues>, Failure> {
        self.session.note_values(note, keys).await
    }

    /// Questions to the DNS.
    pub fn dns(&self) -> Dns {
        Dns(())
    }

    /// Questions to HTTP servers.
    pub fn http(&self) -> Http {
        Http(())
    }

    /// The name space of this name in the store that all sessions share. It is the same for a Perl plugin's `db` of
    /// that name, where config `store` names a store.
    pub fn store(&self, name: &str) -> Store<'a> {
        Store::new(self.session, self.plugin, self.hook(), name)
    }

    /// The plugin's own name space: that of its name.
    pub fn own_store(&self) -> Store<'a> {
        self.store(&self.plugin.name)
    }

    /// Runs what blocks in a thread of its own, while this session waits and others go on. It sees nothing of
    /// the session. A hook that is given up leaves it running, to its end.
    pub async fn offload<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        services::offload(self.session, work).await
    }

    /// Waits until the client says something, and for so long at most: who talks before the greeting is no
    /// mail client. Nothing that it has said is taken.
    pub async fn peek(&self, time: Duration) -> Peek {
        self.session.peek(time, false).await
    }

    /// The same, but what came together with the command under way does not count: a plugin that looks at the socket
    /// (`select` in Perl) does not see that either.
    pub async fn peek_beyond(&self, time: Duration) -> Peek {
        self.session.peek(time, true).await
    }

    /// A reply of the plugin's own, which is sent at once; DONE is the verdict then.
    pub async fn respond(&self, code: u16, text: impl AsRef<str>) -> Result<(), Failure> {
        let lines = text.as_ref().lines().map(|line| line.as_bytes().to_vec());
        match self.session.respond(code, lines.collect()).await {
            true => Ok(()),
            false => Err(Failure::new("the client is gone")),
        }
    }

    /// Ends the session after this hook, without a reply: `disconnect` and `post-connection` have run then. It
    /// gives the hook's verdict: `return cx.disconnect().await`.
    pub async fn disconnect(&self) -> HookResult {
        self.session.disconnect().await;
        done()
    }

    /// A keyword for the reply to this EHLO, with its parameters.
    pub fn capability(&self, line: &str) -> Result<(), Failure> {
        let visible = |byte: u8| matches!(byte, 32..=126);
        if line.is_empty() || !line.bytes().all(visible) {
            let shown = line.escape_debug();
            return Err(Failure::new(format!("'{shown}' is no keyword of EHLO's")));
        }
        let transaction = self.session.transaction();
        let mut capabilities = transaction.capabilities.borrow_mut();
        capabilities.push(line.as_bytes().to_vec());
        Ok(())
    }

    /// A log line in the form of a Perl plugin's. Levels: 0 LOGEMERG to 7 LOGDEBUG, which the argument
    /// `loglevel` of the plugin's line may move. A logging hook's own lines go nowhere, as they would not
    /// end.
    pub fn log(&self, level: u8, text: impl AsRef<[u8]>) {
        if self.hook() != Hook::Logging {
            let (hook, name) = (self.hook().name(), &self.plugin.name);
            let level = self.plugin.policy.level(level);
            self.session.log(level, hook, name, text.as_ref());
        }
    }

    /// What the session's lines of the log begin with, and what `$$` is to a Perl plugin: the session's number, or with
    /// `--log-pid` and outside of sessions this process's id.
    pub fn log_number(&self) -> u32 {
        self.session.log_number()
    }

    /// The hook's arguments behind the transaction, as docs/tables/hooks.md has them.
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

    /// The argument of this name as bytes; none where it is undefined.
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
