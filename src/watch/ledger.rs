//! The page of memory that the supervisor and all workers of a generation share: how often each
//! plugin has failed in a row, and which plugins are therefore not called for now; which plugins
//! cannot be shared by the sessions of a worker. Knows no names, and not what stands in for a plugin
//! that is not called.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::page::PluginHook;
use super::unfit::{Mark, Sharing, Unfit, Unshared};

/// Plugins of which account is kept.
const PLUGINS: usize = 512;
/// Hooks of each of them.
const HOOKS: usize = 64;
/// What an entry says of the settings for sharing.
const ISOLATED: u32 = 1;
const KEEPS: u32 = 2;
/// Out until a reload.
const FOR_GOOD: u64 = u64::MAX;

#[repr(C)]
struct Entry {
    /// Failures in a row that put the plugin out; 0: it stays in.
    failures: AtomicU32,
    /// For how long; 0: until a reload.
    seconds: AtomicU32,
    /// When the plugin is called again, by [`super::now`]; 0: it is called.
    until: AtomicU64,
    /// The hook in which it failed last before it was put out.
    hook: AtomicU32,
    /// How often it was put out.
    times: AtomicU32,
    /// Failures in a row, by hook.
    streaks: [AtomicU32; HOOKS],
    /// One of the two above, or 0.
    sharing: AtomicU32,
    /// Why its variables cannot be exchanged.
    mark: Mark,
}

/// Counts of failures in a row, and marks, plugin by plugin: for all workers of a load. Zeroed memory is a ledger without rules.
#[repr(C)]
pub struct Ledger {
    /// How often a plugin was put out.
    changes: AtomicU32,
    /// Entries from this one on have no rule.
    used: AtomicU32,
    /// 1: some process has found that the store cannot be reached, and has said so.
    store_gone: AtomicU32,
    /// The plugins that cannot be shared, and are to be treated so.
    unshared: Unshared<{ PLUGINS / 64 }>,
    entries: [Entry; PLUGINS],
}

/// After how many failures in a row a plugin is put out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub plugin: u16,
    pub failures: u32,
    /// 0: until a reload.
    pub seconds: u32,
}

/// A plugin that is not called for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Out {
    pub plugin: u16,
    /// The hook in which it failed last.
    pub hook: u8,
    pub failures: u32,
    /// When it is called again, by [`super::now`]; `None`: after a reload.
    pub until: Option<u64>,
    /// How often it was put out, this time included.
    pub times: u32,
}

/// What has come of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// All processes know it.
    Unshared,
    /// It stays shared, as it keeps its variables.
    Kept,
    /// The ledger has no place for the plugin.
    NoPlace,
}

impl Out {
    /// Where it failed last.
    pub fn place(&self) -> PluginHook {
        PluginHook {
            plugin: self.plugin,
            hook: self.hook,
            native: false,
        }
    }
}

impl Ledger {
    /// An empty one, for tests.
    pub fn empty() -> Box<Ledger> {
        let entry = || Entry {
            failures: AtomicU32::new(0),
            seconds: AtomicU32::new(0),
            until: AtomicU64::new(0),
            hook: AtomicU32::new(0),
            times: AtomicU32::new(0),
            streaks: std::array::from_fn(|_| AtomicU32::new(0)),
            sharing: AtomicU32::new(0),
            mark: Mark::none(),
        };
        Box::new(Ledger {
            changes: AtomicU32::new(0),
            used: AtomicU32::new(0),
            store_gone: AtomicU32::new(0),
            unshared: Unshared::none(),
            entries: std::array::from_fn(|_| entry()),
        })
    }

    /// To be called before anybody else has the ledger. False if it has no place for the plugin.
    pub fn set(&self, rule: Rule) -> bool {
        let Some(entry) = self.entry(rule.plugin) else {
            return false;
        };
        let used = u32::from(rule.plugin) + 1;
        self.used.fetch_max(used, Ordering::Relaxed);
        entry.failures.store(rule.failures, Ordering::Relaxed);
        entry.seconds.store(rule.seconds, Ordering::Relaxed);
        true
    }

    /// A call has given a verdict.
    pub fn succeeded(&self, place: PluginHook) {
        if let Some(streak) = self.streak(place)
            && streak.load(Ordering::Relaxed) != 0
        {
            streak.store(0, Ordering::Relaxed);
        }
    }

    /// A call took too long, or has ended its process.
    pub fn failed(&self, place: PluginHook, now: u64) {
        let (Some(entry), Some(streak)) = (self.entry(place.plugin), self.streak(place)) else {
            return;
        };
        let failures = streak.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let limit = entry.failures.load(Ordering::Relaxed);
        if limit == 0 || failures < limit || entry.until.load(Ordering::Relaxed) != 0 {
            return;
        }
        let seconds = entry.seconds.load(Ordering::Relaxed);
        let until = match seconds {
            0 => FOR_GOOD,
            seconds => now.saturating_add(u64::from(seconds) * 1_000_000_000),
        };
        entry.hook.store(place.hook.into(), Ordering::Relaxed);
        let put_out = entry
            .until
            .compare_exchange(0, until, Ordering::Release, Ordering::Relaxed);
        if put_out.is_ok() {
            entry.times.fetch_add(1, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Changes whenever a plugin is put out.
    pub fn changes(&self) -> u32 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether a plugin is not called. One whose time is over begins anew.
    pub fn is_out(&self, plugin: u16, now: impl FnOnce() -> u64) -> bool {
        let Some(entry) = self.entry(plugin) else {
            return false;
        };
        let until = entry.until.load(Ordering::Relaxed);
        if until == 0 {
            return false;
        }
        if until == FOR_GOOD || until > now() {
            return true;
        }
        for streak in &entry.streaks {
            streak.store(0, Ordering::Relaxed);
        }
        // Another process may have been faster.
        let _ = entry
            .until
            .compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        false
    }

    /// The plugins that are not called for now.
    pub fn out(&self, now: u64) -> Vec<Out> {
        let used = self.used.load(Ordering::Relaxed) as usize;
        let numbered = (0u16..).zip(self.entries.iter().take(used));
        let out = numbered.filter(|(plugin, _)| self.is_out(*plugin, || now));
        out.map(|(plugin, entry)| {
            let until = entry.until.load(Ordering::Acquire);
            let hook = entry.hook.load(Ordering::Relaxed).to_le_bytes()[0];
            let streak = entry.streaks.get(usize::from(hook));
            Out {
                plugin,
                hook,
                failures: streak.map_or(0, |streak| streak.load(Ordering::Relaxed)),
                until: (until != FOR_GOOD).then_some(until),
                times: entry.times.load(Ordering::Relaxed),
            }
        })
        .collect()
    }

    /// To be called before anybody else has the ledger. False if it has no place for the plugin.
    pub fn set_sharing(&self, plugin: u16, sharing: &Sharing) -> bool {
        let Some(entry) = self.entry(plugin) else {
            return false;
        };
        match sharing {
            Sharing::Shared => {}
            Sharing::Isolated => entry.sharing.store(ISOLATED, Ordering::Relaxed),
            Sharing::Keeps => entry.sharing.store(KEEPS, Ordering::Relaxed),
            Sharing::OwnWorkers { reason } => {
                self.mark_unfit(plugin, Unfit::Other, reason);
            }
        }
        true
    }

    /// How a plugin is shared; `None` where no account of it is kept.
    pub fn sharing(&self, plugin: u16) -> Option<Sharing> {
        let entry = self.entry(plugin)?;
        Some(match entry.sharing.load(Ordering::Relaxed) {
            ISOLATED => Sharing::Isolated,
            KEEPS => Sharing::Keeps,
            _ => match entry.mark.read() {
                Some(reason) => Sharing::OwnWorkers { reason },
                None => Sharing::Shared,
            },
        })
    }

    /// A variable of the plugin cannot be exchanged, for this reason. From now on all processes
    /// treat it as isolated, unless it keeps its variables. Beyond the first time this does nothing.
    pub fn mark_unfit(&self, plugin: u16, why: Unfit, variable: &str) -> Marked {
        let Some(entry) = self.entry(plugin) else {
            return Marked::NoPlace;
        };
        entry.mark.write(why, variable);
        if entry.sharing.load(Ordering::Relaxed) == KEEPS {
            self.unshared.note();
            return Marked::Kept;
        }
        self.unshared.set(plugin);
        Marked::Unshared
    }

    /// Whether a plugin was marked, and is to be treated as isolated.
    pub fn is_unshared(&self, plugin: u16) -> bool {
        self.unshared.has(plugin)
    }

    /// Changes whenever a plugin is marked.
    pub fn marks(&self) -> u32 {
        self.unshared.changes()
    }

    /// The first of so many plugins that were marked, with the reasons.
    pub fn unfit(&self, plugins: usize) -> Vec<(u16, String)> {
        let numbered = (0u16..).zip(self.entries.iter().take(plugins));
        let marked = numbered.filter_map(|(plugin, entry)| Some((plugin, entry.mark.read()?)));
        marked.collect()
    }

    /// The store can be reached, or not, from now on. Whether that is news.
    pub fn set_store_gone(&self, gone: bool) -> bool {
        let gone = u32::from(gone);
        // Most often it is there, as before.
        self.store_gone.load(Ordering::Relaxed) != gone
            && self.store_gone.swap(gone, Ordering::Relaxed) != gone
    }

    fn entry(&self, plugin: u16) -> Option<&Entry> {
        self.entries.get(usize::from(plugin))
    }

    fn streak(&self, place: PluginHook) -> Option<&AtomicU32> {
        self.entry(place.plugin)?
            .streaks
            .get(usize::from(place.hook))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(plugin: u16, hook: u8) -> PluginHook {
        PluginHook {
            plugin,
            hook,
            native: false,
        }
    }

    fn ledger(seconds: u32) -> Box<Ledger> {
        let ledger = Ledger::empty();
        assert!(ledger.set(Rule {
            plugin: 3,
            failures: 2,
            seconds,
        }));
        ledger
    }

    #[test]
    fn a_store_that_is_gone_is_news_once() {
        let ledger = Ledger::empty();
        let said: Vec<bool> = [false, true, true, false, false, true]
            .into_iter()
            .map(|gone| ledger.set_store_gone(gone))
            .collect();
        assert_eq!(said, [false, true, false, true, false, true]);
    }

    #[test]
    fn as_many_failures_in_a_row_put_a_plugin_out_of_all_its_hooks() {
        let ledger = ledger(0);
        ledger.failed(place(3, 5), 1);
        assert!(!ledger.is_out(3, || 1));
        ledger.failed(place(3, 5), 2);
        assert!(ledger.is_out(3, || u64::MAX - 1));
        let out = Out {
            plugin: 3,
            hook: 5,
            failures: 2,
            until: None,
            times: 1,
        };
        assert_eq!(ledger.out(9), [out]);
        assert_eq!(ledger.changes(), 1);
    }

    #[test]
    fn a_success_in_between_counts_for_its_hook_only() {
        let ledger = ledger(0);
        ledger.failed(place(3, 5), 1);
        ledger.succeeded(place(3, 5));
        ledger.failed(place(3, 5), 1);
        assert!(!ledger.is_out(3, || 1));
        ledger.succeeded(place(3, 6));
        ledger.failed(place(3, 5), 1);
        assert!(ledger.is_out(3, || 1));
    }

    #[test]
    fn after_its_time_a_plugin_is_called_again_and_begins_anew() {
        let ledger = ledger(10);
        ledger.failed(place(3, 5), 7);
        ledger.failed(place(3, 5), 7);
        let end = 7 + 10_000_000_000;
        assert!(ledger.is_out(3, || end - 1));
        assert!(!ledger.is_out(3, || end));
        ledger.failed(place(3, 5), end);
        assert!(!ledger.is_out(3, || end));
        ledger.failed(place(3, 5), end);
        assert_eq!(ledger.out(end)[0].times, 2);
    }

    #[test]
    fn plugins_without_a_rule_or_a_place_stay_in() {
        let ledger = ledger(0);
        for plugin in [4, PLUGINS as u16, u16::MAX] {
            (0..5).for_each(|_| ledger.failed(place(plugin, 5), 1));
            ledger.succeeded(place(plugin, 5));
            assert!(!ledger.is_out(plugin, || 1));
        }
        (0..5).for_each(|_| ledger.failed(place(3, 200), 1));
        assert_eq!(ledger.out(1), []);
        let rule = Rule {
            plugin: PLUGINS as u16,
            failures: 1,
            seconds: 0,
        };
        assert!(!ledger.set(rule));
    }

    #[test]
    fn a_mark_counts_unless_the_plugin_keeps_its_variables() {
        let ledger = Ledger::empty();
        assert!(
            ledger.set_sharing(1, &Sharing::Keeps) && ledger.set_sharing(2, &Sharing::Isolated)
        );
        let reason = "its variable %cache is tied".to_owned();
        let at_load = Sharing::OwnWorkers { reason };
        assert!(ledger.set_sharing(3, &at_load));
        let marks = ledger.marks();
        let mark = |plugin| ledger.mark_unfit(plugin, Unfit::Tied, "%cache");
        assert_eq!([mark(0), mark(0)], [Marked::Unshared; 2]);
        assert_eq!(ledger.marks(), marks + 1);
        assert_eq!(mark(1), Marked::Kept);
        assert_ne!(ledger.marks(), marks + 1);
        let unshared = (0..5).filter(|plugin| ledger.is_unshared(*plugin));
        assert_eq!(unshared.collect::<Vec<u16>>(), [0, 3]);
        let shared: Vec<_> = (0..5).filter_map(|plugin| ledger.sharing(plugin)).collect();
        let expected = [
            at_load.clone(),
            Sharing::Keeps,
            Sharing::Isolated,
            at_load,
            Sharing::Shared,
        ];
        assert_eq!(shared, expected);
        let marked: Vec<u16> = ledger
            .unfit(5)
            .into_iter()
            .map(|(plugin, _)| plugin)
            .collect();
        assert_eq!(marked, [0, 1, 3]);
    }

    #[test]
    fn plugins_without_a_place_cannot_be_marked() {
        let ledger = Ledger::empty();
        for plugin in [PLUGINS as u16, u16::MAX] {
            let marked = ledger.mark_unfit(plugin, Unfit::Tied, "%x");
            assert_eq!(marked, Marked::NoPlace);
            assert!(!ledger.is_unshared(plugin));
            assert!(!ledger.set_sharing(plugin, &Sharing::Keeps));
            assert_eq!(ledger.sharing(plugin), None);
        }
        assert_eq!(ledger.marks(), 0);
    }
}
