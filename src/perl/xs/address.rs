//! Qpsmtpd::Address.

use std::rc::Rc;

use super::connection::{access_notes, written};
use crate::mail::{EnvelopeAddress, Note};
use crate::perl::fast::grammar;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;
use crate::smtp::Address;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Address::_new", new),
    ("Qpsmtpd::Address::_canonify", canonify),
    ("Qpsmtpd::Address::_grammar_decides", grammar_decides),
    ("Qpsmtpd::Address::_note_grammar", |_| {
        grammar::note();
        Ok(())
    }),
    ("Qpsmtpd::Address::address", address),
    ("Qpsmtpd::Address::_format", format),
    ("Qpsmtpd::Address::user", user),
    ("Qpsmtpd::Address::host", host),
    ("Qpsmtpd::Address::notes", notes),
];

/// _new(CLASS, USER, HOST) or _new(CLASS, TEXT); undef for a text that is no address.
fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (user, host) = (frame.defined_bytes(1)?, frame.defined_bytes(2)?);
    let address = Address::from_arguments(user.as_deref(), host.as_deref());
    let Some(envelope) = address.map(EnvelopeAddress::new) else {
        frame.ret(Sv::undef());
        return Ok(());
    };
    // Parts are taken as they are; a text is not what its parser has found in it.
    for (index, is_user) in [(1, true), (2, false)] {
        let given = frame.sv(index);
        if host.is_some() && given.is_tainted() {
            set_part(&envelope, is_user, &given);
        }
    }
    let class = frame.sv(0);
    let class = if class.is_ref() { None } else { Some(class) };
    frame.ret(object::new(Rc::new(envelope), class.as_ref()));
    Ok(())
}

/// _canonify(TEXT): user and host, the user alone for the null path, or undef.
fn canonify(frame: &mut Frame<'_>) -> Result<(), Raise> {
    match Address::canonify(&frame.bytes(0)?) {
        Some((user, None)) if user.is_empty() => frame.ret_bytes(b""),
        Some((user, host)) => {
            frame.ret_bytes(&user);
            frame.ret_optional(host.as_deref());
        }
        None => frame.ret(Sv::undef()),
    }
    Ok(())
}

/// _grammar_decides: whether the expressions in the package variables are asked.
fn grammar_decides(frame: &mut Frame<'_>) -> Result<(), Raise> {
    frame.ret_bool(grammar::is_perls());
    Ok(())
}

/// address, or address($new).
fn address(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1) {
        let text = frame.bytes(1)?;
        envelope.address.borrow_mut().set_address(&text);
    }
    let text = envelope.address.borrow().address();
    ret_text(frame, &envelope, &text);
    Ok(())
}

fn format(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    let text = envelope.address.borrow().format();
    ret_text(frame, &envelope, &text);
    Ok(())
}

/// A text made of both parts, of which a plugin may have taken one from the client.
fn ret_text(frame: &mut Frame<'_>, envelope: &EnvelopeAddress, text: &[u8]) {
    let address = envelope.address.borrow();
    let is_tainted = |is_user: bool, part| {
        let face = envelope.faces.get(name(is_user), part);
        matches!(face, Some(Note::Tainted(_)))
    };
    let text = Sv::bytes(text);
    let tainted = is_tainted(true, address.user()) || is_tainted(false, address.host());
    frame.ret(if tainted { text.tainted() } else { text });
}

fn user(frame: &mut Frame<'_>) -> Result<(), Raise> {
    access_part(frame, true)
}

fn host(frame: &mut Frame<'_>) -> Result<(), Raise> {
    access_part(frame, false)
}

fn access_part(frame: &mut Frame<'_>, is_user: bool) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1) {
        set_part(&envelope, is_user, &frame.sv(1));
    }
    frame.ret(part(&envelope, is_user));
    Ok(())
}

const USER: &str = "user";
const HOST: &str = "host";

fn name(is_user: bool) -> &'static str {
    if is_user { USER } else { HOST }
}

/// The user or the host as a Perl value.
pub(crate) fn part(envelope: &EnvelopeAddress, is_user: bool) -> Sv {
    let address = envelope.address.borrow();
    let bytes = match is_user {
        true => address.user(),
        false => address.host(),
    };
    match envelope.faces.get(name(is_user), bytes) {
        Some(note) => Sv::from_note(&note),
        None => Sv::optional(bytes),
    }
}

pub(crate) fn set_part(envelope: &EnvelopeAddress, is_user: bool, value: &Sv) {
    let (bytes, note) = written(value);
    match note {
        Some(note) => envelope.faces.set(name(is_user), bytes.as_deref(), note),
        None => envelope.faces.clear(name(is_user)),
    }
    let mut address = envelope.address.borrow_mut();
    let (user, host) = match is_user {
        true => (bytes, address.host().map(<[u8]>::to_vec)),
        false => (address.user().map(<[u8]>::to_vec), bytes),
    };
    *address = Address::from_parts(user, host);
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    access_notes(frame, &envelope.notes)
}
