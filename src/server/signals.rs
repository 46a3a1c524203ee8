//! Signals to the supervisor, as events.

#![forbid(unsafe_code)]

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use super::supervisor::Event;

/// Sends an event for each INT, TERM (stop) and HUP (reload). Needs a LocalSet.
pub(super) fn watch(events: UnboundedSender<Event>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        loop {
            let event = tokio::select! {
                _ = interrupt.recv() => Event::Stop,
                _ = terminate.recv() => Event::Stop,
                _ = hangup.recv() => Event::Reload,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}
