//! What a plugin keeps is the session's: in its object, in the variables of its file and packages, in
//! what these lead to. The variables stay where they are, as code refers to them; their contents are
//! set aside while another session has its turn, and go at the session's end, as with a process of its
//! own. Which they are, `site.rs` says.

pub(super) mod identity;
pub(super) mod number;
pub(super) mod process_state;
pub mod secured;
pub(super) mod site;
pub(super) mod stderr;
pub mod stdio;

use std::ptr::NonNull;

use crate::perl::ffi::call::Unwind;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// A session's contents while another session has its turn.
#[derive(Default)]
pub(super) struct Aside(Option<NonNull<sys::cp_aside>>);

impl Drop for Aside {
    fn drop(&mut self) {
        let Some(aside) = self.0.take() else {
            return;
        };
        // SAFETY: it came from cp_exchange_take and is given up here; each value is owned. What may
        // run Perl code goes at the next safe point.
        while let Some(value) = Sv::own(unsafe { sys::cp_aside_give_up(aside.as_ptr()) }) {
            drop(value);
        }
    }
}

/// Everything is as each session begins; what the session has changed is kept.
pub(super) fn set_aside() -> Aside {
    // SAFETY: the interpreter runs, and no Perl code runs now.
    Aside(NonNull::new(unsafe { sys::cp_exchange_take() }))
}

/// The session's turn again.
pub(super) fn bring_back(mut aside: Aside) -> Result<(), Unwind> {
    match aside.0.take() {
        // SAFETY: it came from cp_exchange_take, and everything is as it was noted; exiting ends in
        // the outcome.
        Some(aside) => Unwind::check_exit(unsafe { sys::cp_exchange_put(aside.as_ptr()) }),
        None => Ok(()),
    }
}

/// A session begins: what was changed outside of sessions, as by a logging hook, is nobody's.
pub(super) fn begin() -> Result<(), Unwind> {
    // SAFETY: as above.
    Unwind::check_exit(unsafe { sys::cp_exchange_begin() })
}

/// The session's objects go, and everything is as each session begins.
pub(super) fn end() -> Result<(), Unwind> {
    // SAFETY: as above.
    Unwind::check_exit(unsafe { sys::cp_exchange_end() })
}

/// Values that go with this go without their DESTROY, which runs in another process.
pub fn forget<T>(values: T) -> Result<(), Unwind> {
    // SAFETY: sets a flag.
    unsafe { sys::cp_without_destroy(1) }
    drop(values);
    let released = crate::perl::ffi::dropped::release_dropped();
    // SAFETY: as above.
    unsafe { sys::cp_without_destroy(0) }
    released
}

/// A process that runs sessions: END blocks and the plugin objects' DESTROY belong to these from now on.
pub fn take_ends() {
    // SAFETY: the interpreter runs, and no Perl code runs now.
    unsafe { sys::cp_take_ends() }
}

/// The session ends as its own process would: END blocks, then DESTROY of the plugin objects. What they
/// died of, each.
pub(super) fn run_ends() -> Result<Vec<Sv>, Unwind> {
    let mut died = std::ptr::null_mut();
    // SAFETY: the interpreter runs; `died` is the caller's; exiting ends in the outcome.
    Unwind::check_exit(unsafe { sys::cp_run_ends(&mut died) })?;
    let Some(died) = Sv::own(died).map(|died| died.reference()) else {
        return Ok(Vec::new());
    };
    let texts = (0..died.array_len()).filter_map(|at| died.array_get(at));
    Ok(texts.collect())
}
