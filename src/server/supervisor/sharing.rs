//! How the sessions of a worker share each plugin. Where a plugin's variables turn out not to be
//! exchangeable, its workers mark it in the ledger, and see to it that its sessions leave them; here
//! the log and the status learn of that, and workers in which it has run are replaced.

#![forbid(unsafe_code)]

use super::super::control::{SharingKind, SharingStatus};
use super::super::workers::WorkerRecord;
use super::Supervisor;
use super::quarantine::{Watched, lives};
use crate::watch::{Sharing, unfit_line};

/// What is known of the marks of a generation.
#[derive(Default)]
pub(super) struct Marks {
    /// The ledger's count when it was looked at.
    seen: u32,
    /// The plugins of which the log tells already.
    told: Vec<u16>,
}

impl Supervisor<'_> {
    /// Tells the log which plugins are found not to be shareable, once each.
    pub(super) fn look_at_sharing(&mut self) {
        let mut found = Vec::new();
        for (generation, watched) in self.quarantines.iter_mut() {
            found.extend(watched.tell_unfit().map(|plugin| (generation, plugin)));
        }
        if found.is_empty() || self.stop.is_some() {
            return;
        }
        // Sessions have left something in these already. Others stand in for them even before they
        // have ended, as at a reload: all sessions of a busy service may be in them.
        self.workers.replace(|worker| {
            let has_run = |(generation, plugin): &(u64, u16)| {
                worker.generation == *generation && worker.has_run(*plugin)
            };
            worker.forked_by.is_none() && found.iter().any(has_run)
        });
        self.fork_workers();
    }

    /// How each plugin is shared, in the order in which they were loaded.
    pub(super) fn sharing_list(&self) -> Vec<SharingStatus> {
        let mut list = Vec::new();
        for (generation, watched) in self.quarantines.iter() {
            if !lives(&self.generations, &self.workers, generation) {
                continue;
            }
            for (number, plugin) in (0u16..).zip(&watched.names.plugins) {
                let Some(sharing) = watched.ledger.sharing(number) else {
                    break;
                };
                let (sharing, reason) = match sharing {
                    Sharing::Shared => (SharingKind::Shared, None),
                    Sharing::Isolated => (SharingKind::Isolated, None),
                    Sharing::Keeps => (SharingKind::Keeps, None),
                    Sharing::OwnWorkers { reason } => (SharingKind::OwnWorkers, Some(reason)),
                };
                list.push(SharingStatus {
                    generation,
                    plugin: plugin.clone(),
                    sharing,
                    reason,
                });
            }
        }
        list.sort_by_key(|one| one.generation);
        list
    }
}

impl Watched {
    /// What was found while plugins were loaded has been told there.
    pub(super) fn know_unfit(&mut self) {
        let unfit = self.ledger.unfit(self.names.plugins.len());
        self.marks = Marks {
            seen: self.ledger.marks(),
            told: unfit.into_iter().map(|(plugin, _)| plugin).collect(),
        };
    }

    /// Tells the log of those that it does not know. Gives the plugins that are isolated from now
    /// on.
    fn tell_unfit(&mut self) -> impl Iterator<Item = u16> {
        let count = self.ledger.marks();
        let unfit = match count == self.marks.seen {
            true => Vec::new(),
            false => self.ledger.unfit(self.names.plugins.len()),
        };
        self.marks.seen = count;
        unfit.into_iter().filter_map(|(plugin, reason)| {
            if self.marks.told.contains(&plugin) {
                return None;
            }
            self.marks.told.push(plugin);
            let name = self.names.plugins.get(usize::from(plugin))?;
            match self.ledger.sharing(plugin)? {
                Sharing::Isolated => None,
                Sharing::Keeps => {
                    tracing::info!("{}", unfit_line(name, &reason, true));
                    None
                }
                _ => {
                    tracing::warn!("{}", unfit_line(name, &reason, false));
                    Some(plugin)
                }
            }
        })
    }
}

impl WorkerRecord {
    /// Whether it has called a plugin, by its number.
    fn has_run(&self, plugin: u16) -> bool {
        let page = self.page();
        let mut running = page.running().into_iter();
        let mut sums = page.sums();
        running.any(|call| call.place.plugin == plugin)
            || sums.any(|(place, sum)| place.plugin == plugin && sum.calls > 0)
    }
}
