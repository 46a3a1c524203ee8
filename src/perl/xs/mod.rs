//! Subs of the Qpsmtpd:: classes that are written in Rust, and the frame through which they
//! see their arguments. A body returns a status; the C trampoline croaks or exits once the
//! Rust frames are gone.

mod address;
mod body;
mod commands;
mod connection;
pub(super) mod keys;
mod misc;
pub(super) mod notes;
mod qp;
mod transaction;

pub(super) use address::{part as address_part, set_part as set_address_part};
pub(super) use body::parts as transaction_parts;
pub(super) use connection::{
    FIELDS as CONNECTION_FIELDS, part as connection_part, set_part as set_connection_part,
};
pub(super) use transaction::{fresh as new_transaction, header_object, set_header};

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::OnceLock;

use crate::mail::Note;
use crate::perl::fast;
use crate::perl::ffi::call::{Unwind, Want, stringify};
use crate::perl::ffi::object::{self, Owned};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::{self, Sv};

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

pub(in crate::perl) type Body = fn(&mut Frame<'_>) -> Result<(), Raise>;

/// Indexes from here on are native plugins' entries in the table of hooks.
pub(super) const FIRST_NATIVE: i32 = 1 << 20;

fn table() -> &'static [(&'static str, Body)] {
    static TABLE: OnceLock<Vec<(&'static str, Body)>> = OnceLock::new();
    TABLE.get_or_init(|| {
        [
            address::XSUBS,
            body::XSUBS,
            commands::COMMANDS,
            commands::RESPONDERS,
            commands::XSUBS,
            connection::XSUBS,
            fast::XSUBS,
            fast::header::XSUBS,
            fast::immune::XSUBS,
            fast::plugin_log::XSUBS,
            misc::XSUBS,
            notes::XSUBS,
            qp::XSUBS,
            transaction::XSUBS,
        ]
        .concat()
    })
}

/// Called by the glue before the interpreter's program is compiled: defines every sub.
#[unsafe(no_mangle)]
extern "C" fn camelpost_boot() {
    let _ = catch_unwind(define_all);
}

fn define_all() {
    crate::perl::ffi::object::add_keys();
    for (index, (name, _)) in table().iter().enumerate() {
        let name = CString::new(*name).unwrap_or_default();
        // SAFETY: the interpreter runs; the name ends in NUL.
        unsafe { sys::cp_define(name.as_ptr(), index as i32, std::ptr::null()) }
    }
    // SAFETY: the sub was defined above and lives as long as the interpreter.
    let modules = unsafe { sys::cp_code(c"Camelpost::_module".as_ptr()) };
    let modules = Sv::share(modules).reference();
    // SAFETY: a live code reference, which @INC shares.
    unsafe { sys::cp_include_first(modules.raw()) }
}

/// The arguments of a running sub, and its results.
pub struct Frame<'a> {
    raw: &'a mut sys::cp_frame,
}

impl Frame<'_> {
    pub fn len(&self) -> usize {
        self.raw.count
    }

    fn raw_arg(&self, index: usize) -> Option<*mut sys::cp_sv> {
        // SAFETY: `args` holds `count` live pointers while the sub runs.
        (index < self.raw.count).then(|| unsafe { *self.raw.args.add(index) })
    }

    /// An argument; undef where it was not given.
    pub fn sv(&self, index: usize) -> Sv {
        self.raw_arg(index).map_or_else(Sv::undef, Sv::share)
    }

    /// The arguments from `index` on.
    pub fn rest(&self, index: usize) -> Vec<Sv> {
        (index..self.len()).map(|i| self.sv(i)).collect()
    }

    /// An argument as bytes; empty where it is undefined.
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, Raise> {
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
    pub fn key(&self, index: usize) -> Result<Vec<u8>, Raise> {
        let bytes = self.bytes(index)?;
        if let Note::Text(text) = self.sv(index).to_note()
            && text.chars().all(|c| u32::from(c) < 256)
        {
            return Ok(text.chars().map(|c| c as u8).collect());
        }
        Ok(bytes)
    }

    /// An argument as bytes; `None` where it is undefined or was not given.
    pub fn defined_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, Raise> {
        if self.is_defined(index) {
            self.bytes(index).map(Some)
        } else {
            Ok(None)
        }
    }

    pub fn int(&self, index: usize) -> i64 {
        // SAFETY: a live SV.
        self.raw_arg(index)
            .map_or(0, |raw| unsafe { sys::cp_int(raw) })
    }

    pub fn is_defined(&self, index: usize) -> bool {
        // SAFETY: a live SV.
        self.raw_arg(index)
            .is_some_and(|raw| unsafe { sys::cp_is_defined(raw) != 0 })
    }

    pub fn wants(&self) -> Want {
        match self.raw.want as u32 {
            sys::CP_LIST => Want::List,
            sys::CP_SCALAR => Want::Scalar,
            _ => Want::Void,
        }
    }

    /// The Rust state of an object, which must be of the right class.
    pub fn object<T: Owned>(&self, index: usize) -> Result<Rc<T>, Raise> {
        object::expect(self.raw_arg(index)).map_err(Raise::Croak)
    }

    /// warn; perl adds the caller's file and line.
    pub fn warn(&self, text: &str) -> Result<(), Raise> {
        Ok(crate::perl::ffi::call::warn(text)?)
    }

    pub fn ret(&mut self, value: Sv) {
        // SAFETY: the frame takes over the reference.
        unsafe { sys::cp_return(self.raw, value.into_raw()) }
    }

    pub fn ret_bytes(&mut self, bytes: &[u8]) {
        self.ret(Sv::bytes(bytes));
    }

    pub fn ret_optional(&mut self, bytes: Option<&[u8]>) {
        self.ret(Sv::optional(bytes));
    }

    pub fn ret_int(&mut self, n: i64) {
        self.ret(Sv::int(n));
    }

    /// Perl's own true or false ("").
    pub fn ret_bool(&mut self, truth: bool) {
        self.ret(if truth { Sv::int(1) } else { Sv::bytes(b"") });
    }
}

/// Called by the trampoline in glue.c.
#[unsafe(no_mangle)]
extern "C" fn camelpost_xs(index: i32, frame: *mut sys::cp_frame) -> i32 {
    // SAFETY: the trampoline passes its own frame, which outlives this call.
    let raw = unsafe { &mut *frame };
    let mut frame = Frame { raw };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        if index >= FIRST_NATIVE {
            return crate::perl::host::chain::call_native_entry(index - FIRST_NATIVE, &mut frame);
        }
        match table().get(index as usize) {
            Some((_, body)) => body(&mut frame),
            None => Err(Raise::Croak("no such sub".to_owned())),
        }
    }));
    let mut outcome = ran.unwrap_or_else(|panic| Err(Raise::Croak(panic_message(&*panic))));
    if value::any_dropped() && value::release_dropped_in_call().is_err() {
        outcome = Err(Raise::Exit);
    }
    (match outcome {
        Ok(()) => sys::CP_XS_OK,
        Err(Raise::Croak(message)) => {
            frame.raw.error = Sv::bytes(message.as_bytes()).into_raw();
            sys::CP_XS_CROAK
        }
        Err(Raise::Die(error)) => {
            frame.raw.error = error.into_raw();
            sys::CP_XS_CROAK
        }
        Err(Raise::Exit) => sys::CP_XS_EXIT,
    }) as i32
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("internal error in Camelpost: {}", text.unwrap_or_default())
}
