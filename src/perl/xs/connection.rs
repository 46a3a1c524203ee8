//! Qpsmtpd::Connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Body, Frame, Raise};
use crate::mail::{Connection, Note, Notes};
use crate::perl::object;
use crate::perl::value::Sv;

pub const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Connection::_new", new),
    ("Qpsmtpd::Connection::_take", take),
    ("Qpsmtpd::Connection::reset", reset),
    ("Qpsmtpd::Connection::notes", notes),
    ("Qpsmtpd::Connection::remote_ip", |f| {
        text(f, "remote_ip", |c| &c.remote_ip)
    }),
    ("Qpsmtpd::Connection::remote_host", |f| {
        text(f, "remote_host", |c| &c.remote_host)
    }),
    ("Qpsmtpd::Connection::remote_info", |f| {
        text(f, "remote_info", |c| &c.remote_info)
    }),
    ("Qpsmtpd::Connection::local_ip", |f| {
        text(f, "local_ip", |c| &c.local_ip)
    }),
    ("Qpsmtpd::Connection::hello", |f| {
        text(f, "hello", |c| &c.hello)
    }),
    ("Qpsmtpd::Connection::hello_host", |f| {
        text(f, "hello_host", |c| &c.hello_host)
    }),
    ("Qpsmtpd::Connection::remote_port", |f| {
        number(f, "remote_port", |c| &c.remote_port)
    }),
    ("Qpsmtpd::Connection::local_port", |f| {
        number(f, "local_port", |c| &c.local_port)
    }),
    ("Qpsmtpd::Connection::relay_client", relay_client),
];

fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let class = frame.sv(0);
    frame.ret(object::new(Rc::new(Connection::default()), Some(&class)));
    Ok(())
}

/// _take(OTHER): the other's client and notes, without its greeting.
fn take(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    let other = frame.object::<Connection>(1)?;
    connection.take(other.without_greeting());
    Ok(())
}

fn reset(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    connection.notes.clear();
    frame.ret_int(1);
    Ok(())
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    access_notes(frame, &connection.notes)
}

/// `notes(KEY)` and `notes(KEY, VALUE)`, on any object that has notes.
pub fn access_notes(frame: &mut Frame<'_>, notes: &Notes) -> Result<(), Raise> {
    if !frame.is_defined(1) {
        frame.warn("Use of uninitialized value $key in hash element")?;
    }
    let key = frame.key(1)?;
    if frame.len() > 2 {
        let value = frame.sv(2);
        notes.set(&key, value.to_note());
        frame.ret(Sv::copied(value.raw()));
    } else {
        frame.ret(
            notes
                .get(&key)
                .map_or_else(Sv::undef, |note| Sv::from_note(&note)),
        );
    }
    Ok(())
}

/// What is kept of a value that a plugin wrote, and what it wrote where that is not all of it.
pub fn written(value: &Sv) -> (Option<Vec<u8>>, Option<Note>) {
    let bytes = value.is_defined().then(|| value.to_bytes());
    match value.to_note() {
        note @ (Note::Text(_) | Note::Foreign(_)) => (bytes, Some(note)),
        _ => (bytes, None),
    }
}

fn text(
    frame: &mut Frame<'_>,
    name: &'static str,
    field: fn(&Connection) -> &RefCell<Option<Vec<u8>>>,
) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    let field = field(&connection);
    if frame.len() > 1 {
        let value = frame.sv(1);
        let (_, note) = written(&value);
        // Another object's text is what it says of itself.
        let bytes = frame.defined_bytes(1)?;
        match note {
            Some(note) => connection.faces.set(name, bytes.as_deref(), note),
            None => connection.faces.clear(name),
        }
        field.replace(bytes);
    }
    let bytes = field.borrow();
    match connection.faces.get(name, bytes.as_deref()) {
        Some(note) => frame.ret(Sv::from_note(&note)),
        None => frame.ret_optional(bytes.as_deref()),
    }
    Ok(())
}

fn number(
    frame: &mut Frame<'_>,
    name: &'static str,
    field: fn(&Connection) -> &Cell<Option<i64>>,
) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    let field = field(&connection);
    let kept = |number: Option<i64>| number.map(|number| number.to_string().into_bytes());
    if frame.len() > 1 {
        let number = frame.is_defined(1).then(|| frame.int(1));
        field.set(number);
        match frame.sv(1).to_note() {
            Note::Int(_) | Note::Undef => connection.faces.clear(name),
            note => connection.faces.set(name, kept(number).as_deref(), note),
        }
    }
    let number = field.get();
    match connection.faces.get(name, kept(number).as_deref()) {
        Some(note) => frame.ret(Sv::from_note(&note)),
        None => frame.ret(number.map_or_else(Sv::undef, Sv::int)),
    }
    Ok(())
}

const RELAY_CLIENT: &str = "relay_client";

fn relay_client(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    if frame.len() > 1 {
        let may = frame.is_true(1);
        connection.relay_client.set(may);
        connection.relay_client_said.set(true);
        let note = frame.sv(1).to_note();
        connection.faces.set(RELAY_CLIENT, Some(kept(may)), note);
    }
    let may = connection.relay_client.get();
    let face = connection.faces.get(RELAY_CLIENT, Some(kept(may)));
    frame.ret(match (face, connection.relay_client_said.get()) {
        (Some(note), _) => Sv::from_note(&note),
        (None, said) if may || said => Sv::int(may.into()),
        (None, _) => Sv::undef(),
    });
    Ok(())
}

fn kept(truth: bool) -> &'static [u8] {
    match truth {
        true => b"1",
        false => b"0",
    }
}
