//! What the table of hooks (src/hook/table.rs) says of verdicts, held against what sessions came to.

use super::cells::Cells;
use super::{Compared, of};
use camelpost::hook::{Code, Hook, Kind};
use std::fmt::Write;

const CODES: [Code; 6] = [
    Code::Ok,
    Code::Deny,
    Code::DenySoft,
    Code::DenyDisconnect,
    Code::DenySoftDisconnect,
    Code::Done,
];

/// Verdicts that count though the client and the session see nothing of it: the next logger is not asked,
/// the plugin that follows here says the same, the field has the plugin's text.
const UNSEEN: [(Hook, Code); 3] = [
    (Hook::Logging, Code::Ok),
    (Hook::Rcpt, Code::Ok),
    (Hook::ReceivedLine, Code::Ok),
];

/// A verdict counts where the client or the session sees another outcome than for DECLINED.
pub fn report(all: &[Compared]) -> String {
    let mut report = String::new();
    for hook in Hook::ALL {
        let seen = |code: &Code| {
            let verdict = format!("{}+text", code.name()?);
            let played = ["plain", "sources", "added"]
                .into_iter()
                .find_map(|setting| of(all, setting, hook.name(), &verdict))?;
            let cells = Cells::of(hook.name(), &played.camelpost);
            Some((cells.reply, cells.session))
        };
        let Some(declined) = seen(&Code::Declined) else {
            continue;
        };
        for code in CODES {
            let seen = seen(&code).is_some_and(|seen| seen != declined);
            let counts = seen || UNSEEN.contains(&(*hook, code.clone()));
            if counts != hook.facts().verdicts.contains(&code) {
                let (hook, code) = (hook.name(), code.shown());
                let _ = writeln!(
                    report,
                    "{hook}: {code} {} (src/hook/table.rs)",
                    if counts {
                        "counts"
                    } else {
                        "counts for nothing"
                    }
                );
            }
        }
    }
    report
}

/// A hook's row of the table, as people read it.
pub fn row(hook: &str) -> String {
    let Some(hook) = Hook::by_name(hook.as_bytes()) else {
        return String::new();
    };
    let facts = hook.facts();
    let arg = |(name, kind): &(&str, Kind)| {
        let (sigil, what) = match kind {
            Kind::Text => ("$", ""),
            Kind::Client => ("$", " (the client's words: tainted)"),
            Kind::Int => ("$", " (a number)"),
            Kind::Address => ("$", " (a Qpsmtpd::Address)"),
            Kind::Pairs => ("%", ""),
            Kind::Hash => ("\\%", ""),
            Kind::List => ("\\@", ""),
            Kind::Texts => ("@", ""),
        };
        format!("`{sigil}{name}`{what}")
    };
    let args: Vec<String> = facts.args.iter().map(arg).collect();
    let args = match args.is_empty() {
        true => "none".to_owned(),
        false => args.join(", "),
    };
    let verdicts: Vec<String> = facts.verdicts.iter().map(Code::shown).collect();
    let verdicts = match verdicts.is_empty() {
        true => "none".to_owned(),
        false => verdicts.join(", "),
    };
    format!(
        "{} Arguments after `$self` and `$transaction`: {args}. Verdicts that count: {verdicts}. \
         Where no plugin decides: {}.",
        facts.when, facts.default
    )
}
