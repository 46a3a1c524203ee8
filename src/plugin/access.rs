//! A session as native plugins reach it. The network's side implements it; plugins see the contexts
//! and facades over it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::mail::{Connection, Shown, Transaction};

/// What comes later, in a session.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A session as native plugins reach it.
#[doc(hidden)]
pub trait SessionAccess {
    /// The connection.
    fn connection(&self) -> Rc<Shown<Connection>>;
    /// The present transaction.
    fn transaction(&self) -> Rc<Shown<Transaction>>;
    /// All values of a config name: a config hook's, else the file's lines, else the default.
    fn config<'a>(&'a self, name: &'a str) -> Later<'a, Vec<Vec<u8>>>;
    /// The message's header as it will be queued. Empty before DATA.
    fn header<'a>(&'a self) -> Later<'a, Vec<u8>>;
    /// A log line of the plugin in the hook. Levels: 0 LOGEMERG to 7 LOGDEBUG.
    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &str);
}
