//! TLS that ends in the session's own process: the client's handshake, and what the session is
//! afterwards. Does not know certificates, nor when a plugin begins with it.

use std::rc::Rc;
use std::time::Duration;

use openssl::ssl::{NameType, Ssl, SslRef};

use crate::base::log::LOGWARN;
use crate::hook::Hook;
use crate::mail::{Note, Shown};
use crate::net::session::driver::drive;
use crate::net::session::native_access::NativeAccess;
use crate::net::session::{FLUSH_TIMEOUT, Session};
use crate::perl::host::Host;
use crate::plugin::tls::{Pending, TlsAccess};
use crate::session;
use crate::smtp::Reply;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(60);

impl Session {
    /// Tells of what the client sent before the handshake: it was not protected by it, and is forgotten
    /// (RFC 3207 section 4.2).
    pub(in crate::net) fn ignore_clear_text(self: &Rc<Self>, forgotten: usize) {
        if forgotten > 0 {
            let text = format!("{forgotten} bytes sent before the handshake are ignored");
            self.log(LOGWARN, None, None, text.into_bytes());
        }
    }

    async fn start_tls(self: &Rc<Self>, ssl: Ssl, plugin: &str, hook: Hook) -> Result<(), String> {
        // The client is told before the plugin's call is given up.
        let guard = self.loaded.guards.of(plugin.as_bytes(), hook, true);
        let limit = guard.limit().map(|limit| limit.mul_f32(0.9));
        let time = limit.unwrap_or(HANDSHAKE).min(HANDSHAKE);
        self.transport.flush(FLUSH_TIMEOUT).await;
        let ahead = self.state.input.take().len();
        // The supervisor must not tell a client in clear that its worker has died.
        (self.on_secured)();
        let shaken = self.transport.start_tls(ssl, time).await;
        if let Err(failed) = shaken {
            self.state.input.borrow_mut().push(&failed.rest);
            return Err(failed.reason);
        }
        self.ignore_clear_text(ahead);
        if self.is_on() {
            // Perl code may wait for this hook, and print afterwards.
            self.transport.carry_stdio();
        }
        let connection = self.state.connection.borrow().data.without_greeting();
        let connection = Rc::new(Shown::new(connection));
        let old = self.state.connection.replace(connection.clone());
        drop(old);
        let reset = session::reset_transaction(self.state.clone());
        Box::pin(drive(self.clone(), reset)).await;
        if let Some(tls) = self.transport.tls() {
            let facts = tls.look(facts);
            let work = move |host: &Host| host.present.tls_socket(&facts);
            if let Some(socket) = self.perl(work).await {
                connection.data.notes.set(b"tls_socket", socket);
            }
        }
        connection
            .data
            .notes
            .set(b"tls_socket_is_duped", Note::Int(1));
        connection.data.notes.set(b"tls_enabled", Note::Int(1));
        Ok(())
    }

    /// The cipher of TLS that ends here.
    pub(in crate::net) fn cipher(&self) -> Option<Vec<u8>> {
        let cipher = self.transport.tls()?.cipher()?;
        Some(cipher.as_bytes().to_vec())
    }
}

/// What plugins may ask of `tls_socket`.
fn facts(ssl: &SslRef) -> Vec<(&'static str, Vec<u8>)> {
    let mut facts = vec![
        ("version", ssl.version_str().as_bytes().to_vec()),
        (
            "reused",
            u8::from(ssl.session_reused()).to_string().into_bytes(),
        ),
    ];
    if let Some(cipher) = ssl.current_cipher() {
        facts.push(("cipher", cipher.name().as_bytes().to_vec()));
    }
    if let Some(name) = ssl.servername(NameType::HOST_NAME) {
        facts.push(("servername", name.as_bytes().to_vec()));
    }
    if let Some(pem) = ssl.peer_certificate().and_then(|shown| shown.to_pem().ok()) {
        facts.push(("certificate", pem));
    }
    facts
}

impl TlsAccess for NativeAccess {
    fn reply<'a>(&'a self, code: u16, text: &'static str) -> Pending<'a, ()> {
        Box::pin(async move {
            let session = &self.0;
            let reply = Reply::lines(code, vec![text.as_bytes().to_vec()]);
            let reply = reply.in_form(session.state.reply_form());
            for text in reply.written() {
                session.log(crate::base::log::LOGINFO, None, None, text);
            }
            session.note_reply(&reply);
            session.transport.queue(&reply);
            session.transport.flush(FLUSH_TIMEOUT).await;
        })
    }

    fn start<'a>(
        &'a self,
        ssl: Ssl,
        plugin: &'a str,
        hook: Hook,
    ) -> Pending<'a, Result<(), String>> {
        Box::pin(self.0.start_tls(ssl, plugin, hook))
    }

    fn offer<'a>(&'a self, line: &'static str) -> Pending<'a, ()> {
        Box::pin(async move {
            let session = &self.0;
            if session.perl_side.is_some() {
                let work = move |host: &Host| {
                    host.present.add_capability(line);
                    Ok(())
                };
                session.perl(work).await;
                return;
            }
            let transaction = session.state.transaction.borrow().clone();
            let lines = transaction.data.notes.bytes(b"capabilities");
            let all = match lines {
                Some(lines) => [&lines[..], b"\n", line.as_bytes()].concat(),
                None => line.as_bytes().to_vec(),
            };
            transaction
                .data
                .notes
                .set(b"capabilities", Note::Bytes(all));
        })
    }

    fn end<'a>(&'a self) -> Pending<'a, ()> {
        Box::pin(async move {
            self.0.flush().await;
            if let Some(tls) = self.0.transport.tls() {
                tls.close();
            }
        })
    }
}
