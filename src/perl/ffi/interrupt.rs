//! Perl code that takes too long is made to die: the signal that the supervisor sends, and what
//! the glue asks of the page when it has come. Who is interrupted, and when, is the supervisor's.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::sys;
use crate::watch::{self, Reason};

/// Interrupts are taken from now on; each is also told to `wake`, an eventfd, which must stay
/// open.
pub fn take(signal: i32, wake: BorrowedFd<'static>) -> io::Result<()> {
    // SAFETY: the interpreter runs on this thread; the descriptor stays open.
    match unsafe { sys::cp_take_interrupts(signal, wake.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The call that was to end has ended.
pub(in crate::perl) fn calm() {
    // SAFETY: clears a flag.
    unsafe { sys::cp_calm() }
}

/// Asked by the glue at a safe point after a signal: 0 is no, 1 for its time, 2 for its memory.
#[unsafe(no_mangle)]
extern "C" fn camelpost_is_interrupted() -> i32 {
    match (watch::is_interrupted(), watch::interrupt_reason()) {
        (false, _) => 0,
        (true, Reason::Time) => 1,
        (true, Reason::Memory) => 2,
    }
}

/// Called by the glue when a long jump of perl's has passed over frames of Rust: what these held may be
/// held for ever, so this process begins no other session.
#[unsafe(no_mangle)]
extern "C" fn camelpost_jumped_over() {
    watch::wear_out();
    tracing::error!(
        "perl has jumped over Camelpost's own code: this is a fault of Camelpost's; \
         this worker takes no further client"
    );
}

/// Called by the glue before that, under CAMELPOST_ABORT_ON_JUMP.
#[unsafe(no_mangle)]
extern "C" fn camelpost_abort_on_jump() {
    let trace = std::backtrace::Backtrace::force_capture();
    eprintln!("perl is about to jump over Camelpost's own code:\n{trace}");
    std::process::abort();
}

/// Called by the glue in a process that Perl code has forked: the page is its parent's.
#[unsafe(no_mangle)]
extern "C" fn camelpost_forked() {
    watch::detach();
}
