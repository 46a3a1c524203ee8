//! How long a client may take: for each line, as the original's alarm counts, for a message as a whole,
//! for HELO, and from one message to the next, which the original does not limit. Does no I/O.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::session::State;

/// What a session waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited {
    /// For a whole line.
    pub timeout: Duration,
    /// It is a message's.
    pub in_message: bool,
    /// `data_min_rate` in bytes per second: beyond the time for a line, a message may take as long as
    /// its bytes take at this rate. 0: any time.
    pub least_rate: u64,
    /// Until the client has said HELO, where it has not.
    pub greeting: Option<Duration>,
    /// Until the next message, which need not be complete by then.
    pub session: Option<Duration>,
    /// Messages that were taken.
    pub messages: u64,
}

impl Awaited {
    pub(crate) fn in_state(state: &State, timeout: Duration) -> Awaited {
        let limits = &state.settings.limits;
        let has_greeted = state.connection.borrow().has_greeted();
        Awaited {
            timeout,
            in_message: state.in_message.get(),
            least_rate: state.settings.data_min_rate,
            greeting: limits.greeting_timeout.filter(|_| !has_greeted),
            session: limits.session_timeout,
            messages: state.counts.messages(),
        }
    }
}

/// How long one client may still take, for each of the things that it is waited for.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// When the line must be complete.
    line_until: Cell<Option<Instant>>,
    /// When the message began, and how much of it has come.
    message: Cell<Option<(Instant, u64)>>,
    /// When the client began not to have said HELO.
    ungreeted: Cell<Option<Instant>>,
    /// How many messages there were, and since when.
    messages: Cell<Option<(u64, Instant)>>,
}

impl Patience {
    /// What is left of the client's time.
    pub(crate) fn left(&self, awaited: Awaited, now: Instant) -> Duration {
        let line = self.line_until.get();
        let line = line.unwrap_or_else(|| after(now, awaited.timeout));
        self.line_until.set(Some(line));
        let left = line.saturating_duration_since(now);
        if !awaited.in_message {
            self.message.set(None);
            return left.min(self.session_left(awaited, now));
        }
        let (began, bytes) = self.message.get().unwrap_or((now, 0));
        self.message.set(Some((began, bytes)));
        let Some(seconds) = bytes.checked_div(awaited.least_rate) else {
            return left;
        };
        let time = awaited.timeout.saturating_add(Duration::from_secs(seconds));
        let message = after(began, time);
        left.min(message.saturating_duration_since(now))
    }

    /// What is left of the time for HELO and for the next message.
    fn session_left(&self, awaited: Awaited, now: Instant) -> Duration {
        let ungreeted = self.ungreeted.get().unwrap_or(now);
        self.ungreeted.set(awaited.greeting.map(|_| ungreeted));
        let since = match self.messages.get() {
            Some((messages, since)) if messages == awaited.messages => since,
            _ => now,
        };
        self.messages.set(Some((awaited.messages, since)));
        let greeting = awaited.greeting.map(|limit| after(ungreeted, limit));
        let session = awaited.session.map(|limit| after(since, limit));
        let until = greeting.into_iter().chain(session).min();
        until.map_or(Duration::MAX, |until| until.saturating_duration_since(now))
    }

    /// These bytes have come.
    pub(crate) fn received(&self, bytes: &[u8]) {
        if memchr::memchr(b'\n', bytes).is_some() {
            self.line_until.set(None);
        }
        if let Some((began, before)) = self.message.get() {
            self.message.set(Some((began, before + bytes.len() as u64)));
        }
    }
}

/// Whoever sets a longer time than a clock can show means any time.
fn after(begin: Instant, time: Duration) -> Instant {
    const ANY: Duration = Duration::from_secs(30 * 365 * 86_400);
    begin + time.min(ANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Awaited = Awaited {
        timeout: Duration::from_secs(10),
        in_message: false,
        least_rate: 100,
        greeting: None,
        session: None,
        messages: 0,
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
    fn who_does_not_say_helo_has_no_more_time_for_each_line() {
        let (patience, now) = (Patience::default(), Instant::now());
        let awaited = Awaited {
            greeting: Some(seconds(15)),
            ..LINE
        };
        assert_eq!(patience.left(awaited, now), seconds(10));
        patience.received(b"NOOP\r\n");
        assert_eq!(patience.left(awaited, now + seconds(9)), seconds(6));
        // HELO, and later a STARTTLS after which it is to be said again.
        patience.received(b"HELO x\r\n");
        assert_eq!(patience.left(LINE, now + seconds(14)), seconds(10));
        patience.received(b"STARTTLS\r\n");
        assert_eq!(patience.left(awaited, now + seconds(20)), seconds(10));
    }

    #[test]
    fn each_message_that_was_taken_gives_the_session_its_time_again() {
        let (patience, now) = (Patience::default(), Instant::now());
        let awaited = |messages, in_message| Awaited {
            session: Some(seconds(15)),
            messages,
            in_message,
            ..LINE
        };
        assert_eq!(patience.left(awaited(0, false), now), seconds(10));
        patience.received(b"DATA\r\n");
        // A message may take its own time.
        assert_eq!(
            patience.left(awaited(0, true), now + seconds(9)),
            seconds(10)
        );
        patience.received(b".\r\n");
        assert_eq!(
            patience.left(awaited(1, false), now + seconds(18)),
            seconds(10)
        );
        patience.received(b"NOOP\r\n");
        assert_eq!(
            patience.left(awaited(1, false), now + seconds(27)),
            seconds(6)
        );
        patience.received(b"NOOP\r\n");
        assert_eq!(
            patience.left(awaited(1, false), now + seconds(33)),
            seconds(0)
        );
    }

    #[test]
    fn a_time_that_no_clock_can_show_is_any_time() {
        let (patience, now) = (Patience::default(), Instant::now());
        let awaited = Awaited {
            timeout: Duration::MAX,
            greeting: Some(seconds(u64::MAX)),
            session: Some(seconds(u64::MAX)),
            ..LINE
        };
        let years = seconds(3600 * 24 * 365);
        assert!(patience.left(awaited, now) > years);
        let in_message = true;
        let awaited = Awaited {
            in_message,
            ..awaited
        };
        assert!(patience.left(awaited, now) > years);
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
