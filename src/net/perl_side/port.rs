//! The session as Perl code reaches it: called from inside a Perl plugin, outside the runtime.
//! What runs session code again does so in a nested pump.

use std::rc::{Rc, Weak};

use super::pump::Left;
use crate::base::log::LOGINFO;
use crate::chain::Given;
use crate::hook::{Arg, Code, HookCall, Verdict};
use crate::mail::{Connection, Shown, Spool, Transaction};
use crate::net::session::Session;
use crate::net::session::driver::drive;
use crate::net::session::reentry;
use crate::perl::Sv;
use crate::perl::ffi::call::Unwind;
use crate::perl::ffi::stray;
use crate::perl::host::Host;
use crate::perl::host::port::{AuthFact, Own, Port};
use crate::perl::stdio;
use crate::session::{self, Machine, Outcome};
use crate::smtp::Reply;
use crate::watch;

/// A session in Perl's hands. Weak, since the host keeps it and the session keeps the host.
pub(crate) struct SessionPort(pub Weak<Session>);

impl SessionPort {
    fn session(&self) -> Result<Rc<Session>, Unwind> {
        // A port is entered only while its session runs; without one there is nobody to go
        // back to.
        self.0.upgrade().ok_or(Unwind::Exited(0))
    }

    fn host(&self) -> Result<Rc<Host>, Unwind> {
        let session = self.session()?;
        let perl = session.perl_side.as_ref().ok_or(Unwind::Exited(0))?;
        Ok(perl.host.clone())
    }

    /// Runs session code to its end while the Perl code that asked for it waits.
    fn nested(&self, session: &Rc<Session>, machine: Machine) -> Result<Outcome, Unwind> {
        // The runtime is the parent's: its events would be lost to it.
        if stray::is_stray_child() {
            let text = b"a forked child cannot run hooks of its parent's session\n";
            return Err(Unwind::Died(Sv::bytes(text)));
        }
        session.take_input_back();
        let run = session
            .pump
            .run_nested(session.id, drive(session.clone(), machine));
        let outcome = run.map_err(unwind)?;
        session.lend_input();
        Ok(outcome)
    }
}

/// How the Perl code goes on that waited for a nested pump.
fn unwind(left: Left) -> Unwind {
    match left {
        Left::Exited => Unwind::Exited(0),
        Left::Interrupted => Unwind::Died(Sv::bytes(match crate::watch::interrupt_reason() {
            crate::watch::Reason::Time => b"Interrupted: it has taken too long\n".as_slice(),
            crate::watch::Reason::Memory => b"Interrupted: it has taken too much memory\n",
        })),
    }
}

/// A session that is over in order leaves the Perl code that has ended it as an exit does.
fn left() -> Unwind {
    watch::excuse_exit();
    Unwind::Exited(0)
}

impl Port for SessionPort {
    fn connection(&self) -> Rc<Shown<Connection>> {
        match self.session() {
            Ok(session) => session.state.connection.borrow().clone(),
            Err(_) => Rc::new(Shown::new(Connection::default())),
        }
    }

    fn set_connection(&self, connection: Rc<Shown<Connection>>) {
        if let Ok(session) = self.session() {
            let old = session.state.connection.replace(connection);
            drop(old);
        }
    }

    fn transaction(&self) -> Rc<Shown<Transaction>> {
        match self.session() {
            Ok(session) => session.state.transaction.borrow().clone(),
            Err(_) => Rc::new(Shown::new(Transaction::default())),
        }
    }

    fn set_transaction(&self, transaction: Rc<Shown<Transaction>>) {
        if let Ok(session) = self.session() {
            let old = session.state.transaction.replace(transaction);
            drop(old);
        }
    }

    fn spool(&self) -> Rc<Spool> {
        match self.session() {
            Ok(session) => session.state.settings.spool.clone(),
            Err(_) => Rc::default(),
        }
    }

    fn auth(&self, what: AuthFact) -> Option<Vec<u8>> {
        let session = self.session().ok()?;
        reentry::auth_fact(&session.state, what).borrow().clone()
    }

    fn set_auth(&self, what: AuthFact, value: Option<Vec<u8>>) {
        if let Ok(session) = self.session() {
            reentry::auth_fact(&session.state, what).replace(value);
        }
    }

    fn authenticated(&self) -> Option<i64> {
        self.session()
            .ok()?
            .state
            .authenticated
            .get()
            .map(i64::from)
    }

    fn set_authenticated(&self, verdict: Option<i64>) {
        if let Ok(session) = self.session() {
            let verdict = verdict.and_then(|number| u16::try_from(number).ok());
            session.state.authenticated.set(verdict);
        }
    }

    fn command_counter(&self) -> u64 {
        self.session()
            .map(|session| session.state.commands.get())
            .unwrap_or_default()
    }

    fn set_command_counter(&self, count: u64) {
        if let Ok(session) = self.session() {
            session.state.commands.set(count);
        }
    }

    fn respond(&self, reply: Reply) -> bool {
        let (Ok(session), Ok(host)) = (self.session(), self.host()) else {
            return false;
        };
        let reply = reply.in_form(session.state.reply_form());
        // Perl runs already: the lines need not wait for it.
        let _ = session.flush_log();
        for text in reply.written() {
            let _ = host.log(LOGINFO, None, None, &[Sv::bytes(&text)]);
        }
        // What the plugin printed itself was said before.
        stdio::flush();
        session.note_reply(&reply);
        session.transport.queue(&reply);
        if session.is_taken() {
            return session.flush_taken().is_ok();
        }
        session.transport.flush_blocking()
    }

    fn run_hooks(&self, call: HookCall, respond: bool) -> Result<Verdict, Unwind> {
        let session = self.session()?;
        if !respond {
            if let Some(verdict) = session.in_place_of(&call) {
                return Ok(verdict);
            }
            return self.host()?.run_quiet(call);
        }
        let machine = session::run_hooks(session.state.clone(), call.hook, call.args);
        match self.nested(&session, machine)? {
            Outcome::Returned(verdict) => Ok(verdict),
            Outcome::Closed => Ok(Verdict::new(Code::Done)),
            Outcome::Disconnected => Err(left()),
        }
    }

    fn call_native(&self, id: i32, args: Vec<Arg>) -> Result<Verdict, Unwind> {
        let session = self.session()?;
        if stray::is_stray_child() {
            return Ok(Verdict::declined());
        }
        let Some(handler) = session.loaded.natives.get(id) else {
            return Ok(Verdict::declined());
        };
        let call = HookCall::with(handler.hook, args);
        match self.run_native(id, &call)? {
            Given::Verdict(verdict) => Ok(verdict),
            Given::Died(text) => Err(Unwind::Died(Sv::bytes(&[&text[..], b"\n"].concat()))),
            given => {
                let (name, hook) = (handler.plugin.as_bytes(), handler.hook);
                let listed = handler.listed.as_bytes();
                let guard = session.loaded.guards.of(listed, hook, true);
                let Some((level, text)) = guard.told(&given, name, hook) else {
                    return Ok(Verdict::declined());
                };
                self.host()?
                    .log(level, None, None, &[Sv::bytes(text.as_bytes())])?;
                Ok(guard.on_lateness().unwrap_or_else(Verdict::declined))
            }
        }
    }

    fn run_native(&self, id: i32, call: &HookCall) -> Result<Given, Unwind> {
        if let Some(given) = self.native_now(id, call) {
            return Ok(given);
        }
        let session = self.session()?;
        if stray::is_stray_child() {
            return Ok(Given::Nothing);
        }
        let (running, call) = (session.clone(), call.clone());
        let called = async move { running.call_native(id, &call).await };
        let run = session.pump.run_nested(session.id, called);
        run.map_err(unwind)
    }

    fn native_now(&self, id: i32, call: &HookCall) -> Option<Given> {
        let session = self.session().ok()?;
        let handler = session.loaded.natives.get(id)?;
        session.call_native_now(&handler, call)
    }

    fn reset_transaction(&self) -> Result<(), Unwind> {
        let session = self.session()?;
        self.nested(&session, session::reset_transaction(session.state.clone()))?;
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Unwind> {
        let session = self.session()?;
        let _ = self.nested(&session, session::disconnect(session.state.clone()));
        Err(left())
    }

    fn dispatch(&self, line: Vec<u8>) -> Result<(), Unwind> {
        let session = self.session()?;
        match self.nested(&session, session::dispatch(session.state.clone(), line))? {
            Outcome::Disconnected | Outcome::Closed => Err(left()),
            Outcome::Returned(_) => Ok(()),
        }
    }

    fn run_own(&self, own: Own) -> Result<Option<Vec<u8>>, Unwind> {
        let session = self.session()?;
        match self.nested(&session, reentry::machine(session.state.clone(), own))? {
            Outcome::Disconnected | Outcome::Closed => Err(left()),
            Outcome::Returned(verdict) => Ok(reentry::text_of(verdict)),
        }
    }

    fn client(&self) -> Option<Sv> {
        self.session().ok()?.client()
    }
}
