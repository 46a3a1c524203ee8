//! Subs of the Qpsmtpd:: classes that are written in Rust: their table, and where the trampoline in C calls
//! them. A body returns a status; the trampoline croaks or exits once the Rust frames are gone.

mod address;
mod body;
mod commands;
mod connection;
pub(super) mod keys;
mod misc;
mod native;
mod notes;
mod objects;
mod qp;
mod scripted;
mod store;
mod transaction;
mod warned;

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::perl::fast;
use crate::perl::ffi::dropped;
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::perl::host::table::FIRST_NATIVE;

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
            store::XSUBS,
            transaction::XSUBS,
            warned::XSUBS,
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
    objects::add_keys();
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

/// Called by the trampoline in glue.c.
#[unsafe(no_mangle)]
extern "C" fn camelpost_xs(index: i32, frame: *mut sys::cp_frame) -> i32 {
    // SAFETY: the trampoline passes its own frame, which outlives this call.
    let raw = unsafe { &mut *frame };
    let mut frame = Frame { raw };
    let ran = catch_unwind(AssertUnwindSafe(|| {
        if index >= FIRST_NATIVE {
            return native::call(index - FIRST_NATIVE, &mut frame);
        }
        match table().get(index as usize) {
            Some((_, body)) => body(&mut frame),
            None => Err(Raise::Croak("no such sub".to_owned())),
        }
    }));
    let mut outcome = ran.unwrap_or_else(|panic| Err(Raise::Croak(panic_message(&*panic))));
    if dropped::any_dropped() && dropped::release_dropped_in_call().is_err() {
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
