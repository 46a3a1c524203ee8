//! Carries out a session's steps.

use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};

use super::own;
use super::session::Session;
use crate::hook::Verdict;
use crate::perl::grammar;
use crate::session::{Answer, AtOnce, Called, Listed, Machine, Outcome, Returned, Step};
use crate::smtp::Address;

/// A machine between two steps, with the step that is next.
pub type Halted = (Machine, Step);

/// Where a session may go on in another process.
pub trait Exit {
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
pub async fn drive(session: Rc<Session>, mut machine: Machine) -> Outcome {
    let step = machine.start();
    let ended = drive_on(session, (machine, step), None).await;
    ended.unwrap_or(Outcome::Closed)
}

/// Runs a machine from one of its steps to its end. `None`: it goes on in another process.
pub async fn drive_on(
    session: Rc<Session>,
    (mut machine, mut step): Halted,
    exit: Option<&dyn Exit>,
) -> Option<Outcome> {
    loop {
        if let Some(exit) = exit
            && exit.is_due(&session, &step)
        {
            (machine, step) = exit.take(&session, (machine, step)).await?;
        }
        let answer = match step {
            Step::Read { timeout } => {
                session.flush().await;
                if session.has_pending() {
                    session.perl(|_| Ok(())).await;
                }
                Answer::Read(session.read(timeout).await)
            }
            Step::Config(name) => Answer::Config(Box::pin(session.config(name)).await),
            Step::Hook(call) => Answer::Verdict(Box::pin(session.chain(call)).await),
            Step::Parse { parser, verb, rest } => {
                let work = move |session: &Session| {
                    session.host.call_parser(parser.as_ref(), &verb, &rest)
                };
                Answer::Parsed(session.perl(work).await.unwrap_or_default())
            }
            Step::Capabilities => {
                let lines = session.look(|session| session.host.capabilities()).await;
                Answer::Values(lines.into_iter().flatten().map(Some).collect())
            }
            Step::Call(method) => {
                let called = session
                    .perl(move |session| own::call(&session.host, &method))
                    .await;
                Answer::Called(called.unwrap_or_else(|| Called::Returned(Returned::default())))
            }
            Step::AddHeader { name, value } => {
                session
                    .perl(move |session| session.host.add_header(name, &value))
                    .await;
                Answer::Done
            }
            Step::RenameHeader { from, to } => {
                session
                    .perl(move |session| session.host.rename_header(from, to))
                    .await;
                Answer::Done
            }
            Step::GetHeader(name) => {
                let values = session
                    .perl(move |session| session.host.get_header(name))
                    .await;
                Answer::Values(values.unwrap_or_default().into_iter().map(Some).collect())
            }
            Step::Canonify(path) => Answer::Values(canonify(&session, path).await),
            Step::Verb(verb) => {
                let look = move |session: &Session| own::listed(&session.host, &verb);
                Answer::Listed(session.look(look).await.unwrap_or(Listed::NoTable))
            }
            Step::AddVerb(verb) => {
                session
                    .look(move |session| session.host.add_verb(verb))
                    .await;
                Answer::Done
            }
            Step::Obey { verb, rest } => {
                let work = move |session: &Session| session.host.obey(&verb, rest.as_deref());
                let gave = session.perl(work).await.unwrap_or(false);
                Answer::Values(gave.then_some(None).into_iter().collect())
            }
            Step::Cipher => {
                let cipher = session
                    .perl(|session| session.host.cipher())
                    .await
                    .flatten();
                Answer::Values(cipher.into_iter().map(Some).collect())
            }
            Step::LookUpClient => {
                // Boxed, as are others that are rare and large: a session's own future has room
                // for the largest.
                Box::pin(session.look_up_client()).await;
                Answer::Done
            }
            Step::TransactionEnded => {
                session.perl(|_| Ok(())).await;
                Answer::Done
            }
            Step::Finished(outcome) => {
                session.flush().await;
                if session.has_pending() {
                    session.perl(|_| Ok(())).await;
                }
                return Some(outcome);
            }
            // The session has asked for these at once (`Answers`).
            other => at_once(&session, other).unwrap_or(Answer::Done),
        };
        step = machine.resume(answer);
    }
}

/// A session's steps that take no waiting. Weak, as the session owns what asks.
pub struct Answers(pub Weak<Session>);

impl AtOnce for Answers {
    fn answer(&self, step: Step) -> Result<Answer, Step> {
        match self.0.upgrade() {
            Some(session) => at_once(&session, step),
            None => Err(step),
        }
    }
}

fn at_once(session: &Session, step: Step) -> Result<Answer, Step> {
    let host = &session.host;
    Ok(match step {
        Step::Reply(reply) => {
            session.transport.queue(&reply);
            Answer::Done
        }
        Step::Waiting => Answer::Waiting(session.has_sent_more()),
        Step::Log { level, text } => {
            session.log(level, None, None, text);
            Answer::Done
        }
        Step::Config(name) if session.is_here() && !host.config_is_perl() => {
            Answer::Config(session.file_config(name))
        }
        Step::Hook(call) if session.is_here() && !host.has_entries(call.hook) => {
            Answer::Verdict(Verdict::declined())
        }
        Step::Capabilities if session.is_on() => {
            let lines = host.capabilities();
            Answer::Values(lines.into_iter().map(Some).collect())
        }
        Step::Verb(verb) if session.is_on() => Answer::Listed(own::listed(host, &verb)),
        Step::AddVerb(verb) if session.is_on() => {
            host.add_verb(verb);
            Answer::Done
        }
        Step::TransactionEnded if !session.has_pending() => Answer::Done,
        other => return Err(other),
    })
}

/// Asks Perl only where a site has changed the grammar.
async fn canonify(session: &Rc<Session>, path: Vec<u8>) -> Vec<Option<Vec<u8>>> {
    let parts = match grammar::is_changed() {
        false => Address::canonify(&path),
        true => {
            let work = move |_: &Session| grammar::canonify(&path);
            session.perl(work).await.flatten()
        }
    };
    parts.map_or_else(Vec::new, |(user, host)| vec![Some(user), host])
}
