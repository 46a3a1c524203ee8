//! One end of the client's stream: a socket, which serves both directions, or one of the two
//! pipes that sslserver, stunnel and their like give. It stays in blocking mode, since Perl
//! plugins and their children use it through descriptors 0 and 1 and the mode belongs to the open
//! file; Rust waits for readiness and then asks not to be blocked, call by call. Does not know
//! what is sent.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::server::readiness;

/// What a pipe takes without waiting once it says that it is ready (PIPE_BUF).
const PIPE_BLOCK: usize = 4096;

/// One end of the client's stream: to read from, to write to, or both.
pub(crate) struct End {
    ready: Ready,
    is_socket: bool,
}

enum Ready {
    Watched(AsyncFd<Rc<OwnedFd>>),
    /// A file: it is always ready, and the kernel does not watch it.
    Always(Rc<OwnedFd>),
}

impl End {
    /// Must be called inside the runtime.
    pub(crate) fn new(descriptor: OwnedFd, interest: Interest) -> io::Result<End> {
        let is_socket = rustix::net::sockopt::socket_type(&descriptor).is_ok();
        let descriptor = Rc::new(descriptor);
        let ready = match readiness(descriptor.clone(), interest) {
            Ok(watched) => Ready::Watched(watched),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                Ready::Always(descriptor)
            }
            Err(error) => return Err(error),
        };
        Ok(End { ready, is_socket })
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.is_socket
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.ready {
            Ready::Watched(watched) => watched.get_ref().as_fd(),
            Ready::Always(file) => file.as_fd(),
        }
    }

    /// Waits until `attempt` no longer says that it would block.
    pub(crate) async fn when<T>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(&End) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let outcome = match &self.ready {
                Ready::Watched(watched) => {
                    let mut ready = watched.ready(interest).await?;
                    match ready.try_io(|_| attempt(self)) {
                        Ok(outcome) => outcome,
                        Err(_would_block) => continue,
                    }
                }
                Ready::Always(_) => attempt(self),
            };
            match outcome {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// What has come, and what comes next, is acknowledged at once. The kernel goes back to its own way
    /// after a while, so this is said again and again.
    pub(crate) fn acknowledge(&self) {
        if self.is_socket {
            // One that is no TCP socket has no such option.
            let _ = rustix::net::sockopt::set_tcp_quickack(self.descriptor(), true);
        }
    }

    /// Appends what is there, as far as there is room; 0 at the end of the stream.
    pub(crate) fn read_into(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = rustix::buffer::spare_capacity(buffer);
        if self.is_socket {
            return Ok(rustix::net::recv(self.descriptor(), room, RecvFlags::DONTWAIT)?.0);
        }
        self.check(PollFlags::IN, Duration::ZERO)?;
        Ok(rustix::io::read(self.descriptor(), room)?)
    }

    /// How much is there to be read, one byte at least; 0 at the end of the stream.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        if self.is_socket {
            let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
            return Ok(rustix::net::recv(self.descriptor(), &mut [0; 1], flags)?.0);
        }
        self.check(PollFlags::IN, Duration::ZERO)?;
        let bytes = rustix::io::ioctl_fionread(self.descriptor())?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Whether there is something to be read now; the end of the stream is nothing.
    pub(crate) fn has_input(&self) -> bool {
        rustix::io::ioctl_fionread(self.descriptor()).is_ok_and(|bytes| bytes > 0)
    }

    /// Writes what there is room for.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_socket {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            return Ok(rustix::net::send(self.descriptor(), bytes, flags)?);
        }
        self.write_when_ready(bytes, Duration::ZERO)
    }

    /// Writes some and waits for room at most for `timeout` (a socket: for its own timeout).
    pub(crate) fn write_blocking(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        if self.is_socket {
            return Ok(rustix::net::send(
                self.descriptor(),
                bytes,
                SendFlags::NOSIGNAL,
            )?);
        }
        self.write_when_ready(bytes, timeout)
    }

    /// Waits without the runtime until there is something to be read, or room to write.
    pub(crate) fn wait(&self, wanted: PollFlags, timeout: Option<Duration>) -> io::Result<()> {
        let descriptor = self.descriptor();
        let mut polled = [PollFd::new(&descriptor, wanted)];
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut polled, timeout.as_ref())? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn write_when_ready(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        self.check(PollFlags::OUT, timeout)?;
        let block = bytes.get(..PIPE_BLOCK).unwrap_or(bytes);
        Ok(rustix::io::write(self.descriptor(), block)?)
    }

    /// An error that says "would block" unless the descriptor is ready in this time.
    fn check(&self, wanted: PollFlags, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(timeout).ok();
        let descriptor = self.descriptor();
        let mut polled = [PollFd::new(&descriptor, wanted)];
        match poll(&mut polled, timeout.as_ref())? {
            0 => Err(Errno::AGAIN.into()),
            _ => Ok(()),
        }
    }

    /// Ends a socket's connection; the pipes of another program end with this process.
    pub(crate) fn shutdown(&self) {
        if self.is_socket {
            let _ = rustix::net::shutdown(self.descriptor(), Shutdown::Both);
        }
    }
}
