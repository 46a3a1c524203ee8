//! The end of the service: no new clients, a time in which open sessions may end by themselves,
//! then one in which they are told to, then the end of their processes.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::super::workers::Workers;
use super::Supervisor;
use super::upgrading::Succession;
use crate::base::log::SERVICE;
use crate::server::front::clients::refuse;
use crate::server::front::listen::BACKLOG;
use crate::server::service::upgrade::Line;

/// How long sessions that were told to end may take for it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long killed processes may take to end.
pub(super) const LAST_GRACE: Duration = Duration::from_secs(3);

pub const STOPPING: &str = "421 4.3.2 Service is shutting down, closing connection\r\n";

/// How far the end has come.
pub(super) struct Stop {
    stage: Stage,
    /// When the next stage begins.
    pub(super) next: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Open sessions go on.
    Drains,
    /// They were told to end.
    Hurries,
    /// They were cut off.
    Kills,
}

impl Supervisor<'_> {
    /// Whether the workers were killed for the end.
    pub(super) fn is_killing(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.stage == Stage::Kills)
    }

    /// A process that this one has replaced, and that has sessions still: it was told to stop, too. Whoever waits
    /// for this one's end waits for that of the service: a service manager kills what is left then.
    pub(super) fn waits_for_predecessor(&self) -> bool {
        self.predecessor.as_ref().is_some_and(Line::is_heard)
    }

    /// The first signal begins the end. Whoever sends a second one does not want to wait.
    pub(super) fn stop(&mut self) {
        match (&self.stop, std::mem::take(&mut self.control.draining)) {
            (Some(_), false) => self.cut_off(),
            // A drain by command may last long; the first signal ends it in order.
            (Some(_), true) => self.stop_harder(),
            (None, _) => self.stop_within(self.settings.service.drain),
        }
    }

    /// Begins the end, or gives its first stage another time.
    pub(super) fn stop_within(&mut self, limit: Duration) {
        match &self.stop {
            Some(stop) if stop.stage == Stage::Drains => return self.enter(Stage::Drains, limit),
            Some(_) => return,
            None => {}
        }
        if let Some(predecessor) = &self.predecessor {
            predecessor.stop();
        }
        if self.succession != Succession::Over {
            // One that is not ready yet ends with this.
            self.successor = None;
            self.upgrade_is_over(Err("the service is stopping"));
        }
        self.refuse_backlog();
        self.close_listeners();
        self.bound.clear();
        for client in self.waiting.drain(..) {
            self.counters.refused_stopping += 1;
            self.refusals.add_own("limit: stopping");
            refuse(&client.connection.socket, STOPPING);
        }
        let open = self.sessions.len();
        match open {
            0 => tracing::info!(target: SERVICE, "stopping"),
            _ => tracing::info!(
                target: SERVICE,
                "stopping: {open} open sessions may go on for {} seconds",
                limit.as_secs()
            ),
        }
        // A worker that is told to end reads no more.
        self.relay_lines();
        self.workers.dismiss_all(false, |_| true);
        self.notify
            .stopping(&format!("Stopping: {open} open sessions"));
        self.enter(Stage::Drains, limit);
    }

    /// Tells those who wait in the kernel for a place; closing the listening sockets would reset
    /// their connections. Only so many: others may come as fast as these are told.
    fn refuse_backlog(&mut self) {
        self.acceptors
            .drain(..)
            .for_each(|acceptor| acceptor.abort());
        for listener in &self.listeners {
            let waiting = std::iter::from_fn(|| listener.take_waiting());
            for socket in waiting.take(BACKLOG.into()) {
                self.counters.connections += 1;
                self.counters.refused_stopping += 1;
                self.refusals.add_own("limit: stopping");
                refuse(&socket, STOPPING);
            }
        }
    }

    /// Accepts no more.
    pub(super) fn close_listeners(&mut self) {
        self.acceptors
            .drain(..)
            .for_each(|acceptor| acceptor.abort());
        self.listeners.clear();
    }

    fn enter(&mut self, stage: Stage, limit: Duration) {
        let next = Instant::now() + limit;
        self.stop = Some(Stop { stage, next });
    }

    /// The time of a stage is over.
    pub(super) fn stop_harder(&mut self) {
        let stage = self.stop.as_ref().map(|stop| stop.stage);
        if stage != Some(Stage::Drains) {
            return self.cut_off();
        }
        tracing::info!(
            target: SERVICE,
            "stopping: {} open sessions are told to end",
            self.sessions.len()
        );
        self.workers.dismiss_all(true, |_| true);
        self.enter(Stage::Hurries, LAST_WORDS);
    }

    /// Ends what has not ended by itself.
    fn cut_off(&mut self) {
        if self.is_killing() {
            // Not even SIGKILL helped (a process in uninterruptible sleep): leave it behind.
            self.generations.clear();
            self.workers = Workers::default();
            self.predecessor = None;
            return;
        }
        if let Some(predecessor) = &self.predecessor {
            predecessor.stop();
        }
        self.counters.sessions_cut_off += self.sessions.len() as u64;
        for (_, session) in self.sessions.drain() {
            if let Some(socket) = &session.socket {
                refuse(socket, STOPPING);
            }
        }
        self.workers.kill_all();
        self.enter(Stage::Kills, LAST_GRACE);
    }
}
