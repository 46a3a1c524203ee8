//! The chain of a hook where there is no interpreter: the native plugins in the order of their lines.

use std::convert::Infallible;
use std::rc::Rc;

use super::Session;
use crate::chain::{Around, Called, Guards, Plugins};
use crate::config::Profile;
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};

/// A session's native plugins.
pub(super) struct InOrder<'a>(pub &'a Rc<Session>);

impl Around for InOrder<'_> {
    type Exit = Infallible;

    fn profile(&self) -> Profile {
        self.0.state.settings.profile
    }

    fn is_logged(&self, level: u8) -> bool {
        level <= self.0.loaded.log_level
    }

    fn log(&self, level: u8, hook: Option<Hook>, texts: &[&[u8]]) -> Result<(), Infallible> {
        let text = texts.join(&b' ');
        self.0.log(level, hook.map(Hook::name), None, text);
        Ok(())
    }

    fn guards(&self) -> Option<&Guards> {
        Some(&self.0.loaded.guards)
    }

    fn has_entries(&self, hook: Hook) -> bool {
        self.0.loaded.natives.has_entries(hook)
    }

    /// No native plugin has a hook that runs while another one's is weighed.
    fn run_quiet(&self, _: HookCall) -> Result<(), Infallible> {
        Ok(())
    }

    fn first_text(&self, verdict: &Verdict) -> Arg {
        Arg::Bytes(
            verdict
                .values
                .first()
                .cloned()
                .flatten()
                .unwrap_or_default(),
        )
    }

    /// What is kept there is in a hash of Perl's.
    fn record(&self, _: &[u8], _: Hook, _: &Code) {}
}

impl Plugins for InOrder<'_> {
    /// A native plugin's id.
    type Entry = i32;

    fn entry(&mut self, hook: Hook, index: usize) -> Option<(i32, Vec<u8>)> {
        let natives = &self.0.loaded.natives;
        let id = *natives.of(hook).get(index)?;
        let name = natives.get(id)?.plugin.as_bytes().to_vec();
        Some((id, name))
    }

    fn call(&mut self, _: &HookCall, _: &[u8], id: &i32) -> Result<Called, Infallible> {
        Ok(Called::Native(*id))
    }

    fn finish(&mut self, _: &HookCall, _: &mut Verdict) -> Result<(), Infallible> {
        Ok(())
    }
}
