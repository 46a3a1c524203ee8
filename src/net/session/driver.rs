//! Carries out a session's steps.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::SystemTime;

use crate::hook::Verdict;
use crate::log::LOGERROR;
use crate::net::session::Session;
use crate::net::session::reentry;
use crate::perl::grammar;
use crate::perl::host::Host;
use crate::plugin::NativeParser;
use crate::session::{Called, Listed, Machine, Outcome, Returned, Step};
use crate::smtp::Address;
use crate::watch::count_queue_outcome;

/// A machine between two steps, with the step that is next.
pub(crate) type Halted = (Machine, Step);

/// Where a session may go on in another process.
pub(crate) trait WayOut {
    /// Whether it should, before this step.
    fn is_due(&self, session: &Session, step: &Step) -> bool;

    /// Lets it go on there: `None`. Where it stays, the machine and its step.
    fn take<'a>(
        &'a self,
        session: &'a Rc<Session>,
        halted: Halted,
    ) -> Pin<Box<dyn Future<Output = Option<Halted>> + 'a>>;
}

/// Runs a machine to its end.
pub(crate) async fn drive(session: Rc<Session>, machine: Machine) -> Outcome {
    let halted = start(&session, machine);
    let ended = drive_on(session, halted, None).await;
    ended.unwrap_or(Outcome::Closed)
}

/// Runs a machine to its first step.
pub(crate) fn start(session: &Session, mut machine: Machine) -> Halted {
    session.note_replaced();
    let step = machine.start();
    (machine, step)
}

/// Runs a machine from one of its steps to its end. `None`: it goes on in another process.
pub(crate) async fn drive_on(
    session: Rc<Session>,
    (mut machine, mut step): Halted,
    exit: Option<&dyn WayOut>,
) -> Option<Outcome> {
    loop {
        if let Some(exit) = exit
            && exit.is_due(&session, &step)
        {
            (machine, step) = exit.take(&session, (machine, step)).await?;
        }
        let answered = match step {
            Step::Read { timeout, to } => {
                session.flush().await;
                session.settle().await;
                session.tell_onlooker_it_waits();
                to.give(session.read(timeout).await)
            }
            Step::Finished(outcome) => {
                session.flush().await;
                session.settle().await;
                return Some(outcome);
            }
            Step::Reply(reply, to) => {
                session.say(&reply);
                to.done()
            }
            Step::Log { level, text, to } => {
                session.log(level, None, None, text);
                to.done()
            }
            Step::Config(name, to) => match session.config_at_once(name) {
                Some(values) => to.give(values),
                None => to.give(Box::pin(session.config(name)).await),
            },
            Step::Hook(call, to) => {
                session.note_stage(call.hook);
                match session.in_place_of(&call) {
                    Some(verdict) => to.give(verdict),
                    None if session.has_no_entries(call.hook) => to.give(Verdict::declined()),
                    None => to.give(Box::pin(session.chain(call)).await),
                }
            }
            Step::Waiting(to) => to.give(session.has_sent_more()),
            Step::Now(to) => to.give(SystemTime::now()),
            Step::Queued(outcome, message, to) => {
                count_queue_outcome(outcome);
                session.tell_message(outcome, &message);
                to.done()
            }
            Step::TransactionEnded(to) => {
                session.settle().await;
                to.done()
            }
            // Boxed from here on, as they are rare or large: a session's own future has room for the
            // largest.
            Step::LookUpClient(to) => {
                Box::pin(session.look_up_client()).await;
                to.done()
            }
            Step::Canonify(path, to) => {
                to.give(match session.perl_side.is_some() && grammar::is_perls() {
                    false => Address::canonify(&path),
                    true => {
                        let work = move |_: &Host| grammar::canonify(&path);
                        Box::pin(session.perl(work)).await.flatten()
                    }
                })
            }
            Step::Capabilities(to) => {
                let look = |host: &Host| host.present.capabilities();
                to.give(Box::pin(session.look(look)).await.unwrap_or_default())
            }
            Step::Verb(verb, to) => {
                let look = move |host: &Host| reentry::listed(host, &verb);
                let listed = Box::pin(session.look(look)).await;
                to.give(listed.unwrap_or(Listed::NoTable))
            }
            Step::AddVerb(verb, to) => {
                let look = move |host: &Host| host.present.add_verb(verb);
                Box::pin(session.look(look)).await;
                to.done()
            }
            Step::Parse {
                parser,
                verb,
                rest,
                to,
            } => to.give(match NativeParser::of(parser.as_ref()) {
                Some(parser) => {
                    let (parts, told) = parser.call(&rest);
                    if let Some(told) = told {
                        session.log(LOGERROR, None, None, told.into_bytes());
                    }
                    parts
                }
                None => {
                    let work = move |host: &Host| host.call_parser(parser.as_ref(), &verb, &rest);
                    Box::pin(session.perl(work)).await.unwrap_or_default()
                }
            }),
            Step::Call(method, to) => {
                let work = move |host: &Host| reentry::call(host, &method);
                let nothing = || Called::Returned(Returned::default());
                to.give(Box::pin(session.perl(work)).await.unwrap_or_else(nothing))
            }
            Step::Obey { verb, rest, to } => {
                let work = move |host: &Host| host.present.obey(&verb, rest.as_deref());
                to.give(Box::pin(session.perl(work)).await.unwrap_or(false))
            }
            Step::AddHeader { name, value, to } => {
                let work = move |host: &Host| host.present.add_header(name, &value);
                Box::pin(session.perl(work)).await;
                to.done()
            }
            Step::RenameHeader { old, new, to } => {
                let work = move |host: &Host| host.present.rename_header(old, new);
                Box::pin(session.perl(work)).await;
                to.done()
            }
            Step::GetHeader(name, to) => {
                let work = move |host: &Host| host.present.get_header(name);
                to.give(Box::pin(session.perl(work)).await.unwrap_or_default())
            }
            Step::Cipher(to) => match session.cipher() {
                Some(cipher) => to.give(Some(cipher)),
                None => {
                    let work = |host: &Host| host.present.cipher();
                    to.give(Box::pin(session.perl(work)).await.flatten())
                }
            },
        };
        if session.over.get() {
            session.flush().await;
            session.settle().await;
            return Some(Outcome::Closed);
        }
        session.note_replaced();
        step = machine.resume(answered);
    }
}
