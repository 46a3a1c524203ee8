//! The client's socket. It stays in blocking mode, since Perl plugins and their children use it
//! through descriptors 0 and 1 and the mode belongs to the open file; Rust waits for readiness
//! and then asks not to be blocked, call by call.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::perl::{Sv, stdio};
use crate::server::readiness;
use crate::session::ReadEvent;
use crate::smtp::{InputBuffer, Reply};

/// Bytes asked of the socket at once: few for a command, many once a message fills what is
/// asked for.
const SMALL_BLOCK: usize = 4 * 1024;
const LARGE_BLOCK: usize = 128 * 1024;
/// How long a reply that Perl code sends may wait for a client that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// See the module's description.
pub struct Transport {
    socket: AsyncFd<Rc<OwnedFd>>,
    out: RefCell<Vec<u8>>,
    /// The client is gone: nothing more is read or written.
    gone: Cell<bool>,
    block: Cell<usize>,
}

impl Transport {
    /// Must be called inside the runtime.
    pub fn new(socket: OwnedFd) -> io::Result<Transport> {
        use rustix::net::sockopt::{Timeout, set_socket_timeout};
        let socket = Rc::new(socket);
        // For what blocks: replies from Perl code, and what plugins print themselves.
        let _ = set_socket_timeout(&socket, Timeout::Send, Some(SEND_TIMEOUT));
        // A reply is written whole; waiting for more would only delay it. A socket that is no
        // TCP socket (inetd on a pipe) has no such option.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        Ok(Transport {
            socket: readiness(socket, Interest::READABLE | Interest::WRITABLE)?,
            out: RefCell::default(),
            gone: Cell::new(false),
            block: Cell::new(SMALL_BLOCK),
        })
    }

    /// The client is on descriptors 0 and 1 from now on.
    pub fn take_stdio(&self) -> io::Result<()> {
        rustix::stdio::dup2_stdin(self.socket.get_ref())?;
        rustix::stdio::dup2_stdout(self.socket.get_ref())?;
        Ok(())
    }

    /// Appends what the client sends to `input`.
    pub async fn read(&self, input: &RefCell<InputBuffer>, timeout: Duration) -> ReadEvent {
        if self.gone.get() {
            return ReadEvent::Eof;
        }
        let received = tokio::time::timeout(timeout, self.receive(input)).await;
        match received {
            Ok(Ok(0) | Err(_)) => {
                // The client may have closed its side only: replies still reach it.
                ReadEvent::Eof
            }
            Ok(Ok(_)) => ReadEvent::Bytes,
            Err(_) => ReadEvent::TimedOut,
        }
    }

    async fn receive(&self, input: &RefCell<InputBuffer>) -> io::Result<usize> {
        loop {
            let mut ready = self.socket.readable().await?;
            let mut input = input.borrow_mut();
            let tail = input.tail();
            let received = ready.try_io(|socket| {
                let asked = self.block.get();
                tail.reserve(asked);
                let spare = rustix::buffer::spare_capacity(tail);
                let got = rustix::net::recv(socket.get_ref(), spare, RecvFlags::DONTWAIT)?.0;
                self.block.set(if got >= asked {
                    LARGE_BLOCK
                } else {
                    SMALL_BLOCK
                });
                Ok(got)
            });
            match received {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(outcome) => return outcome,
                Err(_would_block) => {}
            }
        }
    }

    /// Nothing reaches the client any more.
    pub fn set_gone(&self) {
        self.gone.set(true);
    }

    /// Takes what is queued, to be sent another way.
    pub fn take_queued(&self) -> Vec<u8> {
        self.out.take()
    }

    /// Queues a reply.
    pub fn queue(&self, reply: &Reply) {
        if !self.gone.get() {
            reply.encode(&mut self.out.borrow_mut());
        }
    }

    /// Sends what is queued. A client that takes nothing for the time is gone.
    pub async fn flush(&self, timeout: Duration) {
        if self.out.borrow().is_empty() {
            return;
        }
        let mut out = self.out.take();
        // Most often there is room, and nothing to wait for.
        let sent = match self.send_some(&out) {
            Ok(sent) if sent == out.len() => Ok(()),
            Ok(sent) => tokio::time::timeout(timeout, self.send_rest(&out[sent..]))
                .await
                .unwrap_or_else(|elapsed| Err(elapsed.into())),
            Err(error) => Err(error),
        };
        if sent.is_err() {
            self.gone.set(true);
        }
        // The buffer's room serves the next replies.
        out.clear();
        self.out.replace(out);
    }

    /// Sends what the socket takes at once.
    fn send_some(&self, out: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(self.socket.get_ref(), out, flags) {
                Ok(sent) => return Ok(sent),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn send_rest(&self, mut out: &[u8]) -> io::Result<()> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !out.is_empty() {
            let mut ready = self.socket.writable().await?;
            let sent = ready.try_io(|socket| Ok(rustix::net::send(socket.get_ref(), out, flags)?));
            match sent {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(sent) => out = &out[sent?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// Sends what is queued without the runtime, for Perl code that waits. False if the client
    /// is gone.
    pub fn flush_blocking(&self) -> bool {
        let out = self.out.take();
        let mut rest = match self.send_some(&out) {
            Ok(sent) => &out[sent..],
            Err(_) => {
                self.gone.set(true);
                return false;
            }
        };
        while !rest.is_empty() && !self.gone.get() {
            match rustix::net::send(self.socket.get_ref(), rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = &rest[sent..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => self.gone.set(true),
            }
        }
        !self.gone.get()
    }

    /// A handle of Perl's on the client.
    pub fn handle(&self) -> Option<Sv> {
        stdio::client_handle(&**self.socket.get_ref())
    }

    /// Ends the connection: the supervisor holds a duplicate, so closing alone would not.
    pub fn shutdown(&self) {
        let _ = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Both);
    }
}

/// Descriptors 0 and 1 are nobody's client any more.
pub fn release_stdio(null: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    Ok(())
}

/// What takes the client's place on descriptors 0 and 1.
pub fn open_null() -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
