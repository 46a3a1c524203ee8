//! Qpsmtpd::SMTP: the session's commands and what it does with the verdicts of hooks, as methods
//! that a subclass may override and reach through SUPER.

use super::scripted::within;
use crate::hook::{Arg, Code, Hook, Verdict};
use crate::perl::ffi::call::{Want, call_function, stringify};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host;
use crate::perl::host::answer::{to_arg, to_code};
use crate::perl::host::port::{Own, Port};
use crate::perl::host::present::Said;

macro_rules! commands {
    ($($verb:literal)*) => {
        &[$((concat!("Qpsmtpd::SMTP::", $verb), |f| within(f, |f, p| command(f, p, $verb)))),*]
    };
}

macro_rules! responders {
    ($($name:literal $hook:ident,)*) => {
        &[$((
            concat!("Qpsmtpd::SMTP::", $name, "_respond"),
            |f| within(f, |f, p| respond(f, p, Hook::$hook)),
        )),*]
    };
}

pub(super) const COMMANDS: &[(&str, Body)] =
    commands!("helo" "ehlo" "auth" "mail" "rcpt" "data" "rset" "vrfy" "noop" "help" "quit");

pub(super) const RESPONDERS: &[(&str, Body)] = responders! {
    "connect" Connect,
    "helo" Helo,
    "ehlo" Ehlo,
    "auth_parse" AuthParse,
    "mail_parse" MailParse,
    "mail_pre" MailPre,
    "mail" Mail,
    "rcpt_parse" RcptParse,
    "rcpt_pre" RcptPre,
    "rcpt" Rcpt,
    "data" Data,
    "data_post" DataPost,
    "queue_pre" QueuePre,
    "queue" Queue,
    "queue_post" QueuePost,
    "vrfy" Vrfy,
    "noop" Noop,
    "help" Help,
    "quit" Quit,
    "unrecognized_command" UnrecognizedCommand,
};

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::SMTP::queue", |f| {
        within(f, |f, p| run(f, p, Own::Queue))
    }),
    ("Qpsmtpd::SMTP::received_line", |f| {
        within(f, |f, p| run(f, p, Own::ReceivedLine))
    }),
    ("Qpsmtpd::SMTP::clean_authentication_results", |f| {
        within(f, |f, p| run(f, p, Own::CleanResults))
    }),
    ("Qpsmtpd::SMTP::authentication_results", |f| {
        within(f, |f, p| run(f, p, Own::AddResults))
    }),
    ("Qpsmtpd::SMTP::start_conversation", |f| {
        within(f, start_conversation)
    }),
];

fn run(frame: &mut Frame<'_>, port: &dyn Port, own: Own) -> Result<(), Raise> {
    frame.ret(value_of(port, own)?);
    Ok(())
}

fn value_of(port: &dyn Port, own: Own) -> Result<Sv, Raise> {
    let text = port.run_own(own)?;
    Ok(text.map_or_else(|| Sv::int(1), |text| Sv::bytes(&text)))
}

/// mail(REST) and its like.
fn command(frame: &mut Frame<'_>, port: &dyn Port, verb: &'static str) -> Result<(), Raise> {
    let rest = frame.defined_bytes(1)?;
    run(frame, port, Own::Command(verb, rest))
}

/// mail_respond(CODE, \@texts, \@args) and its like.
fn respond(frame: &mut Frame<'_>, port: &dyn Port, hook: Hook) -> Result<(), Raise> {
    let mut verdict = Verdict::new(to_code(&frame.sv(1)));
    let texts = frame.sv(2);
    for index in 0..texts.array_len() {
        let Some(text) = texts.array_get(index) else {
            continue;
        };
        if text.is_code() {
            verdict.parser = Some(Box::new(PerlValue(text)));
        } else {
            let defined = text.is_defined();
            verdict.values.push(match defined {
                true => Some(stringify(&text)?),
                false => None,
            });
        }
    }
    let args = frame.sv(3);
    let args = (0..args.array_len()).filter_map(|index| args.array_get(index));
    let mut args: Vec<Arg> = args.map(|arg| to_arg(&arg)).collect();
    if matches!(hook, Hook::MailPre | Hook::RcptPre)
        && let Some(params) = args.get_mut(1)
    {
        *params = parameters(params)?;
    }
    let own = Own::Response(hook, verdict, args);
    answering(frame, hook, |_| value_of(port, own))
}

/// Runs what answers the client after a hook. To a script it returns what its `respond` did, as
/// the original, where that is the last thing such a method does.
pub(super) fn answering(
    frame: &mut Frame<'_>,
    hook: Hook,
    work: impl FnOnce(&Frame<'_>) -> Result<Sv, Raise>,
) -> Result<(), Raise> {
    use Hook::{Connect, Ehlo, Helo, UnrecognizedCommand};
    let host = host::current()?;
    let is_last = matches!(hook, Connect | Helo | Ehlo | UnrecognizedCommand);
    if !host.is_for_scripts() || !is_last {
        let value = work(frame)?;
        frame.ret(value);
        return Ok(());
    }
    let before = host.present.listen();
    let done = work(frame);
    let said = host.present.end_listening(before);
    done?;
    if let Said::Value(value) = said {
        frame.ret(value);
    }
    Ok(())
}

/// The parameters of MAIL or RCPT from a reference to their hash.
fn parameters(hash: &Arg) -> Result<Arg, Raise> {
    let Arg::Foreign(hash) = hash else {
        return Ok(Arg::Hash(Vec::new()));
    };
    let hash = PerlValue::of(hash.as_ref())
        .cloned()
        .into_iter()
        .collect::<Vec<_>>();
    let flat = call_function("Camelpost::parameters", &hash, Want::List)?;
    let mut pairs = Vec::new();
    for pair in flat.chunks(2) {
        if let [name, value] = pair {
            let value = match value.is_defined() {
                true => Some(stringify(value)?),
                false => None,
            };
            pairs.push((stringify(name)?, value));
        }
    }
    Ok(Arg::Hash(pairs))
}

/// The connect hook and the greeting; DONE, as the original says it.
fn start_conversation(frame: &mut Frame<'_>, port: &dyn Port) -> Result<(), Raise> {
    port.run_own(Own::StartConversation)?;
    frame.ret_int(Code::Done.number().unwrap_or_default().into());
    Ok(())
}
