//! Qpsmtpd::Connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{Body, Frame, Raise};
use crate::mail::{Connection, Notes};
use crate::perl::object;
use crate::perl::value::Sv;

pub const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Connection::new", new),
    ("Qpsmtpd::Connection::clone", clone),
    ("Qpsmtpd::Connection::reset", reset),
    ("Qpsmtpd::Connection::notes", notes),
    ("Qpsmtpd::Connection::remote_ip", |f| {
        text(f, |c| &c.remote_ip)
    }),
    ("Qpsmtpd::Connection::remote_host", |f| {
        text(f, |c| &c.remote_host)
    }),
    ("Qpsmtpd::Connection::remote_info", |f| {
        text(f, |c| &c.remote_info)
    }),
    ("Qpsmtpd::Connection::local_ip", |f| {
        text(f, |c| &c.local_ip)
    }),
    ("Qpsmtpd::Connection::hello", |f| text(f, |c| &c.hello)),
    ("Qpsmtpd::Connection::hello_host", |f| {
        text(f, |c| &c.hello_host)
    }),
    ("Qpsmtpd::Connection::remote_port", |f| {
        number(f, |c| &c.remote_port)
    }),
    ("Qpsmtpd::Connection::local_port", |f| {
        number(f, |c| &c.local_port)
    }),
    ("Qpsmtpd::Connection::relay_client", relay_client),
];

fn new(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let class = frame.sv(0);
    frame.ret(object::new(Rc::new(Connection::default()), Some(&class)));
    Ok(())
}

/// The same client and notes, without its greeting.
fn clone(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    frame.ret(object::new(Rc::new(connection.without_greeting()), None));
    Ok(())
}

fn reset(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    connection.notes.clear();
    Ok(())
}

fn notes(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    access_notes(frame, &connection.notes)
}

/// `notes(KEY)` and `notes(KEY, VALUE)`, on any object that has notes.
pub fn access_notes(frame: &mut Frame<'_>, notes: &Notes) -> Result<(), Raise> {
    let key = frame.bytes(1)?;
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

fn text(
    frame: &mut Frame<'_>,
    field: fn(&Connection) -> &RefCell<Option<Vec<u8>>>,
) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    let field = field(&connection);
    if frame.len() > 1 {
        let value = frame.defined_bytes(1)?;
        field.replace(value);
    }
    frame.ret_optional(field.borrow().as_deref());
    Ok(())
}

fn number(
    frame: &mut Frame<'_>,
    field: fn(&Connection) -> &Cell<Option<i64>>,
) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    let field = field(&connection);
    if frame.len() > 1 {
        field.set(frame.is_defined(1).then(|| frame.int(1)));
    }
    frame.ret(field.get().map_or_else(Sv::undef, Sv::int));
    Ok(())
}

fn relay_client(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let connection = frame.object::<Connection>(0)?;
    if frame.len() > 1 {
        connection.relay_client.set(frame.is_true(1));
        connection.relay_client_said.set(true);
    }
    frame.ret(
        match (
            connection.relay_client.get(),
            connection.relay_client_said.get(),
        ) {
            (true, _) => Sv::int(1),
            (false, true) => Sv::int(0),
            (false, false) => Sv::undef(),
        },
    );
    Ok(())
}
