//! The client's TLS beneath *STDIN and *STDOUT: what Perl code reads and prints there while its session has
//! TLS that ends in Rust. Does no TLS itself, and knows no session.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::perl::exchange::stdio;
use crate::perl::ffi::sys;

/// A client's TLS as Perl code uses it: calls wait, and a signal ends the wait.
pub trait Secured {
    /// 0 at the end of the stream.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes some.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
}

thread_local! {
    static CLIENT: RefCell<Option<Rc<dyn Secured>>> = const { RefCell::new(None) };
}

/// Perl code that runs from now on has this client; `None`: one without TLS.
pub fn carry(client: Option<Rc<dyn Secured>>) {
    let is = client.is_some();
    let before = CLIENT.replace(client);
    if is != before.is_some() {
        // SAFETY: sets a flag of the glue's.
        unsafe { sys::cp_client_is_secured(is.into()) }
    }
}

/// What STDIN has read ahead, else what comes next, as sysread has it. An error is an errno.
pub(in crate::perl) fn read_now(length: usize) -> Result<Vec<u8>, i32> {
    let mut ahead = stdio::take_back();
    if !ahead.is_empty() {
        let rest = ahead.split_off(length.min(ahead.len()));
        stdio::lend(&rest);
        return Ok(ahead);
    }
    let mut bytes = vec![0; length];
    let got = with_client(|client| client.read(&mut bytes))?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Writes some, as syswrite does, behind what was printed. An error is an errno.
pub(in crate::perl) fn write_now(bytes: &[u8]) -> Result<usize, i32> {
    stdio::flush();
    with_client(|client| client.write(bytes))
}

/// Nothing passes this that is no errno.
fn with_client(act: impl FnOnce(&dyn Secured) -> io::Result<usize>) -> Result<usize, i32> {
    let client = CLIENT.with_borrow(Clone::clone);
    let outcome = catch_unwind(AssertUnwindSafe(|| match client {
        Some(client) => act(&*client),
        None => Err(io::Error::from_raw_os_error(libc::EBADF)),
    }));
    match outcome {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::Interrupted => libc::EINTR,
            io::ErrorKind::TimedOut => libc::EAGAIN,
            _ => error.raw_os_error().unwrap_or(libc::EPIPE),
        }),
        Err(_) => Err(libc::EIO),
    }
}

/// The same for the C side: an errno has a minus.
fn to_c(outcome: Result<usize, i32>) -> isize {
    match outcome {
        Ok(bytes) => isize::try_from(bytes).unwrap_or(isize::MAX),
        Err(errno) => -isize::try_from(errno).unwrap_or(1),
    }
}

/// Called by the layer of *STDIN.
#[unsafe(no_mangle)]
extern "C" fn camelpost_client_read(bytes: *mut libc::c_char, size: usize) -> isize {
    // SAFETY: perl's buffer, which has this size and is nobody else's during the call; its bytes are set
    // before a slice is made of them.
    let buffer = unsafe {
        std::ptr::write_bytes(bytes, 0, size);
        std::slice::from_raw_parts_mut(bytes.cast::<u8>(), size)
    };
    to_c(with_client(|client| client.read(buffer)))
}

/// Called by the layer of *STDOUT.
#[unsafe(no_mangle)]
extern "C" fn camelpost_client_write(bytes: *const libc::c_char, length: usize) -> isize {
    // SAFETY: perl's buffer, which has this many bytes and does not change during the call.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    to_c(with_client(|client| client.write(bytes)))
}
