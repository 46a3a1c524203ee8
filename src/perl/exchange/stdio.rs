//! The client on Perl's STDIN and STDOUT, and the process's own STDERR: fresh handles at a session's start, bytes that were
//! read ahead lent to STDIN for a call and taken back after it.

use std::os::fd::{AsFd, IntoRawFd};
use std::time::Duration;

use crate::perl::ffi::call::{Unwind, Want, call_function};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// *STDIN, *STDOUT and *STDERR are handles on descriptors 0, 1 and 2 with empty buffers. What a plugin has
/// put in their place is released.
pub fn fresh() -> Result<(), Unwind> {
    // SAFETY: the interpreter runs; exiting ends in the outcome.
    Unwind::check_exit(unsafe { sys::cp_fresh_stdio() })
}

/// The same for *STDERR alone.
pub(in crate::perl) fn fresh_stderr() -> Result<(), Unwind> {
    // SAFETY: as above.
    Unwind::check_exit(unsafe { sys::cp_fresh_stderr() })
}

/// Whether a plugin has closed one of them: what is opened next would get its descriptor.
pub fn closed() -> bool {
    // SAFETY: compares pointers.
    unsafe { sys::cp_stdio_closed() != 0 }
}

/// Whether a plugin has put another handle in the place of *STDIN or *STDOUT (plugin `tls`).
pub fn taken() -> bool {
    // SAFETY: compares pointers.
    unsafe { sys::cp_stdio_taken() != 0 }
}

/// The handles that a plugin has put in the place of *STDIN and *STDOUT.
pub(in crate::perl) struct Handles {
    stdin: Sv,
    stdout: Sv,
}

/// What is in place now, if a plugin has put it there.
pub(in crate::perl) fn keep() -> Option<Handles> {
    if !taken() {
        return None;
    }
    // SAFETY: new references to live handles, or null.
    let [stdin, stdout] = [0, 1].map(|fd| Sv::own(unsafe { sys::cp_stdio_in_place(fd) }));
    Some(Handles {
        stdin: stdin?,
        stdout: stdout?,
    })
}

/// The same in their places again.
pub(in crate::perl) fn put(handles: &Handles) -> Result<(), Unwind> {
    // SAFETY: live handles; exiting ends in the outcome.
    Unwind::check_exit(unsafe { sys::cp_stdio_put(handles.stdin.raw(), handles.stdout.raw()) })
}

/// Reads what the client sends through the handle that a plugin has put in STDIN's place.
/// Empty at the end of the stream, `None` when the time is up.
pub fn read_client(timeout: Duration) -> Result<Option<Vec<u8>>, Unwind> {
    let seconds = i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX);
    let read = call_function("Camelpost::read_client", &[Sv::int(seconds)], Want::Scalar)?;
    Ok(read
        .first()
        .filter(|bytes| bytes.is_defined())
        .map(Sv::to_bytes))
}

/// Sends bytes through the handle that a plugin has put in STDOUT's place. False if the
/// client is gone.
pub fn write_client(bytes: &[u8]) -> Result<bool, Unwind> {
    let written = call_function("Camelpost::write_client", &[Sv::bytes(bytes)], Want::Scalar)?;
    Ok(written.first().is_some_and(|sv| sv.as_int() == 1))
}

/// Makes `bytes` the next that STDIN reads.
pub fn lend(bytes: &[u8]) -> bool {
    // SAFETY: perl copies the range.
    bytes.is_empty() || unsafe { sys::cp_stdin_unread(bytes.as_ptr().cast(), bytes.len()) != 0 }
}

/// What STDIN has in its buffer and was not read.
pub fn take_back() -> Vec<u8> {
    let mut all = Vec::new();
    // Most often there is nothing; what pipelining leaves are a few commands.
    let mut block = [0u8; 256];
    loop {
        // SAFETY: the range is writable; perl writes at most its length.
        let got = unsafe { sys::cp_stdin_take(block.as_mut_ptr().cast(), block.len()) };
        if got == 0 {
            return all;
        }
        all.extend_from_slice(&block[..got]);
    }
}

/// Whether the client's handle is still a handle: a plugin may have closed it.
pub fn is_open() -> bool {
    // SAFETY: looks at a pointer.
    unsafe { sys::cp_stdin_is_open() != 0 }
}

/// Writes out what plugins printed to STDOUT. False if the client is gone.
pub fn flush() -> bool {
    // SAFETY: the interpreter runs, and no Perl code runs now.
    unsafe { sys::cp_stdout_flush() != 0 }
}

/// Writes out what is in the buffers of all handles: before a fork it would be in two processes.
pub fn flush_all() -> Result<(), Unwind> {
    // SAFETY: the interpreter runs, and no Perl code runs now; exiting ends in the outcome.
    Unwind::check_exit(unsafe { sys::cp_flush_all() })
}

/// A handle of Perl's on a client's socket.
pub fn client_handle(socket: impl AsFd) -> Option<Sv> {
    let fd = rustix::io::fcntl_dupfd_cloexec(socket.as_fd(), 3).ok()?;
    let fd = i64::from(fd.into_raw_fd());
    let made = call_function("Camelpost::client_handle", &[Sv::int(fd)], Want::Scalar).ok()?;
    made.into_iter().next().filter(Sv::is_defined)
}

/// Cancels an alarm that a plugin has left pending, as qpsmtpd's own does when it reads on.
pub fn end_alarm() {
    // SAFETY: sets this process's timer only.
    unsafe { sys::cp_end_alarm() }
}

/// Cancels a pending alarm, whoever has set it.
pub fn cancel_alarm() {
    // SAFETY: sets this process's timer only.
    unsafe {
        libc::alarm(0);
    }
}
