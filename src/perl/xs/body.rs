//! Qpsmtpd::Transaction: the body, in memory or spooled.

use std::os::fd::{AsFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;

use crate::base::log::LOGWARN;
use crate::config::Profile;
use crate::mail::{BodyError, Transaction};
use crate::perl::ffi::call::{Want, call_function};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::{PerlValue, Sv};
use crate::perl::host;

pub(super) const XSUBS: &[(&str, Body)] = &[
    ("Qpsmtpd::Transaction::body_write", body_write),
    ("Qpsmtpd::Transaction::body_spool", body_spool),
    ("Qpsmtpd::Transaction::body_filename", body_filename),
    ("Qpsmtpd::Transaction::body_fh", body_fh),
    ("Qpsmtpd::Transaction::dup_body_fh", dup_body_fh),
    ("Qpsmtpd::Transaction::body_getline", body_getline),
    ("Qpsmtpd::Transaction::body_resetpos", body_resetpos),
    ("Qpsmtpd::Transaction::body_as_string", body_as_string),
    ("Qpsmtpd::Transaction::body_length", |f| {
        told_size(f, |body| body.body_size())
    }),
    ("Qpsmtpd::Transaction::body_size", body_size),
    ("Qpsmtpd::Transaction::data_size", |f| {
        told_size(f, |body| body.size())
    }),
    ("Qpsmtpd::Transaction::body_start", body_start),
    ("Qpsmtpd::Transaction::set_body_start", set_body_start),
    ("Qpsmtpd::Transaction::body_current_pos", |f| {
        size(f, |body| body.position())
    }),
];

impl From<BodyError> for Raise {
    fn from(error: BodyError) -> Raise {
        Raise::Croak(error.to_string())
    }
}

type Size = fn(&crate::mail::Body) -> u64;

fn size_of(frame: &Frame<'_>, of: Size) -> Result<Sv, Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let size = of(&transaction.body.borrow());
    Ok(Sv::int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn size(frame: &mut Frame<'_>, of: Size) -> Result<(), Raise> {
    frame.ret(size_of(frame, of)?);
    Ok(())
}

/// A size that the client has told by what it sent: as the original has it, that is its number.
fn told_size(frame: &mut Frame<'_>, of: Size) -> Result<(), Raise> {
    frame.ret(size_of(frame, of)?.tainted());
    Ok(())
}

/// The old name of data_size, which warns of itself.
fn body_size(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    // As each version spells it.
    let old = match host.config().profile() {
        Profile::V094 => "depreceated",
        Profile::V100 => "deprecated",
    };
    let text = format!("WARNING: body_size() is {old}, use data_size() instead");
    host.log(LOGWARN, None, None, &[Sv::text(&text)])?;
    told_size(frame, |body| body.size())
}

/// body_write($text) or body_write(\$text).
fn body_write(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let data = frame.sv(1);
    let text = match data.referent() {
        Some(text) => text.to_bytes(),
        None => data.to_bytes(),
    };
    let mut body = transaction.body.borrow_mut();
    let was_spooled = body.path().is_some();
    body.write_lines(&text)?;
    // As the original's arithmetic has it.
    frame.ret(match was_spooled {
        true => Sv::int(i64::try_from(body.size()).unwrap_or(i64::MAX)),
        false => Sv::undef(),
    });
    Ok(())
}

fn body_spool(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    transaction.body.borrow_mut().spool()?;
    frame.ret_int(1);
    Ok(())
}

/// The spool file's name; a body in memory is written to one first.
fn body_filename(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    transaction.body.borrow_mut().spool()?;
    frame.ret(parts::body_path(&transaction).unwrap_or_else(Sv::undef));
    Ok(())
}

fn body_fh(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    frame.ret(parts::body_handle(&transaction).unwrap_or_else(Sv::undef));
    Ok(())
}

fn dup_body_fh(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    transaction.body.borrow_mut().spool()?;
    frame.ret(parts::new_handle(&transaction).unwrap_or_else(Sv::undef));
    Ok(())
}

fn body_getline(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let mut line = Vec::new();
    let mut body = transaction.body.borrow_mut();
    if body.size() == 0 && body.path().is_none() {
        return Ok(());
    }
    let more = body.next_line(&mut line)?;
    frame.ret(match more {
        true => Sv::tainted_bytes(&line),
        false => Sv::undef(),
    });
    Ok(())
}

/// Reading starts again at the body's first line, through `body_getline` and `body_fh`.
fn body_resetpos(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    transaction.body.borrow_mut().reset_position();
    parts::rewind_handle(&transaction)?;
    frame.ret_int(1);
    Ok(())
}

fn body_as_string(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let mut body = transaction.body.borrow_mut();
    let start = body.start_offset();
    let text = body.read_from(start)?;
    body.skip_to_end();
    frame.ret(Sv::tainted_bytes(&text));
    Ok(())
}

fn body_start(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    if frame.len() > 1 {
        return Err(Raise::Croak("body_start now read only".to_owned()));
    }
    let start = transaction.body.borrow().start();
    let start = start.map(|start| Sv::int(i64::try_from(start).unwrap_or(i64::MAX)));
    frame.ret(start.unwrap_or_else(Sv::undef));
    Ok(())
}

/// What follows is the body; returns where it begins.
fn set_body_start(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let transaction = frame.object::<Transaction>(0)?;
    let start = transaction.body.borrow_mut().start_here();
    frame.ret(match start {
        0 => Sv::undef(),
        end => Sv::int(i64::try_from(end).unwrap_or(i64::MAX)),
    });
    Ok(())
}

/// Parts of a transaction as Perl values; also for the keys that plugins read directly.
pub(crate) mod parts {
    use super::*;

    pub(crate) fn recipients(transaction: &Transaction) -> Vec<Sv> {
        let list = transaction.recipients.borrow().clone();
        list.iter().map(|address| object::of(address)).collect()
    }

    pub(crate) fn body_path(transaction: &Transaction) -> Option<Sv> {
        let body = transaction.body.borrow();
        body.path()
            .map(|path| Sv::bytes(path.as_os_str().as_bytes()))
    }

    /// The handle on the spool file, the same at each call; none for a body in memory.
    pub(crate) fn body_handle(transaction: &Transaction) -> Option<Sv> {
        if let Some(known) = &*transaction.body_handle.borrow() {
            return PerlValue::of(known.as_ref()).cloned();
        }
        let handle = new_handle(transaction)?;
        // SAFETY: a live glob reference, which gets the class of the original's handle.
        unsafe { sys::cp_bless(handle.raw(), c"IO::File".as_ptr()) }
        transaction
            .body_handle
            .replace(Some(Box::new(PerlValue(handle.clone()))));
        Some(handle)
    }

    pub(crate) fn new_handle(transaction: &Transaction) -> Option<Sv> {
        let body = transaction.body.borrow();
        let fd = rustix::io::fcntl_dupfd_cloexec(body.file()?.as_fd(), 3).ok()?;
        // SAFETY: the descriptor is owned by the new handle; the mode ends in NUL.
        let raw = unsafe { sys::cp_new_handle(fd.into_raw_fd(), c"r+".as_ptr()) };
        Sv::own(raw)
    }

    pub(crate) fn rewind_handle(transaction: &Transaction) -> Result<(), Raise> {
        let start = transaction.body.borrow_mut().start_offset();
        let handle = match &*transaction.body_handle.borrow() {
            Some(known) => PerlValue::of(known.as_ref()).cloned(),
            None => None,
        };
        let is_there = if let Some(handle) = handle {
            let start = Sv::int(i64::try_from(start).unwrap_or(i64::MAX));
            let told = call_function("Camelpost::rewind", &[handle, start], Want::Scalar)?;
            told.first().is_some_and(|told| !told.to_bytes().is_empty())
        } else if let Some(file) = transaction.body.borrow().file() {
            // A handle that is made later shares this offset.
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(start)).is_ok()
        } else {
            true
        };
        if is_there {
            return Ok(());
        }
        // What is read next would not be the message.
        let text = "cannot go back to the start of the spooled message".to_owned();
        transaction.body.borrow_mut().distrust(text.clone());
        Err(Raise::Croak(text))
    }

    /// The body's lines, header included, while it is in memory.
    pub(crate) fn body_lines(transaction: &Transaction) -> Option<Sv> {
        let body = transaction.body.borrow();
        let lines = body.lines_in_memory()?;
        Some(Sv::array_of(lines.map(Sv::tainted_bytes)))
    }

    /// An assignment to `{_body_array}`.
    pub(crate) fn replace_body(transaction: &Transaction, lines: &Sv) {
        let lines = (0..lines.array_len()).filter_map(|index| lines.array_get(index));
        let lines: Vec<Vec<u8>> = lines.map(|line| line.to_bytes()).collect();
        let mut body = transaction.body.borrow_mut();
        body.replace_in_memory(lines.iter().map(Vec::as_slice));
    }
}
