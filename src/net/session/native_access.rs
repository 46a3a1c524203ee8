//! A session in a worker with an interpreter, as native plugins reach it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::mail::{Connection, HeaderSlot, Shown, Transaction};
use crate::net::session::Session;
use crate::perl::host::Host;
use crate::plugin::SessionAccess;
use crate::plugin::tls::TlsAccess;

/// A session in a native plugin's hands.
pub(crate) struct NativeAccess(pub Rc<Session>);

impl SessionAccess for NativeAccess {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.0.state.connection.borrow().clone()
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.0.state.transaction.borrow().clone()
    }

    fn config<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Vec<Vec<u8>>> + 'a>> {
        Box::pin(self.0.config(name))
    }

    fn header<'a>(&'a self) -> Pin<Box<dyn Future<Output = Vec<u8>> + 'a>> {
        Box::pin(async {
            let transaction = self.transaction();
            if let HeaderSlot::Native(header) = &*transaction.header.borrow() {
                return header.bytes.clone();
            }
            let work = move |host: &Host| host.present.header_text(&transaction.data);
            self.0.perl(work).await.unwrap_or_default()
        })
    }

    fn log(&self, level: u8, hook: &'static str, plugin: &str, text: &str) {
        self.0.log(
            level,
            Some(hook),
            Some(plugin.to_owned()),
            text.as_bytes().to_vec(),
        );
    }
    fn tls(&self) -> Option<&dyn TlsAccess> {
        Some(self)
    }
}
