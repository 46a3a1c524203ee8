//! The client's TLS beneath *STDIN and *STDOUT: what Perl code reads and prints there while its session has
//! TLS that ends in Rust. Does no TLS itself, and knows no session.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

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

/// Nothing passes this that the C side cannot tell from an error of a socket.
fn with_client(act: impl FnOnce(&dyn Secured) -> io::Result<usize>) -> isize {
    let client = CLIENT.with_borrow(Clone::clone);
    let outcome = catch_unwind(AssertUnwindSafe(|| match client {
        Some(client) => act(&*client),
        None => Err(io::Error::from_raw_os_error(libc::EBADF)),
    }));
    match outcome {
        Ok(Ok(bytes)) => isize::try_from(bytes).unwrap_or(isize::MAX),
        Ok(Err(error)) => {
            let errno = match error.kind() {
                io::ErrorKind::Interrupted => libc::EINTR,
                io::ErrorKind::TimedOut => libc::EAGAIN,
                _ => error.raw_os_error().unwrap_or(libc::EPIPE),
            };
            -isize::try_from(errno).unwrap_or(1)
        }
        Err(_) => -isize::try_from(libc::EIO).unwrap_or(1),
    }
}

/// Called by the layer of *STDIN.
#[unsafe(no_mangle)]
extern "C" fn camelpost_client_read(bytes: *mut libc::c_char, size: usize) -> isize {
    // SAFETY: perl's buffer, which has this size and is nobody else's during the call; its bytes are set by
    // an earlier read or not at all, and here only written.
    let buffer = unsafe {
        std::ptr::write_bytes(bytes, 0, size);
        std::slice::from_raw_parts_mut(bytes.cast::<u8>(), size)
    };
    with_client(|client| client.read(buffer))
}

/// Called by the layer of *STDOUT.
#[unsafe(no_mangle)]
extern "C" fn camelpost_client_write(bytes: *const libc::c_char, length: usize) -> isize {
    // SAFETY: perl's buffer, which has this many bytes and does not change during the call.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    with_client(|client| client.write(bytes))
}
