//! Plugins whose variables cannot be exchanged between the sessions of a worker: told here as soon
//! as that is found.

use crate::base::log::{LOGINFO, LOGWARN};
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;
use crate::watch::{self, Marked, Unfit};

impl Host {
    /// A plugin, by its name in the table of hooks, has a variable that cannot be exchanged
    /// (`%cache`). While plugins are loaded this waits for `take_unfit`; in a session it counts
    /// for all workers at once, and nothing is to be found of it here: the supervisor tells the log.
    pub(in crate::perl) fn mark_unfit(&self, plugin: &[u8], why: Unfit, variable: &str) {
        let Some(guards) = self.guards.get() else {
            let mut found = self.unfit.borrow_mut();
            if !found.iter().any(|(known, _)| known == plugin) {
                found.push((plugin.to_vec(), why.reason(variable)));
            }
            return;
        };
        let marked = match guards.number(plugin) {
            Some(number) => watch::mark_unfit(number, why, variable),
            None => Some(Marked::NoPlace),
        };
        if marked == Some(Marked::NoPlace) {
            watch::wear_out();
            self.set_unfit(plugin, &why.reason(variable));
        }
    }

    /// In a session: what was found to be unfit counts for all workers.
    pub(in crate::perl) fn tell_unfit(&self) {
        for (plugin, why, variable) in self.site.found_unfit() {
            self.mark_unfit(&plugin, why, &variable);
        }
    }

    /// What was found before there were guards counts from now on.
    pub fn take_unfit(&self) {
        for (plugin, reason) in self.unfit.take() {
            self.set_unfit(&plugin, &reason);
        }
    }

    /// Isolates a plugin in this process and those forked from it, and tells the log.
    fn set_unfit(&self, plugin: &[u8], reason: &str) {
        let guards = self.guards.get();
        if let Some((line, warns)) = guards.and_then(|guards| guards.set_unfit(plugin, reason)) {
            let level = if warns { LOGWARN } else { LOGINFO };
            // An error means that a logging plugin called exit: nothing more can be said.
            let _ = self.log(level, None, None, &[Sv::bytes(line.as_bytes())]);
        }
    }
}
