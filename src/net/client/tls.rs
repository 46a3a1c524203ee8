//! TLS on the client's stream, ended here: the handshake, and what is read and written within it, with
//! the runtime and without. Does not know certificates or settings, which come with an `Ssl`, nor what
//! is said.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use openssl::ssl::{Error, ErrorCode, Ssl, SslStream};
use rustix::event::PollFlags;
use tokio::io::Interest;

use super::stream::End;
use crate::perl::secured::Secured;

/// How long what Perl code sends may wait for a client that does not read.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// A record's plain text at most (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;
/// A record's bytes on the wire at most, and its header.
const BLOCK: usize = RECORD + 2048 + 5;

thread_local! {
    /// Where records pass through: one for all clients of a worker, as none of them is in two places.
    static PLAIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WIRE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The socket beneath TLS. Nothing waits here.
struct Wire {
    input: Rc<End>,
    output: Rc<End>,
    /// What was received and not asked for yet: a client that is waited for has no room here.
    ahead: Vec<u8>,
    /// Nothing was written yet.
    is_silent: bool,
}

impl Read for Wire {
    /// Openssl asks for a record's header, and then for the rest: both come by one system call.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            let (input, ahead) = (&self.input, &mut self.ahead);
            return WIRE.with_borrow_mut(|block| {
                block.clear();
                block.reserve(BLOCK);
                input.read_into(block)?;
                let now = block.len().min(buffer.len());
                buffer[..now].copy_from_slice(&block[..now]);
                ahead.extend_from_slice(&block[now..]);
                Ok(now)
            });
        }
        let now = self.ahead.len().min(buffer.len());
        buffer[..now].copy_from_slice(&self.ahead[..now]);
        if now == self.ahead.len() {
            self.ahead = Vec::new();
        } else {
            self.ahead.drain(..now);
        }
        Ok(now)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_silent = false;
        self.output.write_now(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a step of TLS came to.
enum Progress<T> {
    Done(T),
    /// It goes on when there is something to be read, or room to write.
    Wants(Interest),
}

/// A client within TLS.
pub(crate) struct Tls {
    stream: RefCell<SslStream<Wire>>,
    input: RefCell<Rc<End>>,
    output: RefCell<Rc<End>>,
}

/// A handshake that failed.
pub(crate) struct Failed {
    /// Why, in openssl's words.
    pub reason: String,
    /// What the client sent that was not looked at any more.
    pub rest: Vec<u8>,
}

impl Tls {
    /// The client begins with TLS. Nothing that it sent before is looked at.
    pub(crate) async fn accept(
        ssl: Ssl,
        input: Rc<End>,
        output: Rc<End>,
        time: Duration,
    ) -> Result<Tls, Failed> {
        let wire = Wire {
            input: input.clone(),
            output: output.clone(),
            ahead: Vec::new(),
            is_silent: true,
        };
        let stream = SslStream::new(ssl, wire).map_err(|error| Failed {
            reason: error.to_string(),
            rest: Vec::new(),
        })?;
        let tls = Tls {
            stream: RefCell::new(stream),
            input: RefCell::new(input),
            output: RefCell::new(output),
        };
        let handshake = tls.carry_on(Interest::READABLE, SslStream::accept);
        let reason = match tokio::time::timeout(time, handshake).await {
            Ok(Ok(())) => return Ok(tls),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                tls.tell_of_torn_handshake();
                "the client has closed the connection".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no handshake within {} s", time.as_secs_f32().ceil()),
        };
        let rest = std::mem::take(&mut tls.stream.into_inner().get_mut().ahead);
        Err(Failed { reason, rest })
    }

    /// A client that has ended its side in the middle of its hello is told so in clear, as openssl does on a
    /// socket of its own.
    fn tell_of_torn_handshake(&self) {
        // A record with an alert: fatal, decode_error (RFC 8446 section 6.2).
        const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];
        if self.stream.borrow().get_ref().is_silent {
            // Nobody waits for it.
            let _ = self.output.borrow().write_now(&ALERT);
        }
    }

    /// The client goes on in a process that was forked from the one before, with descriptors of its own.
    pub(crate) fn go_on(&self, input: Rc<End>, output: Rc<End>) {
        let mut stream = self.stream.borrow_mut();
        let wire = stream.get_mut();
        wire.input = input.clone();
        wire.output = output.clone();
        self.input.replace(input);
        self.output.replace(output);
    }

    /// Gives what the client sends next to `take`; 0 at the end of the stream.
    pub(crate) async fn read(&self, take: impl Fn(&[u8])) -> io::Result<usize> {
        let read = |stream: &mut SslStream<Wire>| {
            PLAIN.with_borrow_mut(|plain| {
                plain.resize(RECORD, 0);
                let got = stream.ssl_read(plain)?;
                take(&plain[..got]);
                Ok(got)
            })
        };
        end_of_stream(self.carry_on(Interest::READABLE, read).await)
    }

    /// Writes some.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let write = |stream: &mut SslStream<Wire>| stream.ssl_write(bytes);
        self.carry_on(Interest::WRITABLE, write).await
    }

    /// Writes what there is room for at once.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match progress(self.stream.borrow_mut().ssl_write(bytes))? {
            Progress::Done(written) => Ok(written),
            Progress::Wants(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether the client has sent something that was received already.
    pub(crate) fn has_input(&self) -> bool {
        let stream = self.stream.borrow();
        stream.ssl().pending() > 0 || !stream.get_ref().ahead.is_empty()
    }

    /// Writes some for Perl code that waits.
    pub(crate) fn write_blocking(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        self.wait_for(Some(timeout), |stream| stream.ssl_write(bytes))
    }

    /// The name of the cipher, as openssl has it.
    pub(crate) fn cipher(&self) -> Option<&'static str> {
        let stream = self.stream.borrow();
        stream.ssl().current_cipher().map(|cipher| cipher.name())
    }

    /// Looks at what was negotiated.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&openssl::ssl::SslRef) -> R) -> R {
        at(self.stream.borrow().ssl())
    }

    /// Tells the client that nothing more follows, as far as there is room for that.
    pub(crate) fn close(&self) {
        // A client that has gone without a word need not be told.
        let _ = self.stream.borrow_mut().shutdown();
    }

    /// Tries again and again until it need not wait.
    async fn carry_on<T>(
        &self,
        first: Interest,
        mut attempt: impl FnMut(&mut SslStream<Wire>) -> Result<T, Error>,
    ) -> io::Result<T> {
        let mut step = || progress(attempt(&mut self.stream.borrow_mut()));
        let mut wanted = first;
        // What was received already makes no descriptor ready, and most often there is room to write.
        if self.has_input() || first.is_writable() {
            match step()? {
                Progress::Done(value) => return Ok(value),
                Progress::Wants(interest) => wanted = interest,
            }
        }
        loop {
            let end = match wanted.is_writable() {
                true => self.output.borrow().clone(),
                false => self.input.borrow().clone(),
            };
            let next = end.when(wanted, |_| match step()? {
                Progress::Wants(interest) if interest == wanted => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                progress => Ok(progress),
            });
            match next.await? {
                Progress::Done(value) => return Ok(value),
                Progress::Wants(interest) => wanted = interest,
            }
        }
    }

    /// The same without the runtime.
    fn wait_for<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut SslStream<Wire>) -> Result<T, Error>,
    ) -> io::Result<T> {
        loop {
            match progress(attempt(&mut self.stream.borrow_mut()))? {
                Progress::Done(value) => return Ok(value),
                Progress::Wants(interest) if interest.is_writable() => {
                    self.output.borrow().wait(PollFlags::OUT, timeout)?;
                }
                Progress::Wants(_) => self.input.borrow().wait(PollFlags::IN, timeout)?,
            }
        }
    }
}

/// For Perl code that waits; a signal ends the wait.
impl Secured for Tls {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        end_of_stream(self.wait_for(None, |stream| stream.ssl_read(buffer)))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_blocking(bytes, SEND_TIMEOUT)
    }
}

fn progress<T>(outcome: Result<T, Error>) -> io::Result<Progress<T>> {
    let error = match outcome {
        Ok(value) => return Ok(Progress::Done(value)),
        Err(error) => error,
    };
    match error.code() {
        ErrorCode::WANT_READ => Ok(Progress::Wants(Interest::READABLE)),
        ErrorCode::WANT_WRITE => Ok(Progress::Wants(Interest::WRITABLE)),
        ErrorCode::ZERO_RETURN => Err(io::ErrorKind::UnexpectedEof.into()),
        ErrorCode::SYSCALL if error.io_error().is_none() => {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        _ => Err(error
            .into_io_error()
            .unwrap_or_else(|error| io::Error::other(reason_of(&error)))),
    }
}

/// Openssl's words for what went wrong, without its numbers.
fn reason_of(error: &Error) -> String {
    let stack = error.ssl_error().map(|stack| stack.errors());
    let first = stack.and_then(<[_]>::first);
    match first.and_then(|error| error.reason()) {
        Some(reason) => reason.to_owned(),
        None => error.to_string(),
    }
}

/// A client that goes away within TLS has come to the end of its stream, with a word or without.
fn end_of_stream(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        outcome => outcome,
    }
}
