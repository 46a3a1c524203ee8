//! The SMTP session as a state machine without I/O: it takes bytes, verdicts and config values
//! and gives steps (read, run a hook, get config, reply, close). The same machine serves the
//! network driver, calls from plugins (`run_hooks`, `reset_transaction`, `disconnect`) and
//! tests. Knows neither sockets nor tokio nor Perl.

#![forbid(unsafe_code)]

mod auth;
mod close;
mod commands;
mod core;
mod counts;
mod data;
mod enough;
mod envelope;
mod greeting;
mod header_lines;
mod machine;
mod other;
mod queue;
mod received;
mod replaced;
mod sasl;
mod state;
mod step;
#[cfg(test)]
mod tests;
mod waiting;

use std::rc::Rc;

use self::core::{Conversation, Flow};
use crate::hook::{Arg, Code, Hook, Method, Verdict};

pub use greeting::PRODUCT;
pub use machine::Machine;
pub use state::{Neighbours, Profile, SessionSettings, State};
pub use step::{
    Answered, Called, Listed, MethodCall, Outcome, Path, ReadEvent, Returned, Step, To,
};

/// A whole session, from pre-connection to post-connection.
pub fn conversation(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        // A session ends in one way only; how it came to that is in its log.
        let _ = session.converse().await;
        Outcome::Closed
    })
}

/// `$qp->run_hooks($hook, @args)`: the hook's chain, and then what the session does with its
/// verdict (for data_post: queueing).
pub fn run_hooks(state: Rc<State>, hook: Hook, args: Vec<Arg>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        let verdict = session.chain(hook, args.clone()).await;
        match session.conclude(hook, &verdict, &args).await {
            Err(_) => Outcome::Disconnected,
            // What a plugin gets is the responder's value then, which is true.
            Ok(()) if Method::responder(hook).is_some() => {
                Outcome::Returned(Verdict::new(Code::Other(b"1".to_vec())))
            }
            Ok(()) => Outcome::Returned(verdict),
        }
    })
}

/// `$qp->HOOK_respond($code, \@texts, \@args)`: what the session does with a verdict.
pub fn respond_to(state: Rc<State>, hook: Hook, verdict: Verdict, args: Vec<Arg>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        returned(session.respond_to(hook, &verdict, &args).await)
    })
}

/// `$qp->reset_transaction`.
pub fn reset_transaction(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        Conversation::new(state, steps)
            .reset_own_transaction()
            .await;
        returned(Ok(()))
    })
}

/// `$qp->disconnect`. It does not return to the plugin.
pub fn disconnect(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        Conversation::new(state, steps).end_session().await;
        Outcome::Disconnected
    })
}

/// `$qp->dispatch($line)`: one command line, without its line end.
pub fn dispatch(state: Rc<State>, line: Vec<u8>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        returned(session.obey(&line).await)
    })
}

/// `$qp->mail($rest)` and its like: a command by its verb in lower case.
pub fn command(state: Rc<State>, verb: Vec<u8>, rest: Option<Vec<u8>>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        returned(session.own_command(&verb, rest.as_deref()).await)
    })
}

/// `$qp->queue`: hands the message on.
pub fn queue(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        returned(session.queue_message().await)
    })
}

/// `$qp->received_line`: the text of the Received line, which under 0.94 is in the header then.
pub fn received_line(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        let text = session.make_received_line().await;
        Outcome::Returned(Verdict {
            values: vec![text],
            ..Verdict::new(Code::Ok)
        })
    })
}

/// `$qp->clean_authentication_results`: the results that came with the message are renamed.
pub fn clean_results(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        Conversation::new(state, steps).clean_results().await;
        returned(Ok(()))
    })
}

/// `$qp->authentication_results`: our own go into the header.
pub fn add_results(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        Conversation::new(state, steps).add_own_results().await;
        returned(Ok(()))
    })
}

/// `$qp->start_conversation`: the connect hook and the greeting, and no more.
pub fn start_conversation(state: Rc<State>) -> Machine {
    Machine::new(move |steps| async move {
        let session = Conversation::new(state, steps);
        returned(session.run_hooks(Hook::Connect, Vec::new()).await)
    })
}

fn returned(flow: Flow) -> Outcome {
    match flow {
        Ok(()) => Outcome::Returned(Verdict::new(Code::Ok)),
        Err(_) => Outcome::Disconnected,
    }
}
