//! What the workers' pages say, with names: what runs now, and what plugins did so far.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Names;
use super::super::workers::WorkerRecord;
use super::Supervisor;
use crate::watch::{PluginHook, QueueCounts, RefusalCounts, Sum, now};

/// What has happened in workers.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Sums {
    /// What plugins did, by plugin and hook.
    pub(in crate::server) plugins: BTreeMap<(String, String), Sum>,
    pub(in crate::server) queue: QueueCounts,
    pub(in crate::server) refused: RefusalCounts,
    /// Lines of the log that could not be written.
    pub(in crate::server) lost_lines: u64,
}

/// A plugin call that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct RunningCall {
    /// The supervisor's number of the worker, and its process.
    pub worker: u64,
    pub pid: i32,
    pub session: u64,
    pub plugin: String,
    pub hook: String,
    /// How long it has run, and how long it may.
    pub age: Duration,
    pub limit: Option<Duration>,
}

/// The names of a place's plugin and hook.
pub(super) fn named(names: &Names, place: PluginHook) -> (String, String) {
    let name = |all: &Vec<String>, at: usize| {
        let found = all.get(at).map(String::as_str);
        found
            .filter(|name| !name.is_empty())
            .unwrap_or("?")
            .to_owned()
    };
    (
        name(&names.plugins, place.plugin.into()),
        name(&names.hooks, place.hook.into()),
    )
}

/// Adds what has happened in a worker.
pub(super) fn add(sums: &mut Sums, worker: &WorkerRecord) {
    for (place, sum) in worker.page().sums() {
        let name = named(&worker.names, place);
        sums.plugins.entry(name).or_default().add(&sum);
    }
    sums.queue.add(worker.page().queue_counts());
    sums.refused.add(worker.page().refusals());
    sums.lost_lines += worker.page().lost_lines().count();
}

impl Supervisor<'_> {
    /// What runs now, in each worker the outermost call first.
    pub(in crate::server) fn running(&self) -> Vec<RunningCall> {
        let now = now();
        let mut running = Vec::new();
        for (number, worker) in self.workers.iter() {
            for call in worker.page().running() {
                let (plugin, hook) = named(&worker.names, call.place);
                running.push(RunningCall {
                    worker: number,
                    pid: worker.pid,
                    session: call.session,
                    plugin,
                    hook,
                    age: call.age(now),
                    limit: call.limit,
                });
            }
        }
        running
    }

    /// What became of messages since the service started.
    pub(in crate::server) fn queue_counts(&self) -> QueueCounts {
        let mut counts = self.past.queue;
        for (_, worker) in self.workers.iter() {
            counts.add(worker.page().queue_counts());
        }
        counts
    }

    /// What sessions have refused since the service started.
    pub(in crate::server) fn refusals(&self) -> RefusalCounts {
        let mut counts = self.past.refused;
        for (_, worker) in self.workers.iter() {
            counts.add(worker.page().refusals());
        }
        counts
    }

    /// What has happened since the service started, also in workers that have ended.
    pub(in crate::server) fn sums(&self) -> Sums {
        let mut sums = self.past.clone();
        for (_, worker) in self.workers.iter() {
            add(&mut sums, worker);
        }
        sums
    }
}
