//! The process state that a session's plugins may change and the next session must not see:
//! %ENV, signal handlers, the table of hooks, perl's own hooks of require, Perl's separators, the selected handle, umask, working directory,
//! alarm, children. Compared after each session, put back only where it differs. Where sessions take
//! turns in a worker, what one has changed is kept for its next turn.

use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitOptions, umask};

use crate::mail::UNKNOWN;
use crate::perl::exchange::identity;
use crate::perl::exchange::stderr;
use crate::perl::ffi::call::{Unwind, Want, call_function};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;
use crate::watch;

/// What was noted before a worker's first session.
struct Noted {
    umask: Mode,
    dir: Option<OwnedFd>,
    identity: Option<(u64, u64)>,
}

/// What a session has changed, while another one's Perl code runs.
#[derive(Default)]
pub(in crate::perl) struct Changes {
    /// What `Camelpost::take_state` gave.
    state: Option<Sv>,
    umask: Option<Mode>,
    dir: Option<OwnedFd>,
}

impl Changes {
    pub(in crate::perl) fn any(&self) -> bool {
        self.state.is_some()
    }
}

/// The process's state as it was before the first session, and who has changed it.
#[derive(Default)]
pub(crate) struct ProcessState {
    noted: OnceCell<Noted>,
    identity: identity::Noted,
    stderr: stderr::Noted,
}

impl ProcessState {
    /// Before a session: the first time, everything is noted.
    pub(crate) fn note(&self) -> Result<(), Unwind> {
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
        let _ = self.noted.set(Noted {
            umask: mask,
            dir: here(),
            identity: working_directory(),
        });
        Ok(())
    }

    /// STDERR is what it was.
    pub(crate) fn restore_stderr(&self) -> Result<(), Unwind> {
        self.stderr.restore();
        super::stdio::fresh_stderr()
    }

    /// A session is over: where it has made something else of the process, that serves no other.
    pub(crate) fn check_identity(&self) {
        if !watch::is_worn()
            && let Some(what) = self.identity.changed()
        {
            watch::wear_out();
            tracing::warn!("a plugin has changed {what}: this worker serves no other session");
        }
    }

    /// The variables of the connection that the inetd flavours had.
    pub(crate) fn set_environment(&self, environment: &[(&str, Vec<u8>)]) {
        for (name, value) in environment {
            let Ok(name) = CString::new(*name) else {
                continue;
            };
            // A name server has said it.
            let tainted = name.as_bytes() == b"TCPREMOTEHOST" && value != UNKNOWN;
            let (text, length) = (value.as_ptr().cast(), value.len());
            // SAFETY: the name ends in NUL, the value's range is copied, and no other thread
            // uses the environment.
            unsafe { sys::cp_set_variable(name.as_ptr(), text, length, tainted.into()) }
        }
    }

    /// Another session's turn: everything is as it was noted, and what was not is kept.
    pub(in crate::perl) fn take(&self) -> Result<Changes, Unwind> {
        let mut changes = Changes::default();
        if self.differs() {
            let taken = call_function("Camelpost::take_state", &[], Want::Scalar)?;
            changes.state = taken.into_iter().next();
        }
        if let Some(noted) = self.noted.get() {
            let mask = umask(noted.umask);
            changes.umask = (mask != noted.umask).then_some(mask);
            if working_directory() != noted.identity {
                changes.dir = here();
            }
        }
        self.restore()?;
        Ok(changes)
    }

    /// The session's turn again.
    pub(in crate::perl) fn put(&self, changes: Changes) -> Result<(), Unwind> {
        if let Some(mask) = changes.umask {
            umask(mask);
        }
        if let Some(dir) = changes.dir {
            // Where that has gone meanwhile, the session is where all begin.
            let _ = rustix::process::fchdir(dir);
        }
        if let Some(state) = changes.state {
            call_function("Camelpost::put_state", &[state], Want::Void)?;
        }
        Ok(())
    }

    fn differs(&self) -> bool {
        // SAFETY: the interpreter runs, and no Perl code runs now.
        unsafe { sys::cp_state_differs() != 0 }
    }

    /// Everything is as it was noted.
    pub(crate) fn restore(&self) -> Result<(), Unwind> {
        // A timer of the session's must not end a later one.
        super::stdio::cancel_alarm();
        self.stderr.restore();
        // SAFETY: the interpreter runs, and no Perl code runs now.
        if self.differs() {
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
        Ok(())
    }

    /// Children that plugins left behind and that have ended. Not while a session's plugin may
    /// still wait for one.
    pub(crate) fn reap(&self) {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
    }
}

fn here() -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(".", flags, Mode::empty()).ok()
}

fn working_directory() -> Option<(u64, u64)> {
    let stat = rustix::fs::stat(".").ok()?;
    Some((stat.st_dev, stat.st_ino))
}
