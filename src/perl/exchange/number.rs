//! `$$` is the number of the session that Perl code runs for, where that has one: one number for one
//! connection, as under qpsmtpd-forkserver, in log lines and in the names of files that plugins make
//! of it. Outside of sessions it is the process's id, and always in children that plugins fork.

use std::cell::Cell;

use crate::base::log::{self, LogPid};
use crate::perl::ffi::call::{Unwind, Want, call_function, has_function};
use crate::perl::ffi::stray;
use crate::perl::ffi::sys;

/// The session's number as Perl has it, `$$`.
#[derive(Default)]
pub struct Number {
    session: Cell<Option<u32>>,
    /// What `$$` is at present.
    shown: Cell<Option<u32>>,
}

impl Number {
    /// Perl code runs for a session of this number from now on, or for none that has one.
    pub fn set(&self, number: Option<u32>) {
        self.session.set(number);
        log::set_session(number);
        self.show(number);
    }

    /// The session goes on in a process that was forked for it, where `$$` is that process's id so
    /// far.
    pub fn keep(&self, number: Option<u32>) {
        self.shown.set(None);
        self.set(number);
    }

    /// At a session's end: temporary files that were to last as long as its process would, which
    /// File::Temp lists by `$$`.
    pub fn clear_temporary(&self) -> Result<(), Unwind> {
        if self.session.get().is_some() && has_function(c"File::Temp::cleanup") {
            call_function("File::Temp::cleanup", &[], Want::Void)?;
        }
        Ok(())
    }

    fn show(&self, number: Option<u32>) -> Option<u32> {
        let before = self.shown.replace(number);
        if before != number {
            // SAFETY: the interpreter runs, and no Perl code runs now.
            unsafe { sys::cp_set_pid_variable(number.unwrap_or_default()) }
        }
        before
    }

    /// What a line begins with that is written now.
    pub(in crate::perl) fn first_word(&self) -> u32 {
        // A plugin's child tells of itself, as it does under the original.
        let session = self.session.get();
        log::first_word(session.filter(|_| !stray::is_stray_child()))
    }

    /// Runs logging plugins: they begin a line with `$$`.
    pub(in crate::perl) fn with_pid_of_lines<T>(&self, work: impl FnOnce() -> T) -> T {
        if log::log_pid() == LogPid::Session {
            return work();
        }
        let before = self.show(None);
        let done = work();
        self.show(before);
        done
    }
}
