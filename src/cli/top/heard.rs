//! What the loop of `camelpost top` reacts to, and what is heard of the daemon.

use std::sync::mpsc::Sender;
use std::time::Instant;

use ratatui::crossterm::event::KeyEvent;

use crate::server::Status;

/// What the loop reacts to.
pub(super) enum Event {
    Key(KeyEvent),
    Resized,
    Heard(Box<Heard>),
    /// SIGTERM and its like.
    Told,
    /// A thread that everything else needs is gone.
    Lost(String),
}

/// Says at the end of a thread that it is over, also where that was a panic.
pub(super) struct Farewell(pub(super) Sender<Event>, pub(super) &'static str);

impl Drop for Farewell {
    fn drop(&mut self) {
        // The loop may be over already.
        let _ = self.0.send(Event::Lost(self.1.to_owned()));
    }
}

/// An answer, or why there is none.
pub(super) struct Heard {
    pub at: Instant,
    pub status: Result<Status, String>,
}
