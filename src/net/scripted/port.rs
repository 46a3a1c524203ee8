//! The session of an object that a script drives, as Perl code reaches it.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};
use std::time::SystemTime;

use super::driver::{drive, print};
use crate::hook::{Arg, HookCall, Verdict};
use crate::mail::{Connection, Shown, Spool, Transaction};
use crate::net::session::reentry;
use crate::perl::Sv;
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;
use crate::perl::host::port::{AuthFact, Own, Port};
use crate::session::{self, Machine, Outcome, SessionSettings, State};
use crate::smtp::{Reply, ReplyForm};

/// The session of one object that a script has made.
pub(super) struct ScriptPort {
    host: Weak<Host>,
    /// Made when it is first needed, from the configuration as it is then.
    state: OnceCell<Rc<State>>,
    /// While the configuration is asked, which may be Perl code: what that code sees.
    early: OnceCell<Rc<State>>,
    /// An object of the class of a daemon's sessions: its end is that of the process.
    ends_process: bool,
}

impl ScriptPort {
    pub(super) fn new(host: &Rc<Host>, object: &Sv) -> ScriptPort {
        ScriptPort {
            host: Rc::downgrade(host),
            state: OnceCell::new(),
            early: OnceCell::new(),
            ends_process: object.is_a(c"Qpsmtpd::TcpServer"),
        }
    }

    fn host(&self) -> Result<Rc<Host>, Unwind> {
        self.host.upgrade().ok_or(Unwind::Exited(0))
    }

    fn state(&self) -> Rc<State> {
        if let Some(state) = self.state.get().or(self.early.get()) {
            return state.clone();
        }
        let early = self.early.get_or_init(|| self.make(super::settings(None)));
        let state = self.make(super::settings(self.host.upgrade().as_deref()));
        state.connection.replace(early.connection.borrow().clone());
        if early.transaction.borrow().has_object() {
            state
                .transaction
                .replace(early.transaction.borrow().clone());
        }
        self.state.get_or_init(|| state).clone()
    }

    fn make(&self, settings: SessionSettings) -> Rc<State> {
        let mut state = State::new(
            Rc::new(settings),
            Connection::default(),
            None,
            SystemTime::now(),
        );
        state.is_scripted = !self.ends_process;
        Rc::new(state)
    }

    fn run(&self, machine: impl FnOnce(Rc<State>) -> Machine) -> Result<Outcome, Unwind> {
        let (host, state) = (self.host()?, self.state());
        state.auth_mechanisms.replace(host.table.auth_mechanisms());
        let outcome = drive(&host, &state, machine(state.clone()))?;
        match outcome {
            Outcome::Disconnected if self.ends_process => Err(Unwind::Exited(0)),
            outcome => Ok(outcome),
        }
    }
}

impl Port for ScriptPort {
    fn connection(&self) -> Rc<Shown<Connection>> {
        self.state().connection.borrow().clone()
    }

    fn set_connection(&self, connection: Rc<Shown<Connection>>) {
        let old = self.state().connection.replace(connection);
        drop(old);
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        self.state().transaction.borrow().clone()
    }

    fn set_transaction(&self, transaction: Rc<Shown<Transaction>>) {
        let old = self.state().transaction.replace(transaction);
        drop(old);
    }

    /// The spool directory may be made by the first who asks.
    fn spool(&self) -> Rc<Spool> {
        self.state().settings.spool.clone()
    }

    fn auth(&self, what: AuthFact) -> Option<Vec<u8>> {
        reentry::auth_fact(&self.state(), what).borrow().clone()
    }

    fn set_auth(&self, what: AuthFact, value: Option<Vec<u8>>) {
        reentry::auth_fact(&self.state(), what).replace(value);
    }

    fn authenticated(&self) -> Option<i64> {
        self.state().authenticated.get().map(i64::from)
    }

    fn set_authenticated(&self, verdict: Option<i64>) {
        let verdict = verdict.and_then(|number| u16::try_from(number).ok());
        self.state().authenticated.set(verdict);
    }

    fn command_counter(&self) -> u64 {
        self.state().commands.get()
    }

    fn set_command_counter(&self, count: u64) {
        self.state().commands.set(count);
    }

    fn respond(&self, reply: Reply) -> bool {
        let reply = reply.in_form(ReplyForm::AsGiven);
        let printed = self.host().and_then(|host| print(&host, &reply));
        printed.unwrap_or(false)
    }

    fn run_hooks(&self, call: HookCall, respond: bool) -> Result<Verdict, Unwind> {
        if !respond {
            return self.host()?.run_quiet(call);
        }
        match self.run(|state| session::run_hooks(state, call.hook, call.args))? {
            Outcome::Returned(verdict) => Ok(verdict),
            Outcome::Closed | Outcome::Disconnected => Ok(Verdict::declined()),
        }
    }

    fn call_native(&self, _: i32, _: Vec<Arg>) -> Result<Verdict, Unwind> {
        Ok(Verdict::declined())
    }

    fn reset_transaction(&self) -> Result<(), Unwind> {
        self.run(session::reset_transaction)?;
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Unwind> {
        self.run(session::disconnect)?;
        Ok(())
    }

    fn dispatch(&self, line: Vec<u8>) -> Result<(), Unwind> {
        self.run(|state| session::dispatch(state, line))?;
        Ok(())
    }

    fn run_own(&self, own: Own) -> Result<Option<Vec<u8>>, Unwind> {
        match self.run(|state| reentry::machine(state, own))? {
            Outcome::Returned(verdict) => Ok(reentry::text_of(verdict)),
            Outcome::Closed | Outcome::Disconnected => Ok(None),
        }
    }

    fn client(&self) -> Option<Sv> {
        None
    }
}
