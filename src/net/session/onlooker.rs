//! Who looks on at a session as it goes from step to step (`camelpost try`). Most sessions have none.

use std::rc::Rc;

use super::Session;
use crate::hook::{HookCall, Verdict};

/// Looks on at a session.
pub(in crate::net) trait Onlooker {
    /// A hook is about to run. What is given stands in the place of its plugins.
    fn hook_begins(&self, session: &Session, call: &HookCall) -> Option<Verdict>;

    /// Everything that the client has said was dealt with, and the replies are sent.
    fn waits(&self, session: &Session);
}

impl Session {
    /// From now on somebody looks on. Only the first one does.
    pub(in crate::net) fn watch(&self, onlooker: Rc<dyn Onlooker>) {
        let _ = self.onlooker.set(onlooker);
    }

    /// What stands in the place of a hook's plugins, where somebody has something to put there.
    pub(in crate::net) fn in_place_of(&self, call: &HookCall) -> Option<Verdict> {
        self.onlooker.get()?.hook_begins(self, call)
    }

    /// The client has the word.
    pub(super) fn tell_onlooker_it_waits(&self) {
        if let Some(onlooker) = self.onlooker.get() {
            onlooker.waits(self);
        }
    }
}
