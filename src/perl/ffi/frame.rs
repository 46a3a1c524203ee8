//! The frame of a sub written in Rust: its arguments and results, and how a body leaves. The C trampoline
//! croaks or exits once the Rust frames are gone. Knows none of the subs.

use std::rc::Rc;

use super::call::{Unwind, Want, stringify, warn};
use super::object::{self, Owned};
use super::sys;
use super::value::{self, Sv};
use crate::mail::Note;

/// How a body leaves other than by returning.
#[derive(Debug)]
pub enum Raise {
    /// die with a message; perl adds the caller's file and line.
    Croak(String),
    /// die with this value.
    Die(Sv),
    /// The session, or the process, has been left (`exit`, `disconnect`).
    Exit,
}

impl From<Unwind> for Raise {
    fn from(unwind: Unwind) -> Raise {
        match unwind {
            Unwind::Died(error) => Raise::Die(error),
            Unwind::Exited(_) => Raise::Exit,
        }
    }
}

/// What a sub does.
pub(in crate::perl) type Body = fn(&mut Frame<'_>) -> Result<(), Raise>;

/// The arguments of a running sub, and its results.
pub(crate) struct Frame<'a> {
    pub(in crate::perl) raw: &'a mut sys::cp_frame,
}

impl Frame<'_> {
    pub(crate) fn len(&self) -> usize {
        self.raw.count
    }

    fn raw_arg(&self, index: usize) -> Option<*mut sys::cp_sv> {
        // SAFETY: `args` holds `count` live pointers while the sub runs.
        (index < self.raw.count).then(|| unsafe { *self.raw.args.add(index) })
    }

    /// An argument; undef where it was not given.
    pub(crate) fn sv(&self, index: usize) -> Sv {
        self.raw_arg(index).map_or_else(Sv::undef, Sv::share)
    }

    /// The arguments from `index` on.
    pub(crate) fn rest(&self, index: usize) -> Vec<Sv> {
        (index..self.len()).map(|i| self.sv(i)).collect()
    }

    /// An argument as bytes; empty where it is undefined.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, Raise> {
        let Some(raw) = self.raw_arg(index) else {
            return Ok(Vec::new());
        };
        // SAFETY: a live SV.
        if unsafe { sys::cp_ref_type(raw) as u32 } == sys::CP_REF_NONE {
            return Ok(value::plain_bytes(raw));
        }
        Ok(stringify(&Sv::share(raw))?)
    }

    /// An argument as the key of a hash: a character string that fits into bytes is those bytes.
    pub(crate) fn key(&self, index: usize) -> Result<Vec<u8>, Raise> {
        let bytes = self.bytes(index)?;
        if let Note::Text(text) = self.sv(index).to_note()
            && text.chars().all(|c| u32::from(c) < 256)
        {
            return Ok(text.chars().map(|c| c as u8).collect());
        }
        Ok(bytes)
    }

    /// An argument as bytes; `None` where it is undefined or was not given.
    pub(crate) fn defined_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, Raise> {
        if self.is_defined(index) {
            self.bytes(index).map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn int(&self, index: usize) -> i64 {
        // SAFETY: a live SV.
        self.raw_arg(index)
            .map_or(0, |raw| unsafe { sys::cp_int(raw) })
    }

    pub(crate) fn is_defined(&self, index: usize) -> bool {
        // SAFETY: a live SV.
        self.raw_arg(index)
            .is_some_and(|raw| unsafe { sys::cp_is_defined(raw) != 0 })
    }

    pub(crate) fn wants(&self) -> Want {
        match self.raw.want as u32 {
            sys::CP_LIST => Want::List,
            sys::CP_SCALAR => Want::Scalar,
            _ => Want::Void,
        }
    }

    /// The Rust state of an object, which must be of the right class.
    pub(crate) fn object<T: Owned>(&self, index: usize) -> Result<Rc<T>, Raise> {
        object::expect(self.raw_arg(index)).map_err(Raise::Croak)
    }

    /// warn; perl adds the caller's file and line.
    pub(crate) fn warn(&self, text: &str) -> Result<(), Raise> {
        Ok(warn(text)?)
    }

    pub(crate) fn ret(&mut self, value: Sv) {
        // SAFETY: the frame takes over the reference.
        unsafe { sys::cp_return(self.raw, value.into_raw()) }
    }

    pub(crate) fn ret_bytes(&mut self, bytes: &[u8]) {
        self.ret(Sv::bytes(bytes));
    }

    pub(crate) fn ret_optional(&mut self, bytes: Option<&[u8]>) {
        self.ret(Sv::optional(bytes));
    }

    pub(crate) fn ret_int(&mut self, n: i64) {
        self.ret(Sv::int(n));
    }

    /// Perl's own true or false ("").
    pub(crate) fn ret_bool(&mut self, truth: bool) {
        self.ret(if truth { Sv::int(1) } else { Sv::bytes(b"") });
    }
}
