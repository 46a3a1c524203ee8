//! Descriptors 0, 1 and 2 stay taken, whatever plugins close: what is opened next would get their
//! numbers, and log lines would go to a client's socket or into a message. Which client is on 0 and 1
//! is not decided here.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::{fcntl_dupfd_cloexec, fcntl_getfd};
use rustix::stdio::{dup2_stderr, stderr, stdin, stdout};

use super::transport::{Transport, open_null};
use crate::perl::stdio;
use crate::watch;

/// Where log lines go, under a number that plugins do not know. None where there was nothing.
static STDERR: OnceLock<Option<OwnedFd>> = OnceLock::new();
/// Low numbers are those that plugins' code closes by the dozen before it runs a program.
const NUMBER: i32 = 64;

/// Remembers what descriptor 2 is; the first call counts.
pub fn keep() {
    STDERR.get_or_init(|| fcntl_dupfd_cloexec(stderr(), NUMBER).ok());
}

/// After Perl code: what it has closed is in place again. Perl's own STDIN and STDOUT are made anew
/// for the next session; its STDERR is not, so that the process serves nobody else.
pub fn mend(transport: &Transport) {
    if stdio::is_closed() && (fcntl_getfd(stdin()).is_err() || fcntl_getfd(stdout()).is_err()) {
        // One that is open is the same client's already.
        let _ = transport.take_stdio();
    }
    if stdio::is_stderr_closed() {
        watch::wear_out();
        if fcntl_getfd(stderr()).is_err() {
            let kept = STDERR.get().and_then(Option::as_ref);
            let null = kept.is_none().then(open_null).and_then(Result::ok);
            if let Some(log) = kept.or(null.as_ref()) {
                let _ = dup2_stderr(log.as_fd());
            }
        }
    }
}
