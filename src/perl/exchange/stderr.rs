//! Descriptor 2 as the process began with it. A plugin that closes it, or puts a file in its place,
//! must not send the log there for good; and what is opened next must not be taken for it.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};

struct Stderr {
    copy: OwnedFd,
    identity: (u64, u64),
}

/// What descriptor 2 was before the first session.
#[derive(Default)]
pub(in crate::perl) struct Noted(OnceCell<Option<Stderr>>);

impl Noted {
    /// Before a worker's first session.
    pub(in crate::perl) fn note(&self) {
        self.0.get_or_init(|| {
            let stderr = rustix::stdio::stderr();
            Some(Stderr {
                identity: identity(stderr)?,
                copy: rustix::io::fcntl_dupfd_cloexec(stderr, 3).ok()?,
            })
        });
    }

    /// Puts it back where it is another file. Its handle in Perl is `stdio::fresh`'s.
    pub(in crate::perl) fn restore(&self) {
        if let Some(Some(noted)) = self.0.get()
            && identity(rustix::stdio::stderr()) != Some(noted.identity)
        {
            // Failing leaves the log where the plugin has put it.
            let _ = rustix::stdio::dup2_stderr(&noted.copy);
        }
    }
}

fn identity(file: impl AsFd) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(file).ok()?;
    Some((stat.st_dev, stat.st_ino))
}
