//! Carries out the steps of a script's session: there is no socket and no runtime, every step is
//! done at once, and what the client would do is done by the script's methods.

use std::rc::Rc;
use std::time::SystemTime;

use crate::base::log::{LOGINFO, LOGWARN};
use crate::chain::Given;
use crate::hook::{Hook, HookCall, Method, Verdict};
use crate::net::session::reentry;
use crate::perl::ffi::call::Unwind;
use crate::perl::grammar;
use crate::perl::host::Host;
use crate::perl::host::present::Said;
use crate::perl::{Chain, Progress, Sv, any_dropped, release_dropped};
use crate::session::{Machine, Outcome, ReadEvent, State, Step};
use crate::smtp::{Address, Reply};

/// Runs a machine to its end.
pub(super) fn drive(
    host: &Rc<Host>,
    state: &Rc<State>,
    mut machine: Machine,
) -> Result<Outcome, Unwind> {
    state.replaced.set(host.present.replaced());
    let mut step = machine.start();
    loop {
        let answered = match step {
            Step::Read { timeout, to } => match read_line(host, timeout)? {
                Some(line) if !line.is_empty() => {
                    state.input.borrow_mut().push(&line);
                    to.give(ReadEvent::Bytes)
                }
                _ => to.give(ReadEvent::Eof),
            },
            Step::Reply(reply, to) => {
                print(host, &reply)?;
                to.done()
            }
            Step::Config(name, to) => to.give(host.config().values(name.as_bytes())?),
            Step::Hook(call, to) => to.give(chain(host, call)?),
            Step::Parse {
                parser,
                verb,
                rest,
                to,
            } => to.give(host.call_parser(parser.as_ref(), &verb, &rest)?),
            Step::Verb(verb, to) => to.give(reentry::listed(host, &verb)),
            Step::AddVerb(verb, to) => {
                host.present.add_verb(verb);
                to.done()
            }
            Step::Obey { verb, rest, to } => to.give(host.present.obey(&verb, rest.as_deref())?),
            Step::Call(call, to) => to.give(reentry::call(host, &call)?),
            Step::Capabilities(to) => to.give(host.present.capabilities()),
            Step::Log { level, text, to } => {
                host.log(level, None, None, &[Sv::bytes(&text)])?;
                to.done()
            }
            Step::AddHeader { name, value, to } => {
                host.present.add_header(name, &value)?;
                to.done()
            }
            Step::RenameHeader { old, new, to } => {
                host.present.rename_header(old, new)?;
                to.done()
            }
            Step::GetHeader(name, to) => to.give(host.present.get_header(name)?),
            Step::Canonify(path, to) => to.give(match grammar::is_perls() {
                false => Address::canonify(&path),
                true => grammar::canonify(&path)?,
            }),
            Step::Cipher(to) => to.give(host.present.cipher()?),
            Step::Waiting(to) => to.give(false),
            Step::LookUpClient(to) => to.done(),
            Step::TransactionEnded(to) => {
                if any_dropped() {
                    release_dropped()?;
                }
                to.done()
            }
            // There are no sums of a script's messages.
            Step::Queued(_, _, to) => to.done(),
            Step::Now(to) => to.give(SystemTime::now()),
            Step::Finished(outcome) => return Ok(outcome),
        };
        if let Some(text) = state.settings.spool.take_complaint() {
            host.log(LOGWARN, None, None, &[Sv::text(&text)])?;
        }
        state.replaced.set(host.present.replaced());
        step = machine.resume(answered);
    }
}

/// A reply of a session whose class has no `respond` of its own.
pub(super) fn print(host: &Host, reply: &Reply) -> Result<bool, Unwind> {
    for line in reply.written() {
        host.log(LOGINFO, None, None, &[Sv::bytes(&line)])?;
    }
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    crate::perl::stdio::write_client(&wire)
}

/// A hook's chain. A script loads no native plugins.
fn chain(host: &Rc<Host>, call: HookCall) -> Result<Verdict, Unwind> {
    if call.hook == Hook::Disconnect {
        host.present.note_said(Said::Ended);
    }
    let mut progress = host.advance(Chain::new(call), None)?;
    loop {
        match progress {
            Progress::Finished(verdict) => return Ok(verdict),
            Progress::Native { chain, .. } => {
                progress = host.advance(chain, Some(Given::Nothing))?;
            }
        }
    }
}

/// What the method `getline` of the session's object gives.
fn read_line(host: &Host, timeout: std::time::Duration) -> Result<Option<Vec<u8>>, Unwind> {
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    let args = [crate::hook::Arg::Int(seconds)];
    Ok(host.present.call_replaced(Method::Getline, &args)?.first)
}
