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

/// _new(CLASS, USER, HOST) or _new(CLASS, TEXT); undef for a text that is no address.
fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (user, host) = (frame.defined_bytes(1)?, frame.defined_bytes(2)?);
    ret_address(
        frame,
        Address::from_arguments(user.as_deref(), host.as_deref()),
    );
    Ok(())
}

/// _parse(CLASS, TEXT): an object, or undef if the default grammar does not accept it.
fn parse(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let text = frame.bytes(1)?;
    ret_address(frame, Address::parse(&text));
    Ok(())
}

fn ret_address(frame: &mut Frame<'_>, address: Option<Address>) {
    let class = frame.sv(0);
    let class = if class.is_ref() { None } else { Some(class) };
    let object =
        address.map(|address| object::new(Rc::new(EnvelopeAddress::new(address)), class.as_ref()));
    frame.ret(object.unwrap_or_else(Sv::undef));
}

/// _canonify(TEXT): user and host, or nothing.
fn canonify(frame: &mut Frame<'_>) -> Result<(), Raise> {
    if let Some((user, host)) = Address::canonify(&frame.bytes(0)?) {
        frame.ret_bytes(&user);
        frame.ret_optional(host.as_deref());
    }
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
    frame.ret_bytes(&text);
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
        envelope.address.borrow_mut().set_user(value);
    }
    let address = envelope.address.borrow();
    frame.ret_optional(address.user());
    Ok(())
}

fn host(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    if frame.is_defined(1) {
        let value = frame.bytes(1)?;
        envelope.address.borrow_mut().set_host(value);
    }
    let address = envelope.address.borrow();
    frame.ret_optional(address.host());
    Ok(())
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let envelope = frame.object::<EnvelopeAddress>(0)?;
    access_notes(frame, &envelope.notes)
}
