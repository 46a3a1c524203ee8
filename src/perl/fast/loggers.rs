//! The logging hooks are called for some fifty lines a message, with all of a chain left out that does not
//! count there. The plain way is the chain (`host/chain.rs`).

use crate::chain::{Given, Guard};
use crate::hook::{Arg, Code, Hook, HookCall};
use crate::perl::fast::hook_call::call_hook_for_code;
use crate::perl::ffi::call::Unwind;
use crate::perl::ffi::object;
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host::Host;
use crate::perl::host::answer::to_arg;
use crate::perl::host::chain::{Chain, Progress, end};
use crate::perl::host::owners::Owner;

/// Calls the logging hooks with level, hook and plugin of a line, and its texts. True if it was taken care of.
pub(in crate::perl) fn tell(
    host: &Host,
    loggers: &Sv,
    line: [&Sv; 3],
    texts: &[Sv],
) -> Result<bool, Unwind> {
    let last = match super::are_on() {
        true => by_list(host, loggers, line, texts)?,
        false => by_chain(host, line, texts)?,
    };
    Ok(matches!(last, Code::Declined | Code::Ok))
}

/// A text in another form, as logging plugins write it as it is and what a client has sent may be in it.
fn shown(text: &Sv) -> Option<Sv> {
    let shown = text.look_at_text(crate::base::log::shown).flatten();
    shown.map(|shown| Sv::bytes(&shown))
}

fn by_list(host: &Host, loggers: &Sv, line: [&Sv; 3], texts: &[Sv]) -> Result<Code, Unwind> {
    let transaction = object::of(&host.present.port().transaction());
    let mut args = Vec::with_capacity(texts.len() + 5);
    let object = host.present.object();
    args.extend([object.raw(), transaction.raw()]);
    args.extend(line.into_iter().map(Sv::raw));
    let mut written_out = Vec::new();
    for text in texts {
        match shown(text) {
            Some(shown) => {
                args.push(shown.raw());
                written_out.push(shown);
            }
            None => args.push(text.raw()),
        }
    }
    let mut index = 0;
    let mut last = Code::Declined;
    while let Some(entry) = loggers.array_get(index) {
        index += 1;
        let Some(code) = entry.hash_find(&host.table.code) else {
            continue;
        };
        let owner = host.owners.of(&code);
        let name = || entry.hash_get("name").map(|name| name.to_bytes());
        let guard = host.guard(owner.as_deref(), Hook::Logging, || {
            name().unwrap_or_default()
        });
        if guard.as_deref().is_some_and(Guard::is_quarantined) {
            continue;
        }
        let running = guard.as_deref().map(Guard::begin);
        let outcome = call_hook_for_code(&code, owner.as_deref().map(Owner::method), &mut args);
        let unwound = outcome.as_ref().err();
        end(running, unwound, Hook::Logging, || {
            name().unwrap_or_default()
        });
        match outcome {
            // What dies, or returns undef, is passed over; saying so would not end.
            Ok(None) | Err(Unwind::Died(_)) => {}
            Ok(Some(number)) => {
                last = Code::from_number(number);
                if last != Code::Declined {
                    break;
                }
            }
            Err(exited) => return Err(exited),
        }
    }
    Ok(last)
}

fn by_chain(host: &Host, line: [&Sv; 3], texts: &[Sv]) -> Result<Code, Unwind> {
    let texts = texts
        .iter()
        .map(|text| shown(text).unwrap_or_else(|| text.clone()));
    let line: Vec<Sv> = line.into_iter().cloned().chain(texts).collect();
    let same = |value: &Sv| Arg::Foreign(Box::new(PerlValue(value.clone())));
    let call = HookCall::with(Hook::Logging, line.iter().map(same).collect());
    let mut progress = host.advance(Chain::quiet(call), None)?;
    loop {
        match progress {
            Progress::Finished(verdict) => return Ok(verdict.code),
            Progress::Native { chain, id } => {
                let args = line.iter().map(to_arg).collect();
                let given = match host.present.port().call_native(id, args) {
                    Ok(verdict) => Given::Verdict(verdict),
                    Err(Unwind::Died(_)) => Given::Nothing,
                    Err(exited) => return Err(exited),
                };
                progress = host.advance(chain, Some(given))?;
            }
        }
    }
}
