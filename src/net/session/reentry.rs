//! The session's own code as Perl asks for it, and the calls of methods that Perl code has put in
//! its place: the same for a daemon's sessions and for those that scripts drive.

use std::cell::RefCell;
use std::rc::Rc;

use crate::hook::{Code, Verdict};
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;
use crate::perl::host::port::{AuthFact, Own};
use crate::session::{self, Called, Listed, Machine, MethodCall, Returned, State};

/// The machine for a piece of the session's own code.
pub(crate) fn machine(state: Rc<State>, own: Own) -> Machine {
    match own {
        Own::Command(verb, rest) => session::command(state, verb.into(), rest),
        Own::Response(hook, verdict, args) => session::respond_to(state, hook, verdict, args),
        Own::Queue => session::queue(state),
        Own::ReceivedLine => session::received_line(state),
        Own::StartConversation => session::start_conversation(state),
        Own::CleanResults => session::clean_results(state),
        Own::AddResults => session::add_results(state),
    }
}

/// The text that such a piece of code returns.
pub(crate) fn text_of(verdict: Verdict) -> Option<Vec<u8>> {
    match verdict.code {
        Code::Ok => verdict.values.into_iter().next().flatten(),
        _ => None,
    }
}

/// What the table of commands says about a verb.
pub(crate) fn listed(host: &Host, verb: &[u8]) -> Listed {
    match host.present.lists_verb(verb) {
        Some(true) => Listed::Yes,
        Some(false) => Listed::No,
        None => Listed::NoTable,
    }
}

/// Where a fact about the client's authentication stands.
pub(crate) fn auth_fact(state: &State, what: AuthFact) -> &RefCell<Option<Vec<u8>>> {
    match what {
        AuthFact::User => &state.auth_user,
        AuthFact::Mechanism => &state.auth_mechanism,
        AuthFact::Ticket => &state.auth_ticket,
    }
}

/// Calls a method that was replaced. Only an exit is an error.
pub(crate) fn call(host: &Host, call: &MethodCall) -> Result<Called, Unwind> {
    match host.present.call_replaced(call.method, &call.args) {
        Ok(values) => Ok(Called::Returned(Returned {
            first: values.first,
            verdict: values.verdict,
        })),
        Err(died @ Unwind::Died(_)) => Ok(Called::Died(died.message())),
        Err(exited) => Err(exited),
    }
}
