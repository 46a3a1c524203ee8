//! What config hooks say of a name. Under 0.94 a hook is asked once in a session, and what it said
//! holds to the session's end. Does not know config files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::config::Profile;
use crate::hook::{Code, Hook, HookCall, Verdict};
use crate::perl::ffi::call::Unwind;
use crate::perl::host::Host;

/// The hook's answer, if it has one: its values may be references.
pub type Values = Option<Rc<Verdict>>;

/// What the hook said in this session, under 0.94.
#[derive(Default)]
pub(in crate::perl) struct ConfigHook(RefCell<Said>);

/// By the names.
pub(in crate::perl) type Said = HashMap<Vec<u8>, Values>;

impl ConfigHook {
    /// Another session's turn: what was said in this one, which is forgotten.
    pub(in crate::perl) fn set_aside(&self) -> Said {
        self.0.take()
    }

    pub(in crate::perl) fn bring_back(&self, said: Said) {
        self.0.replace(said);
    }
}

impl Host {
    pub fn ask_config_hook(&self, name: &[u8]) -> Result<Values, Unwind> {
        let said = self.config_hook.0.borrow().get(name).cloned();
        if let Some(said) = said {
            return Ok(said);
        }
        let call = HookCall::with(Hook::Config, vec![name.into()]);
        let verdict = self.run_quiet(call)?;
        let values = (verdict.code == Code::Ok).then(|| Rc::new(verdict));
        // The setting is 0.94's.
        if self.profile() == Profile::V094 {
            let mut said = self.config_hook.0.borrow_mut();
            said.insert(name.to_vec(), Values::clone(&values));
        }
        Ok(values)
    }

    /// Config values are found anew from now on.
    pub fn forget_config(&self) {
        self.config_hook.0.borrow_mut().clear();
        self.settings.config.begin_session();
    }
}
