//! How long a client may take: for each line, as the original's alarm counts, and for a message as a
//! whole, which the original does not limit. Does no I/O.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::session::State;

/// What a session waits for.
#[derive(Debug, Clone, Copy)]
pub struct Awaited {
    /// For a whole line.
    pub timeout: Duration,
    /// It is a message's.
    pub in_message: bool,
    /// `data_min_rate` in bytes per second: beyond the time for a line, a message may take as long as
    /// its bytes take at this rate. 0: any time.
    pub least_rate: u64,
}

impl Awaited {
    pub fn in_state(state: &State, timeout: Duration) -> Awaited {
        Awaited {
            timeout,
            in_message: state.in_message.get(),
            least_rate: state.settings.data_min_rate,
        }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Patience {
    /// When the line must be complete.
    line_until: Cell<Option<Instant>>,
    /// When the message began, and how much of it has come.
    message: Cell<Option<(Instant, u64)>>,
}

impl Patience {
    /// What is left of the client's time.
    pub fn left(&self, awaited: Awaited, now: Instant) -> Duration {
        let line = self.line_until.get().unwrap_or(now + awaited.timeout);
        self.line_until.set(Some(line));
        let left = line.saturating_duration_since(now);
        if !awaited.in_message {
            self.message.set(None);
            return left;
        }
        let (began, bytes) = self.message.get().unwrap_or((now, 0));
        self.message.set(Some((began, bytes)));
        let Some(seconds) = bytes.checked_div(awaited.least_rate) else {
            return left;
        };
        let message = began + awaited.timeout + Duration::from_secs(seconds);
        left.min(message.saturating_duration_since(now))
    }

    /// These bytes have come.
    pub fn received(&self, bytes: &[u8]) {
        if memchr::memchr(b'\n', bytes).is_some() {
            self.line_until.set(None);
        }
        if let Some((began, before)) = self.message.get() {
            self.message.set(Some((began, before + bytes.len() as u64)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Awaited = Awaited {
        timeout: Duration::from_secs(10),
        in_message: false,
        least_rate: 100,
    };
    const MESSAGE: Awaited = Awaited {
        in_message: true,
        ..LINE
    };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn bytes_of_a_line_do_not_prolong_its_time_and_its_end_does() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert_eq!(patience.left(LINE, now), seconds(10));
        patience.received(b"NO");
        assert_eq!(patience.left(LINE, now + seconds(7)), seconds(3));
        patience.received(b"OP");
        assert_eq!(patience.left(LINE, now + seconds(11)), seconds(0));
        patience.received(b"\r\nNO");
        assert_eq!(patience.left(LINE, now + seconds(12)), seconds(10));
    }

    #[test]
    fn a_message_has_as_long_as_its_bytes_take_at_the_least_rate() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert_eq!(patience.left(MESSAGE, now), seconds(10));
        patience.received(b"x\r\n");
        // Line after line in time, but hardly any bytes.
        assert_eq!(patience.left(MESSAGE, now + seconds(9)), seconds(1));
        patience.received(&b"0123456789\r\n".repeat(100));
        assert_eq!(patience.left(MESSAGE, now + seconds(9)), seconds(10));
        patience.received(b"x\r\n");
        assert_eq!(patience.left(MESSAGE, now + seconds(19)), seconds(3));
        // The next one has its own time.
        patience.received(b".\r\n");
        assert_eq!(patience.left(LINE, now + seconds(19)), seconds(10));
        patience.received(b"DATA\r\n");
        assert_eq!(patience.left(MESSAGE, now + seconds(30)), seconds(10));
    }

    #[test]
    fn without_a_least_rate_a_message_may_take_any_time() {
        let (patience, now) = (Patience::default(), Instant::now());
        let awaited = Awaited {
            least_rate: 0,
            ..MESSAGE
        };
        for at in (0..1000).step_by(9) {
            assert_eq!(patience.left(awaited, now + seconds(at)), seconds(10));
            patience.received(b"x\r\n");
        }
    }
}
