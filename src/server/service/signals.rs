//! Signals to the supervisor and the beat of its watchdog, as events.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use crate::server::event::Event;

/// Sends an event for each INT, TERM (stop), HUP (reload) and USR2 (upgrade). Needs a LocalSet.
pub(in crate::server) fn watch(events: UnboundedSender<Event>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut second_user = signal(SignalKind::user_defined2())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::task::spawn_local(async move {
        loop {
            let event = tokio::select! {
                _ = interrupt.recv() => Event::Stop,
                _ = terminate.recv() => Event::Stop,
                _ = hangup.recv() => Event::Reload,
                _ = second_user.recv() => Event::Upgrade,
            };
            if events.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Sends an event each time that this much time has passed. Needs a LocalSet.
pub(in crate::server) fn tick(time: Duration, events: UnboundedSender<Event>) {
    tokio::task::spawn_local(async move {
        let mut beat = tokio::time::interval(time);
        // One sign of life is as good as several.
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            if events.send(Event::Alive).is_err() {
                return;
            }
        }
    });
}
