//! Qpsmtpd::Address.

use std::rc::Rc;

use super::connection::access_notes;
use super::{Body, Frame, Raise};
use crate::mail::EnvelopeAddress;
use crate::perl::object;
use crate::perl::value::Sv;
use crate::smtp::Address;

pub const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Address::_new", new),
    ("Qpsmtpd::Address::_parse", parse),
    ("Qpsmtpd::Address::_canonify", canonify),
    ("Qpsmtpd::Address::address", address),
    ("Qpsmtpd::Address::_format", format),
    ("Qpsmtpd::Address::user", user),
    ("Qpsmtpd::Address::host", host),
    ("Qpsmtpd::Address::notes", notes),
];

/// _new(CLASS, USER, HOST): either may be undef.
fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let address = Address::from_parts(frame.defined_bytes(1)?, frame.defined_bytes(2)?);
    let class = frame.sv(0);
    frame.ret(object::new(Rc::new(EnvelopeAddress::new(address)), Some(&class)));
    Ok(())
}

/// _parse(CLASS, TEXT): an object, or undef if the default grammar does not accept it.
fn parse(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let text = frame.bytes(1)?;
    let class = frame.sv(0);
    let object = Address::parse(&text)
        .map(|address| object::new(Rc::new(EnvelopeAddress::new(address)), Some(&class)));
    frame.ret(object.unwrap_or_else(Sv::undef));
    Ok(())
}

fn canonify(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let text = frame.bytes(0)?;
    frame.ret_optional(Address::canonify(&text).as_deref());
    Ok(())
}

/// address, or address($new).
fn address(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1)
        && let Some(parsed) = Address::parse(&[b"<", &*frame.bytes(1)?, b">"].concat())
    {
        envelope.address.replace(parsed);
    }
    let text = envelope.address.borrow().address();
    frame.ret_optional(text.as_deref());
    Ok(())
}

fn format(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    let text = envelope.address.borrow().format();
    frame.ret_bytes(&text);
    Ok(())
}

fn user(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1) {
        let value = frame.bytes(1)?;
        envelope.address.borrow_mut().set_user(Some(value));
    }
    let address = envelope.address.borrow();
    frame.ret_optional(address.user());
    Ok(())
}

fn host(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1) {
        let value = frame.bytes(1)?;
        envelope.address.borrow_mut().set_host(Some(value));
    }
    let address = envelope.address.borrow();
    frame.ret_optional(address.host());
    Ok(())
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    access_notes(frame, &envelope.notes)
}
