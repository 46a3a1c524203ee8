//! Values whose last owner in Rust is gone: they are released at safe points, outside the async runtime and
//! outside every borrow, as their DESTROY may run there.

use std::collections::VecDeque;

use super::call::Unwind;
use super::sys;
use super::value::GIVEN_UP;

/// Releases what was dropped since the last time, where no Perl code is on its way. Objects' DESTROY
/// runs here.
pub fn release_dropped() -> Result<(), Unwind> {
    // SAFETY: the interpreter runs, outside every borrow; exiting ends in the outcome.
    Unwind::check_exit(unsafe {
        match sys::cp_walked() {
            0 => sys::CP_OK as i32,
            _ => sys::cp_forget_walks(),
        }
    })?;
    release_dropped_in_call()
}

/// The same within a call from Perl.
pub fn release_dropped_in_call() -> Result<(), Unwind> {
    loop {
        // SAFETY: the interpreter runs, outside every borrow; exiting ends in the outcome.
        Unwind::check_exit(unsafe {
            match sys::cp_looked() {
                0 => sys::CP_OK as i32,
                _ => sys::cp_forget_looks(),
            }
        })?;
        let mut batch = GIVEN_UP.with_borrow_mut(std::mem::take);
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.make_contiguous();
        // SAFETY: each pointer came from an `Sv` that owned one reference and is gone.
        let outcome = unsafe { sys::cp_drop(batch.as_mut_ptr(), batch.len()) };
        Unwind::check_exit(outcome)?;
    }
}

/// Values that a session has given up, which go in its own turn.
#[derive(Default)]
pub struct Dropped(VecDeque<*mut sys::cp_sv>);

impl Dropped {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what was dropped since `release_dropped`.
    pub fn take(&mut self) {
        GIVEN_UP.with_borrow_mut(|list| self.0.append(list));
    }

    /// Gives them to `release_dropped`.
    pub fn put(&mut self) {
        GIVEN_UP.with_borrow_mut(|list| list.append(&mut self.0));
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.put();
    }
}

/// Called by C where an object's state has just gone: the oldest value that waits, or null.
#[unsafe(no_mangle)]
extern "C" fn camelpost_next_dropped() -> *mut sys::cp_sv {
    let next = GIVEN_UP.with_borrow_mut(VecDeque::pop_front);
    next.unwrap_or(std::ptr::null_mut())
}

/// Whether anything waits for `release_dropped`.
pub fn any_dropped() -> bool {
    // SAFETY: looks at a length.
    GIVEN_UP.with_borrow(|list| !list.is_empty()) || unsafe { sys::cp_looked() != 0 }
}
