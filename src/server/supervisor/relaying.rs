//! The service's own lines go where the plugins' lines go, too: a worker without a session hands them to its
//! logging plugins, as they have their handles and connections there. Not the zygote: what a plugin opens in
//! it all workers would share. Does not write to stderr.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Supervisor;
use crate::base::log::take_relayed;
use crate::server::ipc::message::ToWorker;

/// Lines that wait for a worker at most; the oldest are dropped.
const MOST: usize = 200;
/// For so long calls are watched after a line was given to a worker, though there may be no session.
const WATCHED: Duration = Duration::from_secs(300);

/// The lines that wait, and who had one last.
#[derive(Default)]
pub(super) struct Relay {
    lines: VecDeque<(u8, String)>,
    last: Option<(u64, Instant)>,
    /// A worker has not survived one: none is given before the next load.
    is_off: bool,
}

impl Relay {
    /// Whether a logging plugin may be at work on a line.
    pub(super) fn is_out(&self) -> bool {
        self.last
            .is_some_and(|(_, since)| since.elapsed() < WATCHED)
    }

    /// Other plugins are loaded.
    pub(super) fn begin_again(&mut self) {
        self.is_off = false;
    }

    /// A worker without a session has died: if it had a line, the line is why, for all that is known.
    pub(super) fn lost(&mut self, worker: u64) {
        if self.last.is_some_and(|(last, _)| last == worker) && self.is_out() {
            self.hangs();
        }
    }

    /// A plugin does not come to the end of a line.
    pub(super) fn hangs(&mut self) {
        if !self.is_off {
            self.is_off = true;
            tracing::error!(
                "a line about the service may be what it died of: logging plugins get no more of them until the \
                 next load"
            );
        }
    }

    /// What was logged since the last time.
    pub(super) fn collect(&mut self) {
        self.lines.extend(take_relayed());
        let surplus = self.lines.len().saturating_sub(MOST);
        self.lines.drain(..surplus);
    }
}

impl Supervisor<'_> {
    /// Passes on what was logged since the last time, as far as a worker can take it.
    pub(super) fn relay_lines(&mut self) {
        self.relay.collect();
        if self.current.is_none() && self.stop.is_none() {
            // Nothing was loaded yet: who logs is not known.
            return;
        }
        if !self.facts.hooks_logging || self.relay.is_off {
            self.relay.lines.clear();
        }
        if self.relay.lines.is_empty() {
            return;
        }
        let Some((number, worker)) = self.workers.without_session() else {
            return;
        };
        while let Some((level, text)) = self.relay.lines.pop_front() {
            let word = ToWorker::Line { level, text };
            self.relay.last = Some((number, Instant::now()));
            if worker.tell(&word, None).is_err() {
                // It has all that it can take, or is dying: the next time.
                if let ToWorker::Line { level, text } = word {
                    self.relay.lines.push_front((level, text));
                }
                return;
            }
        }
    }
}
