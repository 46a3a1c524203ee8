//! Carries out a session's steps.

use std::rc::{Rc, Weak};

use super::own;
use super::session::Session;
use crate::hook::Verdict;
use crate::perl::grammar;
use crate::session::{Answer, AtOnce, Called, Machine, Outcome, Returned, Step};
use crate::smtp::Address;

/// Runs a machine to its end.
pub async fn drive(session: Rc<Session>, mut machine: Machine) -> Outcome {
    let mut step = machine.start();
    loop {
        let answer = match step {
            Step::Read { timeout } => {
                session.flush().await;
                if session.has_pending() {
                    session.perl(|_| Ok(())).await;
                }
                Answer::Read(session.read(timeout).await)
            }
            Step::Config(name) => Answer::Config(session.config(name).await),
            Step::Hook(call) => Answer::Verdict(session.chain(call).await),
            Step::Parse { parser, verb, rest } => {
                let work = move |session: &Session| {
                    session.host.call_parser(parser.as_ref(), &verb, &rest)
                };
                Answer::Values(session.perl(work).await.unwrap_or_default())
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
                session.look_up_client().await;
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
                return outcome;
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
        Step::Log { level, text } => {
            session.log(level, None, None, text);
            Answer::Done
        }
        Step::Config(name) if !host.config_is_perl() => Answer::Config(session.file_config(name)),
        Step::Hook(call) if !host.has_entries(call.hook) => Answer::Verdict(Verdict::declined()),
        Step::Capabilities => {
            let lines = host.capabilities();
            Answer::Values(lines.into_iter().map(Some).collect())
        }
        Step::Verb(verb) => Answer::Listed(own::listed(host, &verb)),
        Step::AddVerb(verb) => {
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
