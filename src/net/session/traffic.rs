//! A session's client as the session reads and writes it: through the socket, or through the handle of a
//! plugin that has taken the client over; what was read ahead is lent to STDIN while Perl code runs.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{FLUSH_TIMEOUT, Session};
use crate::net::client::patience::Awaited;
use crate::perl::ffi::call::Unwind;
use crate::perl::stdio;
use crate::plugin::Peek;
use crate::server::STOPPING;
use crate::session::ReadEvent;

impl Session {
    /// Whether a plugin has taken the client over.
    pub(crate) fn is_taken(&self) -> bool {
        self.perl_side.as_ref().is_some_and(|perl| perl.taken.get())
    }

    /// Sends what is queued, whichever way the client is reached.
    pub(crate) async fn flush(self: &Rc<Self>) {
        if self.is_taken() {
            self.perl(|_| Ok(())).await;
        } else {
            self.transport.flush(FLUSH_TIMEOUT).await;
        }
    }

    /// Sends what is queued through the handle of a plugin that has taken the client over.
    pub(crate) fn flush_taken(&self) -> Result<(), Unwind> {
        if self.perl_side.as_ref().is_some_and(|perl| perl.taken.get()) {
            let queued = self.transport.take_queued();
            if !queued.is_empty() && !stdio::write_client(&queued)? {
                self.transport.set_gone();
            }
        }
        Ok(())
    }

    /// Whether the client has sent what was not read yet, as far as that can be seen from outside of TLS.
    pub(crate) fn has_sent_more(&self) -> bool {
        !self.is_taken() && self.transport.has_input()
    }

    /// Waits until the client says something, or is gone, and for so long at most. `beyond`: what was received and
    /// not yet read does not count.
    pub(crate) async fn peek(self: &Rc<Self>, time: Duration, beyond: bool) -> Peek {
        if !beyond && !self.state.input.borrow().is_empty() {
            return Peek::Spoke;
        }
        // Through a handle of Perl's nothing is seen without taking it.
        if self.is_taken() {
            return Peek::Silent;
        }
        self.flush().await;
        self.transport.peek(time).await
    }

    /// Appends what the client sends to the session's input.
    pub(crate) async fn read(self: &Rc<Self>, timeout: Duration) -> ReadEvent {
        let state = &self.state;
        let awaited = Awaited::in_state(state, timeout);
        if !self.is_taken() {
            return self.transport.read(&state.input, awaited).await;
        }
        if self.transport.is_lost() {
            self.transport.queue_bytes(STOPPING.as_bytes());
            self.flush().await;
            self.transport.set_gone();
            return ReadEvent::Eof;
        }
        let left = self.transport.patience.left(awaited, Instant::now());
        if left.is_zero() {
            return ReadEvent::TimedOut;
        }
        let read = self.perl(move |_| stdio::read_client(left)).await;
        match read {
            Some(Some(bytes)) if !bytes.is_empty() => {
                self.transport.patience.received(&bytes);
                self.state.input.borrow_mut().push(&bytes);
                ReadEvent::Bytes
            }
            Some(None) => ReadEvent::TimedOut,
            _ => ReadEvent::Eof,
        }
    }

    /// Bytes read ahead are STDIN's while Perl code runs.
    pub(crate) fn lend_input(&self) -> bool {
        let Some(perl) = self.perl_side.as_ref().filter(|perl| !perl.taken.get()) else {
            return false;
        };
        let mut input = self.state.input.borrow_mut();
        if input.is_empty() || !stdio::lend(input.as_slice()) {
            return false;
        }
        let mut lent = perl.lent.borrow_mut();
        lent.clear();
        lent.extend_from_slice(input.as_slice());
        input.clear();
        true
    }

    pub(crate) fn take_input_back(&self) {
        let Some(perl) = self.perl_side.as_ref().filter(|perl| !perl.taken.get()) else {
            return;
        };
        let mut lent = perl.lent.borrow_mut();
        let rest = match stdio::is_open() {
            true => stdio::take_back(),
            false => lent.split_off(0),
        };
        lent.clear();
        if !rest.is_empty() {
            self.state.input.borrow_mut().push(&rest);
        }
    }
}
