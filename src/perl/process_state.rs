//! The process state that a session's plugins may change and the next session must not see:
//! %ENV, signal handlers, the table of hooks, Perl's separators, the selected handle, umask, working directory,
//! alarm, children. Compared after each session, put back only where it differs.

use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitOptions, umask};

use super::call::{Unwind, Want, call_function};
use super::{identity, stderr, sys};
use crate::watch;

/// What was noted before a worker's first session.
struct Noted {
    umask: Mode,
    dir: Option<OwnedFd>,
    identity: Option<(u64, u64)>,
}

/// See the module's description.
#[derive(Default)]
pub struct ProcessState {
    noted: OnceCell<Noted>,
    identity: identity::Noted,
    stderr: stderr::Noted,
}

impl ProcessState {
    /// Before a session: the first time, everything is noted.
    pub fn note(&self) -> Result<(), Unwind> {
        if self.noted.get().is_some() {
            return Ok(());
        }
        call_function("Camelpost::note_state", &[], Want::Void)?;
        // SAFETY: the interpreter runs, and no Perl code runs now.
        unsafe { sys::cp_note_state() }
        self.identity.note();
        self.stderr.note();
        let mask = umask(Mode::empty());
        umask(mask);
        let dir = rustix::fs::open(
            ".",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let _ = self.noted.set(Noted {
            umask: mask,
            dir: dir.ok(),
            identity: working_directory(),
        });
        Ok(())
    }

    pub fn restore_stderr(&self) {
        self.stderr.restore();
    }

    /// A session is over: where it has made something else of the process, that serves no other.
    pub fn check_identity(&self) {
        if let Some(what) = self.identity.changed() {
            watch::wear_out();
            tracing::warn!("a plugin has changed {what}: this worker serves no other session");
        }
    }

    /// The variables of the connection that the inetd flavours had.
    pub fn set_environment(&self, environment: &[(&str, Vec<u8>)]) {
        for (name, value) in environment {
            let Ok(name) = CString::new(*name) else {
                continue;
            };
            // SAFETY: the name ends in NUL, the value's range is copied, and no other thread
            // uses the environment.
            unsafe { sys::cp_set_variable(name.as_ptr(), value.as_ptr().cast(), value.len()) }
        }
    }

    /// After a session.
    pub fn restore(&self) -> Result<(), Unwind> {
        // A timer of the session's must not end a later one.
        super::stdio::cancel_alarm();
        self.stderr.restore();
        // SAFETY: the interpreter runs, and no Perl code runs now.
        if unsafe { sys::cp_state_differs() } != 0 {
            call_function("Camelpost::restore_state", &[], Want::Void)?;
        }
        // SAFETY: as above. Last, as perl makes a handler that goes the system's.
        unsafe { sys::cp_restore_signals() }
        if let Some(noted) = self.noted.get() {
            umask(noted.umask);
            if working_directory() != noted.identity
                && let Some(dir) = &noted.dir
            {
                let _ = rustix::process::fchdir(dir);
            }
        }
        // Children that a plugin left behind and that have ended.
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        Ok(())
    }
}

fn working_directory() -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(".").ok()?;
    Some((stat.st_dev, stat.st_ino))
}
