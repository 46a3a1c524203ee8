//! Carries out the steps of a script's session: there is no socket and no runtime, every step is
//! done at once, and what the client would do is done by the script's methods.

use std::rc::Rc;

use crate::hook::{Hook, HookCall, Method, Verdict};
use crate::net::own;
use crate::perl::call::Unwind;
use crate::perl::grammar;
use crate::perl::host::{Host, Said};
use crate::perl::log::{LOGINFO, LOGWARN};
use crate::perl::{Chain, Progress, Sv, any_dropped, release_dropped};
use crate::session::{Answer, Machine, Outcome, ReadEvent, State, Step};
use crate::smtp::{Address, Reply};

/// Runs a machine to its end.
pub fn drive(host: &Rc<Host>, state: &Rc<State>, mut machine: Machine) -> Result<Outcome, Unwind> {
    let mut step = machine.start();
    loop {
        let answer = match step {
            Step::Read { timeout } => {
                let line = host.read_line(timeout)?;
                match line {
                    Some(line) if !line.is_empty() => {
                        state.input.borrow_mut().push(&line);
                        Answer::Read(ReadEvent::Bytes)
                    }
                    _ => Answer::Read(ReadEvent::Eof),
                }
            }
            Step::Reply(reply) => {
                print(host, &reply)?;
                Answer::Done
            }
            Step::Config(name) => Answer::Config(host.config(name.as_bytes())?),
            Step::Hook(call) => Answer::Verdict(chain(host, call)?),
            Step::Parse { parser, verb, rest } => {
                Answer::Parsed(host.call_parser(parser.as_ref(), &verb, &rest)?)
            }
            Step::Verb(verb) => Answer::Listed(own::listed(host, &verb)),
            Step::AddVerb(verb) => {
                host.add_verb(verb);
                Answer::Done
            }
            Step::Obey { verb, rest } => {
                let gave = host.obey(&verb, rest.as_deref())?;
                Answer::Values(gave.then_some(None).into_iter().collect())
            }
            Step::Call(call) => Answer::Called(own::call(host, &call)?),
            Step::Capabilities => values(host.capabilities()),
            Step::Log { level, text } => {
                host.log(level, None, None, &[Sv::bytes(&text)])?;
                Answer::Done
            }
            Step::AddHeader { name, value } => {
                host.add_header(name, &value)?;
                Answer::Done
            }
            Step::RenameHeader { from, to } => {
                host.rename_header(from, to)?;
                Answer::Done
            }
            Step::GetHeader(name) => values(host.get_header(name)?),
            Step::Canonify(path) => {
                let parts = match grammar::is_changed() {
                    false => Address::canonify(&path),
                    true => grammar::canonify(&path)?,
                };
                Answer::Values(parts.map_or_else(Vec::new, |(user, host)| vec![Some(user), host]))
            }
            Step::Cipher => values(host.cipher()?),
            Step::Waiting => Answer::Waiting(false),
            Step::LookUpClient => Answer::Done,
            Step::TransactionEnded => {
                if any_dropped() {
                    release_dropped()?;
                }
                Answer::Done
            }
            Step::Finished(outcome) => return Ok(outcome),
        };
        if let Some(text) = state.settings.spool.take_complaint() {
            host.log(LOGWARN, None, None, &[Sv::text(&text)])?;
        }
        step = machine.resume(answer);
    }
}

fn values(values: impl IntoIterator<Item = Vec<u8>>) -> Answer {
    Answer::Values(values.into_iter().map(Some).collect())
}

/// A reply of a session whose class has no `respond` of its own.
pub fn print(host: &Host, reply: &Reply) -> Result<bool, Unwind> {
    for line in reply.written() {
        host.log(LOGINFO, None, None, &[Sv::bytes(&line)])?;
    }
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    host.write_client(&wire)
}

/// A hook's chain. A script loads no native plugins.
fn chain(host: &Rc<Host>, call: HookCall) -> Result<Verdict, Unwind> {
    if call.hook == Hook::Disconnect {
        host.note_said(Said::Ended);
    }
    let mut progress = host.advance(Chain::new(call), None)?;
    loop {
        match progress {
            Progress::Finished(verdict) => return Ok(verdict),
            Progress::Native { chain, .. } => {
                progress = host.advance(chain, Some(Verdict::declined()))?;
            }
        }
    }
}

impl Host {
    /// What the method `getline` of the session's object gives.
    fn read_line(&self, timeout: std::time::Duration) -> Result<Option<Vec<u8>>, Unwind> {
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let values = self.call_replaced(Method::Getline, &[crate::hook::Arg::Int(seconds)])?;
        Ok(values.first)
    }
}
