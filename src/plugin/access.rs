//! A session as native plugins reach it. The network's side implements it; plugins see the contexts
//! and facades over it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::facade::Auth;
use super::failure::Failure;
use super::services::Job;
use super::tls::TlsAccess;
use crate::hook::Hook;
use crate::mail::{Connection, EnvelopeAddress, Header, Shown, Transaction};
use crate::store::Backend;

/// What comes later, in a session.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What is to be done with a header.
pub type EditHeader = Box<dyn FnOnce(&mut Header)>;

/// What a client has done while it was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// It has said nothing, or nothing that can be seen: a Perl plugin reads it.
    Silent,
    /// It has said something.
    Spoke,
    /// It is gone.
    Gone,
}

/// The values of a hash, in the order of the keys that were asked for.
pub type NoteValues = Vec<Option<Vec<u8>>>;

/// A session as native plugins reach it.
#[doc(hidden)]
pub trait SessionAccess {
    /// The connection.
    fn connection(&self) -> Rc<Shown<Connection>>;
    /// The present transaction.
    fn transaction(&self) -> Rc<Shown<Transaction>>;
    /// Who the client has shown to be.
    fn auth(&self) -> Auth;
    /// All values of a config name: a config hook's, else the file's lines, else the default.
    fn config<'a>(&'a self, name: &'a str) -> Later<'a, Vec<Vec<u8>>>;
    /// The file's lines of a config name, else the default: what no config hook is asked for.
    fn file_config(&self, name: &str) -> Vec<Vec<u8>>;
    /// The message's header as it will be queued. Empty before DATA.
    fn header<'a>(&'a self) -> Later<'a, Result<Vec<u8>, Failure>>;
    /// Changes the header, where there is one.
    fn edit_header<'a>(&'a self, edit: EditHeader) -> Later<'a, Result<(), Failure>>;
    /// Whether the profile is that of qpsmtpd 1.00.
    fn is_1_00(&self) -> bool;
    /// Where a line of a config value stands: file and line.
    fn config_place(&self, name: &str, index: usize, line: &[u8]) -> Option<String>;
    /// The store; none where there are no plugins' calls.
    fn store(&self) -> Option<&Backend> {
        None
    }
    /// How long a call of a native plugin may take, by plugin_settings; none for any time.
    fn call_limit(&self, _plugin: &str, _hook: Hook) -> Option<Duration> {
        None
    }
    /// Runs it in a thread of its own; it has ended then, unless nobody waits any more.
    fn offload<'a>(&'a self, job: Job) -> Later<'a, Result<(), Failure>>;
    /// Waits for the client to say something; perhaps besides what was received already.
    fn peek<'a>(&'a self, time: Duration, beyond: bool) -> Later<'a, Peek>;
    /// Sends a reply at once. False if the client is gone.
    fn respond<'a>(&'a self, code: u16, lines: Vec<Vec<u8>>) -> Later<'a, bool>;
    /// Ends the session.
    fn disconnect<'a>(&'a self) -> Later<'a, ()>;
    /// What the session's lines of the log begin with; outside of sessions this process's id.
    fn log_number(&self) -> u32;
    /// A log line of the plugin in the hook. Levels: 0 LOGEMERG to 7 LOGDEBUG.
    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &[u8]);
    /// Whether the map of a config name has a key, as Perl's config hooks and files have it; none where no such
    /// hook can have a say.
    fn map_has<'a>(&'a self, _: &'a str, _: &'a [u8]) -> Later<'a, Result<Option<bool>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// All values of a config name for a recipient: a user_config hook's, else those for all.
    fn recipient_config<'a>(
        &'a self,
        name: &'a str,
        _: Rc<Shown<EnvelopeAddress>>,
    ) -> Later<'a, Vec<Vec<u8>>> {
        self.config(name)
    }
    /// What a note of the connection's that is a hash has under these keys; none where it is no hash.
    fn note_values<'a>(
        &'a self,
        _: &'a str,
        _: &'a [&'static str],
    ) -> Later<'a, Result<Option<NoteValues>, Failure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// The path of a config file; none where there is no config directory.
    fn config_path(&self, name: &str) -> Option<PathBuf>;
    /// The client's TLS, where it can have any.
    fn tls(&self) -> Option<&dyn TlsAccess> {
        None
    }
}
