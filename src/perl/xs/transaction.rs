//! Qpsmtpd::Transaction: envelope, header and notes. The body is in body.rs.

use std::cell::Cell;
use std::rc::Rc;

use super::connection::access_notes;
use crate::mail::{self, EnvelopeAddress, HeaderSlot, Shown, Transaction};
use crate::perl::ffi::call::Want;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Transaction::new", new),
    ("Qpsmtpd::Transaction::start", new),
    ("Qpsmtpd::Transaction::notes", notes),
    ("Qpsmtpd::Transaction::sender", sender),
    ("Qpsmtpd::Transaction::recipients", recipients),
    ("Qpsmtpd::Transaction::add_recipient", add_recipient),
    ("Qpsmtpd::Transaction::remove_recipient", remove_recipient),
    ("Qpsmtpd::Transaction::header", header),
];

fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = fresh(host::current()?.present.port().spool());
    let class = frame.sv(0);
    let class = if class.is_ref() { None } else { Some(&class) };
    frame.ret(object::new(Rc::new(transaction), class));
    Ok(())
}

/// A transaction that begins now.
pub(crate) fn fresh(spool: Rc<mail::Spool>) -> Transaction {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map(|since| since.as_secs()).unwrap_or_default();
    Transaction {
        body: mail::Body::new(spool).into(),
        start_time: Cell::new(i64::try_from(now).unwrap_or_default()),
        ..Transaction::default()
    }
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    access_notes(frame, &transaction.notes)
}

fn sender(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    if frame.len() > 1 {
        let sender = object::address(&frame.sv(1))?;
        let old = transaction.sender.replace(sender);
        drop(old);
    }
    let sender = transaction.sender.borrow().clone();
    frame.ret(sender.map_or_else(Sv::undef, |address| object::of(&address)));
    Ok(())
}

/// recipients, or recipients(@list), which replaces the list. In scalar context the number.
fn recipients(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    if frame.len() > 1 {
        let mut list = Vec::with_capacity(frame.len());
        for given in frame.rest(1) {
            list.extend(object::address(&given)?);
        }
        transaction.had_recipients.set(true);
        let old = transaction.recipients.replace(list);
        drop(old);
    }
    let list = transaction.recipients.borrow().clone();
    if frame.wants() == Want::Scalar {
        let count = Sv::int(list.len() as i64);
        let never = list.is_empty() && !transaction.had_recipients.get();
        frame.ret(if never { Sv::undef() } else { count });
        return Ok(());
    }
    for address in list {
        frame.ret(object::of(&address));
    }
    Ok(())
}

fn add_recipient(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let given = Some(frame.sv(1)).filter(Sv::is_given);
    if let Some(address) = given.map_or(Ok(None), |given| object::address(&given))? {
        transaction.recipients.borrow_mut().push(address);
        transaction.had_recipients.set(true);
    }
    frame.ret(match transaction.had_recipients.get() {
        true => Sv::int(transaction.recipients.borrow().len() as i64),
        false => Sv::undef(),
    });
    Ok(())
}

/// Removes every recipient with the same address; returns a reference to the rest.
fn remove_recipient(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let what = frame.sv(1);
    if !what.is_given() {
        return Ok(());
    }
    let Some(address) = object::address(&what)?.filter(|_| what.is_ref()) else {
        let text = String::from_utf8_lossy(&what.to_bytes()).into_owned();
        return Err(Raise::Croak(format!(
            "Can't locate object method \"address\" via package \"{text}\" (perhaps you forgot to \
             load \"{text}\"?)"
        )));
    };
    let unwanted = address.address.borrow().format();
    let differs = |known: &Rc<Shown<EnvelopeAddress>>| known.address.borrow().format() != unwanted;
    let mut removed = transaction.recipients.take();
    transaction.had_recipients.set(true);
    let kept = removed.extract_if(.., |known| differs(known)).collect();
    transaction.recipients.replace(kept);
    drop(removed);
    frame.ret(Sv::array_of(super::body::parts::recipients(&transaction)));
    Ok(())
}

/// The Mail::Header, or header($new).
fn header(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    if frame.len() > 1 {
        set_header(&transaction, &frame.sv(1));
    }
    frame.ret(header_object(&transaction)?);
    Ok(())
}

pub(crate) fn set_header(transaction: &Transaction, value: &Sv) {
    let slot = match value.is_defined() {
        true => HeaderSlot::Foreign(Box::new(PerlValue(Sv::copied(value.raw())))),
        false => HeaderSlot::None,
    };
    let old = transaction.header.replace(slot);
    drop(old);
}

/// The Mail::Header, built when it is first asked for.
pub(crate) fn header_object(transaction: &Transaction) -> Result<Sv, Raise> {
    let native = match &*transaction.header.borrow() {
        HeaderSlot::None => None,
        HeaderSlot::Foreign(object) => {
            let object = PerlValue::of(object.as_ref())
                .cloned()
                .unwrap_or_else(Sv::undef);
            return Ok(object);
        }
        HeaderSlot::Native(header) => Some(header.bytes.clone()),
    };
    let Some(bytes) = native else {
        return Ok(Sv::undef());
    };
    let object = crate::perl::fast::header::of(&bytes)?;
    let slot = HeaderSlot::Foreign(Box::new(PerlValue(object.clone())));
    transaction.header.replace(slot);
    Ok(object)
}
