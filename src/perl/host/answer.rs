//! What goes in and out of a hook as Perl has it: arguments, codes, and the values of an answer.

use crate::hook::{Arg, Code, Verdict};
use crate::mail::Note;
use crate::perl::ffi::call::{Unwind, stringify};
use crate::perl::ffi::object;
use crate::perl::ffi::value::{PerlValue, Sv};

/// An error, or a value that a plugin returned, as bytes. An object that dies on its way to a text
/// gives what it died with, as far as that is a text.
pub(in crate::perl) fn error_text(value: &Sv) -> Result<Vec<u8>, Unwind> {
    match stringify(value) {
        Err(Unwind::Died(error)) => Ok(error.to_bytes()),
        other => other,
    }
}

/// A hook's answer.
pub(in crate::perl) fn to_verdict(code: Code, values: &[Sv]) -> Result<Verdict, Unwind> {
    let mut verdict = Verdict::new(code);
    for value in values {
        verdict.values.push(match value.is_defined() {
            true => Some(error_text(value)?),
            false => None,
        });
    }
    if let Some(second) = values.first().filter(|second| second.is_code()) {
        verdict.parser = Some(Box::new(PerlValue(second.clone())));
    }
    if values
        .iter()
        .any(|value| value.is_ref() || value.is_tainted())
    {
        let all = Sv::array_of(values.iter().cloned());
        verdict.returned = Some(Box::new(PerlValue(all)));
    }
    Ok(verdict)
}

/// Whether the text of an answer is somebody else's than the plugin's.
pub(in crate::perl) fn is_first_tainted(verdict: &Verdict) -> bool {
    let returned = verdict.returned.as_ref();
    let returned = returned.and_then(|all| PerlValue::of(all.as_ref()));
    let first = returned.and_then(|all| all.array_get(0));
    first.is_some_and(|first| first.is_tainted())
}

/// The values of a hook's answer as Perl code gets them.
pub fn values_of(verdict: &Verdict) -> Vec<Sv> {
    let returned = verdict
        .returned
        .as_ref()
        .and_then(|all| PerlValue::of(all.as_ref()));
    match returned {
        Some(all) => (0..all.array_len())
            .filter_map(|at| all.array_get(at))
            .collect(),
        None => verdict
            .values
            .iter()
            .map(|value| Sv::optional(value.as_deref()))
            .collect(),
    }
}

pub(in crate::perl) fn to_code(value: &Sv) -> Code {
    match Code::from_number(value.as_int()) {
        Code::Other(_) => Code::Other(value.to_bytes()),
        known => known,
    }
}

/// A code as Perl code sees it.
pub fn code_sv(code: &Code) -> Sv {
    match code {
        Code::Other(other) => Sv::bytes(other),
        known => Sv::int(known.number().unwrap_or_default().into()),
    }
}

pub(in crate::perl) fn to_sv(arg: &Arg) -> Sv {
    match arg {
        Arg::Undef => Sv::undef(),
        Arg::Bytes(bytes) => Sv::bytes(bytes),
        Arg::Client(bytes) => Sv::tainted_bytes(bytes),
        Arg::Int(n) => Sv::int(*n),
        Arg::Address(address) => object::of(address),
        Arg::Hash(pairs) => {
            let hash = Sv::hash_ref();
            for (key, value) in pairs {
                hash.hash_set(key, Sv::optional(value.as_deref()));
            }
            hash
        }
        Arg::Args(args) => Sv::array_of(args.iter().map(to_sv)),
        Arg::List(list) => Sv::array_of(list.iter().map(|item| Sv::bytes(item))),
        Arg::Foreign(value) | Arg::Object(value, _) => PerlValue::of(value.as_ref())
            .cloned()
            .unwrap_or_else(Sv::undef),
    }
}

/// A value as it was given, a reference with its text.
pub fn as_given(value: Sv) -> Result<Arg, Unwind> {
    Ok(match value.is_defined() {
        true if value.is_ref() => {
            let text = stringify(&value)?;
            Arg::Object(Box::new(PerlValue(value)), text)
        }
        true if value.is_tainted() => Arg::Client(value.to_bytes()),
        true => Arg::Bytes(value.to_bytes()),
        false => Arg::Undef,
    })
}

/// A value that Perl code passes to a hook.
pub fn to_arg(value: &Sv) -> Arg {
    if let Some(address) = object::shown(value) {
        return Arg::Address(address);
    }
    match value.to_note() {
        Note::Undef => Arg::Undef,
        Note::Int(n) => Arg::Int(n),
        Note::Bytes(bytes) => Arg::Bytes(bytes),
        Note::Tainted(note) if matches!(*note, Note::Bytes(_)) => Arg::Client(value.to_bytes()),
        _ => Arg::Foreign(Box::new(PerlValue(value.clone()))),
    }
}
