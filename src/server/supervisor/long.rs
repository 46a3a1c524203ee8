//! Hooks that are seen to run long: a session that comes to one is better in a process of its own.
//! Found by the sums of the workers' pages.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::workers::LONG;
use super::Supervisor;
use crate::server::ipc::message::ToWorker;
use crate::watch::{PluginHook, Sum};

/// How often the sums are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Supervisor<'_> {
    /// Looks at the sums, if it is time to, and tells the workers what has changed.
    pub(super) fn look_for_long(&mut self) {
        let now = Instant::now();
        if !self.shares() || self.look_for_long > now {
            return;
        }
        self.look_for_long = now + LOOK;
        let mut sums: HashMap<PluginHook, Sum> = HashMap::new();
        for (_, worker) in self.workers.iter() {
            if self.current != Some(worker.generation) {
                continue;
            }
            for (place, sum) in worker.page().sums() {
                sums.entry(place).or_default().add(&sum);
            }
        }
        let long = sums.iter().filter(|(place, sum)| {
            // A native plugin's call keeps nobody waiting.
            !place.native && place.hook < 64 && sum.mostly_longer(LONG)
        });
        let found = long.fold(0, |all, (place, _)| all | 1 << place.hook);
        // What workers that have ended saw counts on: a hook runs long until the next load.
        self.set_long(self.long | found);
    }

    /// Other plugins are loaded.
    pub(super) fn forget_long(&mut self) {
        self.set_long(0);
    }

    fn set_long(&mut self, long: u64) {
        if self.long == long {
            return;
        }
        self.long = long;
        for (_, worker) in self.workers.iter() {
            if self.current == Some(worker.generation) {
                // One that cannot be told is dying already.
                let _ = worker.tell(&ToWorker::Shared { long }, None);
            }
        }
    }
}
