//! What the running session offers to Perl code. The session's side implements it; this layer
//! knows nothing of its logic.

use std::rc::Rc;

use crate::chain::Given;
use crate::hook::{Arg, Hook, HookCall, Verdict};
use crate::mail::{Connection, Shown, Spool, Transaction};
use crate::perl::ffi::call::Unwind;
use crate::perl::ffi::value::Sv;
use crate::plugin::Handler;
use crate::smtp::Reply;

/// A session as Perl code sees it. Methods that may run Perl again return an `Unwind`, which
/// the caller must pass on.
pub trait Port {
    fn connection(&self) -> Rc<Shown<Connection>>;
    fn set_connection(&self, connection: Rc<Shown<Connection>>);
    fn transaction(&self) -> Rc<Shown<Transaction>>;
    fn set_transaction(&self, transaction: Rc<Shown<Transaction>>);
    fn spool(&self) -> Rc<Spool>;

    /// `auth_user`, `auth_mechanism`, `{auth}{ticket}`.
    fn auth(&self, what: AuthFact) -> Option<Vec<u8>>;
    fn set_auth(&self, what: AuthFact, value: Option<Vec<u8>>);
    /// `{_counter}` is set by somebody else.
    fn set_command_counter(&self, count: u64);
    /// The number of the verdict of the last AUTH.
    fn authenticated(&self) -> Option<i64>;
    fn set_authenticated(&self, verdict: Option<i64>);
    fn command_counter(&self) -> u64;

    /// Sends a reply at once. False if the client is gone.
    fn respond(&self, reply: Reply) -> bool;
    /// A hook's chain, and with `respond` what the session makes of the verdict.
    fn run_hooks(&self, call: HookCall, respond: bool) -> Result<Verdict, Unwind>;
    /// A native plugin's hook, called from Perl.
    fn call_native(&self, id: i32, args: Vec<Arg>) -> Result<Verdict, Unwind>;
    /// A native plugin's hook in a chain that Perl code waits for. Where there is no session, none is
    /// called.
    fn run_native(&self, _: i32, _: &HookCall) -> Result<Given, Unwind> {
        Ok(Given::Nothing)
    }
    /// Calls a native plugin's hook that never waits; `None` where it is no such hook.
    fn native_now(&self, _: i32, _: &HookCall) -> Option<Given> {
        None
    }
    /// A native plugin is loaded.
    fn know_native(&self, _: i32, _: &Handler) {}
    fn reset_transaction(&self) -> Result<(), Unwind>;
    /// Ends the session. A daemon's does not return to the plugin: that is an unwinding to the
    /// outermost call.
    fn disconnect(&self) -> Result<(), Unwind>;
    /// One command line, as if the client had sent it.
    fn dispatch(&self, line: Vec<u8>) -> Result<(), Unwind>;
    /// A piece of the session's own code, as a subclass calls it in its place.
    fn run_own(&self, own: Own) -> Result<Option<Vec<u8>>, Unwind>;
    /// A handle on the client, where there is one.
    fn client(&self) -> Option<Sv>;
}

/// A piece of the session's own code.
#[derive(Debug)]
pub enum Own {
    /// A command by its verb in lower case.
    Command(&'static str, Option<Vec<u8>>),
    /// What the session does with a hook's verdict.
    Response(Hook, Verdict, Vec<Arg>),
    /// Hands the message on.
    Queue,
    /// The text of the Received line.
    ReceivedLine,
    /// The connect hook and the greeting.
    StartConversation,
    /// Renames the Authentication-Results that came with the message.
    CleanResults,
    /// Adds our own.
    AddResults,
}

/// A fact about the client's authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFact {
    User,
    Mechanism,
    Ticket,
}
