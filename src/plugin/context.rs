//! What a native plugin's hook sees of its session.

use std::ops::Deref;
use std::rc::Rc;

use super::access::SessionAccess;
use crate::hook::{Arg, HookCall};
use crate::mail::{Connection, EnvelopeAddress, Shown, Transaction};

/// The surroundings of any hook.
pub struct Cx<'a> {
    session: &'a dyn SessionAccess,
    call: &'a HookCall,
    plugin: &'a str,
}

impl<'a> Cx<'a> {
    /// The surroundings of one call.
    pub fn new(session: &'a dyn SessionAccess, call: &'a HookCall, plugin: &'a str) -> Cx<'a> {
        Cx {
            session,
            call,
            plugin,
        }
    }

    /// The connection: who the client is, and notes.
    pub fn connection(&self) -> Rc<Shown<Connection>> {
        self.session.connection()
    }

    /// There always is one, also before MAIL.
    pub fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.session.transaction()
    }

    /// All values of a config name; empty where it has none.
    pub async fn config(&self, name: &str) -> Vec<Vec<u8>> {
        self.session.config(name).await
    }

    /// The message's header as it will be queued, lines ending in LF. Empty before DATA.
    pub async fn header(&self) -> Vec<u8> {
        self.session.header().await
    }

    /// A log line in the form of a Perl plugin's. Levels: 0 LOGEMERG to 7 LOGDEBUG.
    pub fn log(&self, level: u8, text: &str) {
        self.session
            .log(level, self.call.hook.name(), self.plugin, text);
    }

    /// The hook's arguments after the transaction (HOOKS in docs).
    pub fn args(&self) -> &[Arg] {
        &self.call.args
    }

    /// The argument that the table of hooks calls so, and those behind it.
    fn from(&self, name: &str) -> &[Arg] {
        let mut known = self.call.hook.facts().args.iter();
        let at = known.position(|(known, _)| *known == name);
        at.and_then(|at| self.call.args.get(at..))
            .unwrap_or_default()
    }

    fn bytes(&self, name: &str) -> &[u8] {
        let text = self.from(name).first().and_then(Arg::text);
        text.unwrap_or(b"")
    }

    fn address(&self, name: &str) -> Option<Rc<Shown<EnvelopeAddress>>> {
        match self.from(name).first() {
            Some(Arg::Address(address)) => Some(address.clone()),
            _ => None,
        }
    }

    /// The value of a parameter of MAIL or RCPT (`SIZE=1000`); the name in any case.
    fn parameter(&self, name: &str) -> Option<&[u8]> {
        let pairs = self.from("parameters").chunks_exact(2);
        let mut found = pairs.filter_map(|pair| match pair {
            [key, value] if key.text()?.eq_ignore_ascii_case(name.as_bytes()) => value.text(),
            _ => None,
        });
        found.next()
    }
}

macro_rules! contexts {
    ($($(#[$doc:meta])* $name:ident { $($method:item)* })*) => { $(
        $(#[$doc])*
        pub struct $name<'a>(pub Cx<'a>);

        impl<'a> Deref for $name<'a> {
            type Target = Cx<'a>;

            fn deref(&self) -> &Cx<'a> {
                &self.0
            }
        }

        impl<'a> From<Cx<'a>> for $name<'a> {
            fn from(context: Cx<'a>) -> Self {
                $name(context)
            }
        }

        impl $name<'_> { $($method)* }
    )* };
}

contexts! {
    /// HELO and EHLO.
    HelloCx {
        /// The name in the client's greeting.
        pub fn host(&self) -> &[u8] {
            self.bytes("host")
        }
    }
    /// MAIL.
    MailCx {
        /// The reverse-path.
        pub fn sender(&self) -> Option<Rc<Shown<EnvelopeAddress>>> {
            self.address("sender")
        }

        /// The value of a parameter, such as SIZE (bytes).
        pub fn param(&self, name: &str) -> Option<&[u8]> {
            self.parameter(name)
        }
    }
    /// RCPT.
    RcptCx {
        /// The forward-path.
        pub fn recipient(&self) -> Option<Rc<Shown<EnvelopeAddress>>> {
            self.address("recipient")
        }

        /// The value of a parameter.
        pub fn param(&self, name: &str) -> Option<&[u8]> {
            self.parameter(name)
        }
    }
}
