//! The session that Perl code sees while there is none: plugins are loaded, or a worker waits.

use std::cell::RefCell;
use std::rc::Rc;

use super::port::{AuthFact, Own, Port};
use crate::hook::{Arg, HookCall, Verdict};
use crate::mail::{Body, Connection, Shown, Spool, Transaction};
use crate::perl::ffi::call::Unwind;
use crate::perl::ffi::value::Sv;
use crate::perl::host;
use crate::smtp::Reply;

/// The session that Perl code sees where there is none.
pub(in crate::perl) struct Idle {
    spool: Rc<Spool>,
    connection: RefCell<Rc<Shown<Connection>>>,
    transaction: RefCell<Rc<Shown<Transaction>>>,
}

impl Idle {
    pub(in crate::perl) fn new(spool: Rc<Spool>) -> Idle {
        let transaction = Transaction {
            body: Body::new(spool.clone()).into(),
            ..Transaction::default()
        };
        Idle {
            spool,
            connection: RefCell::new(Rc::new(Shown::new(Connection::default()))),
            transaction: RefCell::new(Rc::new(Shown::new(transaction))),
        }
    }

    fn no_session(what: &str) -> Unwind {
        Unwind::Died(Sv::bytes(
            format!("{what}: there is no session\n").as_bytes(),
        ))
    }
}

impl Port for Idle {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.connection.borrow().clone()
    }

    fn set_connection(&self, connection: Rc<Shown<Connection>>) {
        let old = self.connection.replace(connection);
        drop(old);
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.transaction.borrow().clone()
    }

    fn set_transaction(&self, transaction: Rc<Shown<Transaction>>) {
        let old = self.transaction.replace(transaction);
        drop(old);
    }

    fn spool(&self) -> Rc<Spool> {
        self.spool.clone()
    }

    fn auth(&self, _: AuthFact) -> Option<Vec<u8>> {
        None
    }

    fn set_auth(&self, _: AuthFact, _: Option<Vec<u8>>) {}

    fn authenticated(&self) -> Option<i64> {
        None
    }

    fn set_authenticated(&self, _: Option<i64>) {}

    fn command_counter(&self) -> u64 {
        0
    }

    fn set_command_counter(&self, _: u64) {}

    fn respond(&self, _: Reply) -> bool {
        false
    }

    fn run_hooks(&self, call: HookCall, _: bool) -> Result<Verdict, Unwind> {
        match host::current() {
            Ok(host) => host.run_quiet(call),
            Err(_) => Ok(Verdict::declined()),
        }
    }

    fn call_native(&self, _: i32, _: Vec<Arg>) -> Result<Verdict, Unwind> {
        Err(Idle::no_session("a native plugin's hook"))
    }

    fn reset_transaction(&self) -> Result<(), Unwind> {
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Unwind> {
        Err(Idle::no_session("disconnect"))
    }

    fn dispatch(&self, _: Vec<u8>) -> Result<(), Unwind> {
        Err(Idle::no_session("dispatch"))
    }

    fn run_own(&self, _: Own) -> Result<Option<Vec<u8>>, Unwind> {
        Err(Idle::no_session("a method of the session"))
    }

    fn client(&self) -> Option<Sv> {
        None
    }
}
