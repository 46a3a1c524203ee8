//! The client's stream as the session uses it: reads into the session's input, queues replies
//! and sends them. Knows that a client can be gone, and not what is said.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use openssl::ssl::Ssl;
use tokio::io::Interest;

use super::patience::{Awaited, Patience};
use super::stream::End;
use super::tls::{Failed, SEND_TIMEOUT, Tls};
use crate::perl::Sv;
use crate::perl::secured;
use crate::perl::stdio;
use crate::plugin::Peek;
use crate::server::{AsyncLink, STOPPING, has_hung_up};
use crate::session::ReadEvent;
use crate::smtp::{InputBuffer, Reply};
use crate::watch;

/// Bytes asked of the socket at once: few for a command, many once a message fills what is
/// asked for.
const SMALL_BLOCK: usize = 4 * 1024;
const LARGE_BLOCK: usize = 128 * 1024;
/// Bytes of replies for which a client keeps its room.
const SMALL_OUT: usize = 256;
/// How long a client may take for the last reply.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The client's socket with the replies that wait to be sent.
pub(crate) struct Transport {
    input: Rc<End>,
    output: Rc<End>,
    out: RefCell<Vec<u8>>,
    /// The client is gone: nothing more is read or written.
    gone: Cell<bool>,
    block: Cell<usize>,
    /// How long the client may take; also where it is read through a handle of Perl's.
    pub patience: Patience,
    /// Where what is said goes through TLS that ends here.
    tls: RefCell<Option<Rc<Tls>>>,
    /// The worker's link: where it is lost, the client is told to go.
    link: RefCell<Option<Rc<AsyncLink>>>,
}

impl Transport {
    /// A client on a socket. Must be called inside the runtime.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Transport> {
        let end = Rc::new(End::new(socket, Interest::READABLE | Interest::WRITABLE)?);
        Ok(Transport::of(end.clone(), end))
    }

    /// A client that is read from one descriptor and written to through another. Must be called
    /// inside the runtime.
    pub(crate) fn pair(input: OwnedFd, output: OwnedFd) -> io::Result<Transport> {
        let input = Rc::new(End::new(input, Interest::READABLE)?);
        let output = Rc::new(End::new(output, Interest::WRITABLE)?);
        Ok(Transport::of(input, output))
    }

    fn of(input: Rc<End>, output: Rc<End>) -> Transport {
        if output.is_socket() {
            use rustix::net::sockopt::{Timeout, set_socket_timeout};
            // For what blocks: replies from Perl code, and what plugins print themselves.
            let _ = set_socket_timeout(output.descriptor(), Timeout::Send, Some(SEND_TIMEOUT));
            // A reply is written whole; waiting for more would only delay it. A socket that is
            // no TCP socket has no such option.
            let _ = rustix::net::sockopt::set_tcp_nodelay(output.descriptor(), true);
        }
        Transport {
            input,
            output,
            out: RefCell::default(),
            gone: Cell::new(false),
            block: Cell::new(SMALL_BLOCK),
            patience: Patience::default(),
            tls: RefCell::default(),
            link: RefCell::default(),
        }
    }

    /// Lasts no longer than the link.
    pub(crate) fn depend_on(&self, link: Rc<AsyncLink>) {
        self.link.replace(Some(link));
    }

    /// Whether the client is to go.
    pub(crate) fn is_lost(&self) -> bool {
        self.link
            .borrow()
            .as_ref()
            .is_some_and(|link| link.is_lost())
    }

    /// Returns when the client is to go.
    async fn lost(&self) {
        let link = self.link.borrow().clone();
        match link {
            Some(link) => link.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the client has closed its side and said nothing.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.input.is_socket() && has_hung_up(self.input.descriptor())
    }

    /// The client is on descriptors 0 and 1 from now on.
    pub(crate) fn take_stdio(&self) -> io::Result<()> {
        rustix::stdio::dup2_stdin(self.input.descriptor())?;
        rustix::stdio::dup2_stdout(self.output.descriptor())?;
        Ok(())
    }

    /// Another descriptor of the client's socket.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        Ok(rustix::io::fcntl_dupfd_cloexec(self.input.descriptor(), 3)?)
    }

    /// The descriptors by number, for a process that was forked from this one and is to close
    /// them.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let ends = [&self.input, &self.output];
        let mut all = ends.map(|end| end.descriptor().as_raw_fd()).to_vec();
        all.dedup();
        all
    }

    /// Appends what the client sends to `input`. Within a message, what has come is acknowledged at once,
    /// for a client that waits for that before it sends the next small piece (Nagle's algorithm): else
    /// the kernel waits for a reply to send it with, 40 ms, and nobody replies within a message.
    pub(crate) async fn read(&self, input: &RefCell<InputBuffer>, awaited: Awaited) -> ReadEvent {
        if self.gone.get() {
            return ReadEvent::Eof;
        }
        let left = self.patience.left(awaited, Instant::now());
        // Whoever goes on sending is not asked whether there is more.
        if left.is_zero() {
            return ReadEvent::TimedOut;
        }
        let received = tokio::time::timeout(left, self.receive(input, awaited.in_message));
        let received = tokio::select! {
            biased;
            () = self.lost() => {
                self.queue_bytes(STOPPING.as_bytes());
                self.flush(LAST_WORDS).await;
                self.set_gone();
                return ReadEvent::Eof;
            }
            received = received => received,
        };
        match received {
            Ok(Ok(0) | Err(_)) => {
                // The client may have closed its side only: replies still reach it.
                ReadEvent::Eof
            }
            Ok(Ok(_)) => ReadEvent::Bytes,
            Err(_) => ReadEvent::TimedOut,
        }
    }

    /// Whether nothing reaches the client any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Waits until something has come, and takes nothing of it.
    pub(crate) async fn peek(&self, time: Duration) -> Peek {
        if self.gone.get() {
            return Peek::Gone;
        }
        // What TLS has received already makes the socket readable no more.
        if self.tls().is_some_and(|tls| tls.has_input()) {
            return Peek::Spoke;
        }
        let looked = self.input.when(Interest::READABLE, End::peek);
        let looked = tokio::select! {
            biased;
            () = self.lost() => return Peek::Gone,
            looked = tokio::time::timeout(time, looked) => looked,
        };
        match looked {
            Err(_) => Peek::Silent,
            Ok(Ok(0) | Err(_)) => Peek::Gone,
            Ok(Ok(_)) => Peek::Spoke,
        }
    }

    /// Whether something has come that was not read yet; within TLS, as far as it was received.
    pub(crate) fn has_input(&self) -> bool {
        !self.gone.get()
            && match self.tls() {
                Some(tls) => tls.has_input(),
                None => self.input.has_input(),
            }
    }

    /// The client's TLS, where it ends here.
    pub(crate) fn tls(&self) -> Option<Rc<Tls>> {
        self.tls.borrow().clone()
    }

    /// Perl code that runs now reads and prints through the client's TLS, or to its socket.
    pub(crate) fn carry_stdio(&self) {
        let tls = self.tls();
        secured::carry(tls.map(|tls| -> Rc<dyn secured::Secured> { tls }));
    }

    /// The client begins with TLS: from then on all traffic goes through it.
    pub(crate) async fn start_tls(&self, ssl: Ssl, time: Duration) -> Result<(), Failed> {
        let accepted = Tls::accept(ssl, self.input.clone(), self.output.clone(), time);
        let tls = tokio::select! {
            biased;
            () = self.lost() => Err(Failed {
                reason: "the server stops".to_owned(),
                rest: Vec::new(),
            }),
            accepted = accepted => accepted,
        }?;
        self.tls.replace(Some(Rc::new(tls)));
        Ok(())
    }

    /// Goes on with the TLS of another process's transport, from which this one was forked.
    pub(crate) fn take_tls(&self, other: &Transport) {
        if let Some(tls) = other.tls.take() {
            tls.go_on(self.input.clone(), self.output.clone());
            self.tls.replace(Some(tls));
        }
    }

    async fn receive(&self, input: &RefCell<InputBuffer>, promptly: bool) -> io::Result<usize> {
        if let Some(tls) = self.tls() {
            let take = |bytes: &[u8]| {
                self.patience.received(bytes);
                input.borrow_mut().push(bytes);
            };
            if promptly {
                self.input.acknowledge();
            }
            return tls.read(take).await;
        }
        let attempt = |end: &End| {
            if promptly {
                end.acknowledge();
            }
            let mut input = input.borrow_mut();
            let tail = input.tail();
            let asked = self.block.get();
            let before = tail.len();
            tail.reserve(asked);
            let got = end.read_into(tail).inspect_err(|_| {
                // A client that is waited for costs no room.
                if tail.is_empty() {
                    *tail = Vec::new();
                } else if tail.capacity() > tail.len() + 2 * SMALL_BLOCK {
                    // Nor does one that has sent a part of a line.
                    tail.shrink_to_fit();
                }
            })?;
            self.patience.received(&tail[before..]);
            self.block.set(if got >= asked {
                LARGE_BLOCK
            } else {
                SMALL_BLOCK
            });
            Ok(got)
        };
        self.input.when(Interest::READABLE, attempt).await
    }

    /// Nothing reaches the client any more.
    pub(crate) fn set_gone(&self) {
        self.gone.set(true);
    }

    /// Takes what is queued, to be sent another way.
    pub(crate) fn take_queued(&self) -> Vec<u8> {
        self.out.take()
    }

    /// Queues what another process has not sent.
    pub(crate) fn queue_bytes(&self, bytes: &[u8]) {
        self.out.borrow_mut().extend_from_slice(bytes);
    }

    /// Queues a reply.
    pub(crate) fn queue(&self, reply: &Reply) {
        if !self.gone.get() {
            reply.encode(&mut self.out.borrow_mut());
        }
    }

    /// Sends what is queued. A client that takes nothing for the time is gone.
    pub(crate) async fn flush(&self, timeout: Duration) {
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
        // The buffer's room serves the next replies, unless they were long.
        if out.capacity() <= SMALL_OUT {
            out.clear();
            self.out.replace(out);
        }
    }

    /// Sends what there is room for at once.
    fn send_some(&self, out: &[u8]) -> io::Result<usize> {
        let tls = self.tls();
        loop {
            let sent = match &tls {
                Some(tls) => tls.write_now(out),
                None => self.output.write_now(out),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                outcome => return outcome,
            }
        }
    }

    async fn send_rest(&self, mut out: &[u8]) -> io::Result<()> {
        while !out.is_empty() {
            let attempt = |end: &End| end.write_now(out);
            let sent = match self.tls() {
                Some(tls) => tls.write(out).await?,
                None => self.output.when(Interest::WRITABLE, attempt).await?,
            };
            out = &out[sent..];
        }
        Ok(())
    }

    /// Sends what is queued without the runtime, for Perl code that waits. False if the client
    /// is gone.
    pub(crate) fn flush_blocking(&self) -> bool {
        if self.out.borrow().is_empty() {
            return !self.gone.get();
        }
        let out = self.out.take();
        let mut rest = match self.send_some(&out) {
            Ok(sent) => &out[sent..],
            Err(_) => {
                self.gone.set(true);
                return false;
            }
        };
        let tls = self.tls();
        while !rest.is_empty() && !self.gone.get() {
            let sent = match &tls {
                Some(tls) => tls.write_blocking(rest, SEND_TIMEOUT),
                None => self.output.write_blocking(rest, SEND_TIMEOUT),
            };
            match sent {
                Ok(sent) => rest = &rest[sent..],
                // Not where the plugin that waits for its client here has taken too long.
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted && !watch::is_interrupted() => {}
                Err(_) => self.gone.set(true),
            }
        }
        !self.gone.get()
    }

    /// A handle of Perl's on the client.
    pub(crate) fn handle(&self) -> Option<Sv> {
        stdio::client_handle(self.input.descriptor())
    }

    /// Ends the connection: the supervisor holds a duplicate, so closing alone would not.
    pub(crate) fn shutdown(&self) {
        if let Some(tls) = self.tls() {
            tls.close();
        }
        self.input.shutdown();
        if !Rc::ptr_eq(&self.input, &self.output) {
            self.output.shutdown();
        }
    }
}

/// Descriptors 0 and 1 are nobody's client any more.
pub(crate) fn release_stdio(null: &OwnedFd) -> io::Result<()> {
    secured::carry(None);
    rustix::stdio::dup2_stdin(null)?;
    rustix::stdio::dup2_stdout(null)?;
    Ok(())
}

/// What takes the client's place on descriptors 0 and 1.
pub(crate) fn open_null() -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
