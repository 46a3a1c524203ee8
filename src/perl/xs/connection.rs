//! Qpsmtpd::Connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::mail::{
    Connection, HELLO_HOST, LOCAL_IP, LOCAL_PORT, Note, Notes, REMOTE_HOST, REMOTE_INFO, REMOTE_IP,
    REMOTE_PORT,
};
use crate::perl::ffi::call::{Unwind, stringify};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Connection::_new", new),
    ("Qpsmtpd::Connection::_take", take),
    ("Qpsmtpd::Connection::reset", reset),
    ("Qpsmtpd::Connection::notes", notes),
    ("Qpsmtpd::Connection::remote_ip", |f| access(f, 0)),
    ("Qpsmtpd::Connection::remote_host", |f| access(f, 1)),
    ("Qpsmtpd::Connection::remote_info", |f| access(f, 2)),
    ("Qpsmtpd::Connection::local_ip", |f| access(f, 3)),
    ("Qpsmtpd::Connection::hello", |f| access(f, 4)),
    ("Qpsmtpd::Connection::hello_host", |f| access(f, 5)),
    ("Qpsmtpd::Connection::remote_port", |f| access(f, 6)),
    ("Qpsmtpd::Connection::local_port", |f| access(f, 7)),
    ("Qpsmtpd::Connection::relay_client", |f| access(f, 8)),
];

/// How a field of a connection is kept.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    Text(fn(&Connection) -> &RefCell<Option<Vec<u8>>>),
    Number(fn(&Connection) -> &Cell<Option<i64>>),
    Relay,
}

/// The fields by their names; plugins find them in the object's hash behind a `_`, too.
pub(crate) const FIELDS: &[(&str, Kept)] = &[
    (REMOTE_IP, Kept::Text(|c| &c.remote_ip)),
    (REMOTE_HOST, Kept::Text(|c| &c.remote_host)),
    (REMOTE_INFO, Kept::Text(|c| &c.remote_info)),
    (LOCAL_IP, Kept::Text(|c| &c.local_ip)),
    ("hello", Kept::Text(|c| &c.hello)),
    (HELLO_HOST, Kept::Text(|c| &c.hello_host)),
    (REMOTE_PORT, Kept::Number(|c| &c.remote_port)),
    (LOCAL_PORT, Kept::Number(|c| &c.local_port)),
    (RELAY_CLIENT, Kept::Relay),
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
pub(super) fn access_notes(frame: &mut Frame<'_>, notes: &Notes) -> Result<(), Raise> {
    if !frame.is_defined(1) {
        frame.warn("Use of uninitialized value $key in hash element")?;
    }
    let key = frame.key(1)?;
    if frame.len() > 2 {
        let value = frame.sv(2);
        notes.set(&key, value.to_note());
        frame.ret(Sv::copied(value.raw()));
    } else {
        frame.ret(super::notes::get(notes, &key));
    }
    Ok(())
}

/// What is kept of a value that a plugin wrote, and what it wrote where that is not all of it.
pub(super) fn written(value: &Sv) -> (Option<Vec<u8>>, Option<Note>) {
    let bytes = value.is_defined().then(|| value.to_bytes());
    match value.to_note() {
        note @ (Note::Text(_) | Note::Tainted(_) | Note::Foreign(_)) => (bytes, Some(note)),
        _ => (bytes, None),
    }
}

/// FIELD() or FIELD(VALUE).
fn access(frame: &mut Frame<'_>, field: usize) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    if frame.len() > 1 {
        set_part(&connection, field, &frame.sv(1))?;
    }
    frame.ret(part(&connection, field));
    Ok(())
}

/// A field as plugins have it.
pub(crate) fn part(connection: &Connection, field: usize) -> Sv {
    let Some((name, kept)) = FIELDS.get(field) else {
        return Sv::undef();
    };
    let faces = &connection.faces;
    match kept {
        Kept::Text(field) => {
            let bytes = field(connection).borrow();
            match faces.get(name, bytes.as_deref()) {
                Some(note) => Sv::from_note(&note),
                None => Sv::optional(bytes.as_deref()),
            }
        }
        Kept::Number(field) => {
            let number = field(connection).get();
            match faces.get(name, in_digits(number).as_deref()) {
                Some(note) => Sv::from_note(&note),
                None => number.map_or_else(Sv::undef, Sv::int),
            }
        }
        Kept::Relay => {
            let may = connection.relay_client.get();
            let face = faces.get(name, Some(truth(may)));
            match (face, connection.relay_client_said.get()) {
                (Some(note), _) => Sv::from_note(&note),
                (None, said) if may || said => Sv::int(may.into()),
                (None, _) => Sv::undef(),
            }
        }
    }
}

/// Puts a value of a plugin's into a field.
pub(crate) fn set_part(connection: &Connection, field: usize, value: &Sv) -> Result<(), Unwind> {
    let Some((name, kept)) = FIELDS.get(field) else {
        return Ok(());
    };
    match kept {
        Kept::Text(field) => {
            let (_, note) = written(value);
            // Another object's text is what it says of itself.
            let bytes = match value.is_defined() {
                true => Some(stringify(value)?),
                false => None,
            };
            match note {
                Some(note) => connection.faces.set(name, bytes.as_deref(), note),
                None => connection.faces.clear(name),
            }
            field(connection).replace(bytes);
        }
        Kept::Number(field) => {
            let number = value.is_defined().then(|| value.as_int());
            field(connection).set(number);
            match value.to_note() {
                Note::Int(_) | Note::Undef => connection.faces.clear(name),
                note => connection
                    .faces
                    .set(name, in_digits(number).as_deref(), note),
            }
        }
        Kept::Relay => {
            let may = value.is_given();
            connection.relay_client.set(may);
            connection.relay_client_said.set(true);
            connection
                .faces
                .set(name, Some(truth(may)), value.to_note());
        }
    }
    Ok(())
}

const RELAY_CLIENT: &str = "relay_client";

fn in_digits(number: Option<i64>) -> Option<Vec<u8>> {
    number.map(|number| number.to_string().into_bytes())
}

fn truth(truth: bool) -> &'static [u8] {
    match truth {
        true => b"1",
        false => b"0",
    }
}
