//! What a plugin that ends TLS asks of the session for which it does so. The handshake itself is the
//! network's, certificates and settings are the plugin's.

use std::future::Future;
use std::pin::Pin;

use openssl::ssl::Ssl;

use crate::hook::Hook;

/// What is under way in a session.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A session's client, which may begin with TLS; the network driver implements it.
pub trait TlsAccess {
    /// Sends a reply of one line at once.
    fn reply<'a>(&'a self, code: u16, text: &'static str) -> Pending<'a, ()>;

    /// The client begins with TLS now: what it sent before in clear is dropped, the session goes on with a
    /// connection that has not greeted and a new transaction (RFC 3207 section 4.2). An error says why
    /// there was no handshake; the session goes on in clear then. The client has less time for it than this
    /// plugin has for its hook.
    fn start<'a>(
        &'a self,
        ssl: Ssl,
        plugin: &'a str,
        hook: Hook,
    ) -> Pending<'a, Result<(), String>>;

    /// The reply to EHLO has this line.
    fn offer<'a>(&'a self, line: &'static str) -> Pending<'a, ()>;

    /// Nothing more is said within TLS.
    fn end<'a>(&'a self) -> Pending<'a, ()>;
}
