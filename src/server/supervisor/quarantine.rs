//! Quarantine: plugins that have failed too often in a row are not called for some time. The count
//! is in the ledger that the workers share; here the deaths of workers are added to it, and the log
//! and the status learn what has become of it.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::Names;
use super::super::control::QuarantineStatus;
use super::super::generation::Generation;
use super::super::workers::{WorkerRecord, Workers};
use super::Supervisor;
use super::sharing::Marks;
use super::watching::named;
use crate::server::process::SharedLedger;
use crate::watch::{Running, now};

/// The ledgers by generation, with what the log has told of each.
#[derive(Default)]
pub(super) struct Quarantines(HashMap<u64, Watched>);

impl Quarantines {
    /// When the first plugin is called again.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.0.values().filter_map(|watched| watched.next).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Watched)> {
        self.0.iter().map(|(number, watched)| (*number, watched))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Watched)> {
        let all = self.0.iter_mut();
        all.map(|(number, watched)| (*number, watched))
    }
}

pub(super) struct Watched {
    pub(super) ledger: SharedLedger,
    pub(super) names: Rc<Names>,
    pub(super) marks: Marks,
    /// What the ledger's count of changes was when it was looked at.
    seen: u32,
    /// Plugins that are out, and which time of each that is.
    told: HashMap<u16, u32>,
    /// When the first of them is called again.
    next: Option<Instant>,
}

impl Supervisor<'_> {
    /// A generation has a ledger.
    pub(super) fn take_ledger(&mut self, generation: u64, names: Rc<Names>, memory: &OwnedFd) {
        match SharedLedger::map(memory) {
            Ok(ledger) => {
                let mut watched = Watched {
                    ledger,
                    names,
                    marks: Marks::default(),
                    seen: 0,
                    told: HashMap::new(),
                    next: None,
                };
                watched.know_unfit();
                self.quarantines.0.insert(generation, watched);
            }
            Err(error) => tracing::error!(
                "cannot see which plugins fail, or cannot be shared between sessions: {error}"
            ),
        }
    }

    /// A worker has ended in the middle of a plugin's call, which is what it has ended by.
    pub(super) fn blame(&mut self, worker: &WorkerRecord) -> Option<(String, String)> {
        let call = culprit(&worker.page().running())?;
        let key = named(&worker.names, call.place);
        let sum = self.past.plugins.entry(key.clone()).or_default();
        sum.calls += 1;
        sum.ended += 1;
        if let Some(watched) = self.quarantines.0.get(&worker.generation) {
            watched.ledger.failed(call.place, now());
        }
        Some(key)
    }

    /// Tells the log who is out and who is back, and who cannot be shared.
    pub(super) fn look_at_ledgers(&mut self) {
        let (generations, workers) = (&self.generations, &self.workers);
        self.quarantines
            .0
            .retain(|number, _| lives(generations, workers, *number));
        for watched in self.quarantines.0.values_mut() {
            self.counters.quarantines += watched.tell();
        }
        self.look_at_sharing();
    }

    /// The plugins that are not called for now.
    pub(super) fn quarantine_list(&self) -> Vec<QuarantineStatus> {
        let now = now();
        let mut list = Vec::new();
        let live = |number| lives(&self.generations, &self.workers, number);
        for (number, watched) in self
            .quarantines
            .0
            .iter()
            .filter(|(number, _)| live(**number))
        {
            for one in watched.ledger.out(now) {
                let (plugin, hook) = named(&watched.names, one.place());
                list.push(QuarantineStatus {
                    generation: *number,
                    plugin,
                    hook,
                    failures: one.failures.into(),
                    seconds_left: one.until.map(|until| left(until, now)),
                });
            }
        }
        list.sort_by(|a, b| (a.generation, &a.plugin).cmp(&(b.generation, &b.plugin)));
        list
    }
}

/// Whether plugins of this generation may still run.
pub(super) fn lives(
    generations: &HashMap<u64, Generation>,
    workers: &Workers,
    number: u64,
) -> bool {
    generations.contains_key(&number) || workers.of(number) > 0
}

impl Watched {
    /// Says how many plugins were put out since the last time.
    fn tell(&mut self) -> u64 {
        let changes = self.ledger.changes();
        if changes == self.seen && self.told.is_empty() {
            return 0;
        }
        let new = changes.wrapping_sub(std::mem::replace(&mut self.seen, changes));
        let now = now();
        let out = self.ledger.out(now);
        for one in &out {
            if self.told.insert(one.plugin, one.times) == Some(one.times) {
                continue;
            }
            let (plugin, hook) = named(&self.names, one.place());
            let time = match one.until {
                Some(until) => format!("for {} s", left(until, now)),
                None => "until a reload".to_owned(),
            };
            tracing::error!(
                "plugin {plugin} has failed {} times in a row in the {hook} hook and is in \
                 quarantine {time}: it is not called (plugin_settings: quarantine, on_error)",
                one.failures
            );
        }
        self.told.retain(|plugin, _| {
            let still = out.iter().any(|one| one.plugin == *plugin);
            if !still {
                let name = self.names.plugins.get(usize::from(*plugin));
                let name = name.map_or("?", String::as_str);
                tracing::info!("plugin {name} is out of quarantine and is called again");
            }
            still
        });
        let first = out.iter().filter_map(|one| one.until).min();
        let wait = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        self.next = first.map(|until| Instant::now() + wait(until));
        new.into()
    }
}

/// Seconds, begun ones whole.
fn left(until: u64, now: u64) -> u64 {
    until.saturating_sub(now).div_ceil(1_000_000_000)
}

/// Of the calls that ran when a worker died, the one that did it: the innermost one that was not
/// just awaited.
pub(super) fn culprit(running: &[Running]) -> Option<Running> {
    let perl = running.iter().rfind(|call| !call.place.native).copied();
    perl.or_else(|| running.last().copied())
}
