//! What native plugins reach where there is no session: `post-fork`, and lines of the log that belong to
//! none. Its connection and transaction are empty.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::access::{EditHeader, Later, Peek, SessionAccess};
use super::facade::Auth;
use super::failure::Failure;
use super::services::Job;
use crate::config::ConfigDir;
use crate::mail::{Connection, Shown, Transaction};

/// Writes a line of the log: level, hook, plugin, text.
type Log<'a> = dyn Fn(u8, &'static str, &str, &str) + 'a;

/// A process between its sessions.
pub struct NoSession<'a> {
    connection: Rc<Shown<Connection>>,
    transaction: Rc<Shown<Transaction>>,
    config: Option<&'a ConfigDir>,
    log: Box<Log<'a>>,
}

impl<'a> NoSession<'a> {
    /// A process with this configuration, whose lines go there.
    pub fn new(
        config: Option<&'a ConfigDir>,
        log: impl Fn(u8, &'static str, &str, &str) + 'a,
    ) -> NoSession<'a> {
        NoSession {
            connection: Rc::new(Shown::new(Connection::default())),
            transaction: Rc::new(Shown::new(Transaction::default())),
            config,
            log: Box::new(log),
        }
    }
}

impl SessionAccess for NoSession<'_> {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.connection.clone()
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.transaction.clone()
    }

    fn log_number(&self) -> u32 {
        crate::base::log::first_word(None)
    }

    fn auth(&self) -> Auth {
        Auth::default()
    }

    fn config<'a>(&'a self, name: &'a str) -> Later<'a, Vec<Vec<u8>>> {
        Box::pin(std::future::ready(self.file_config(name)))
    }

    fn file_config(&self, name: &str) -> Vec<Vec<u8>> {
        let lines = self.config.and_then(|config| config.lines(name).ok()?);
        lines.map(|lines| lines.to_vec()).unwrap_or_default()
    }

    fn header<'a>(&'a self) -> Later<'a, Result<Vec<u8>, Failure>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn edit_header<'a>(&'a self, _: EditHeader) -> Later<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn is_1_00(&self) -> bool {
        true
    }

    fn config_place(&self, name: &str, index: usize, line: &[u8]) -> Option<String> {
        self.config?.place_of(name, index, line)
    }

    /// As nobody waits beside this process: at once.
    fn offload<'a>(&'a self, job: Job) -> Later<'a, Result<(), Failure>> {
        job();
        Box::pin(std::future::ready(Ok(())))
    }

    fn peek<'a>(&'a self, _: Duration, _: bool) -> Later<'a, Peek> {
        Box::pin(std::future::ready(Peek::Gone))
    }

    fn respond<'a>(&'a self, _: u16, _: Vec<Vec<u8>>) -> Later<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn disconnect<'a>(&'a self) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &[u8]) {
        (self.log)(level, hook, plugin, &String::from_utf8_lossy(text));
    }

    fn config_path(&self, name: &str) -> Option<PathBuf> {
        self.config.map(|config| config.path(name))
    }
}
