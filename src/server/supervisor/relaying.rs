//! The service's own lines go where the plugins' lines go, too: a worker without a session hands them to its
//! logging plugins, as they have their handles and connections there. Not the zygote: what a plugin opens in
//! it all workers would share. Does not write to stderr.

#![forbid(unsafe_code)]

use super::Supervisor;
use crate::base::log::take_relayed;
use crate::server::ipc::message::ToWorker;

/// Lines that wait for a worker at most; the oldest are dropped.
const MOST: usize = 200;

impl Supervisor<'_> {
    /// Passes on what was logged since the last time, as far as a worker can take it.
    pub(super) fn relay_lines(&mut self) {
        self.lines.extend(take_relayed());
        if self.current.is_none() && self.stop.is_none() {
            // Nothing was loaded yet: who logs is not known.
            self.drop_oldest_lines();
            return;
        }
        if !self.facts.hooks_logging {
            self.lines.clear();
        }
        if self.lines.is_empty() {
            return;
        }
        self.drop_oldest_lines();
        let Some(worker) = self.workers.without_session() else {
            return;
        };
        while let Some((level, text)) = self.lines.pop_front() {
            let word = ToWorker::Line { level, text };
            if worker.tell(&word, None).is_err() {
                // It is dying. Another has the rest.
                return;
            }
        }
    }

    fn drop_oldest_lines(&mut self) {
        let surplus = self.lines.len().saturating_sub(MOST);
        self.lines.drain(..surplus);
    }
}
