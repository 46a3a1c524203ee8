//! What is kept of config values between questions. Finds none itself (`config.rs`).

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::config::{ConfigDir, Profile};
use crate::hook::Verdict;

/// The hook's answer, if it has one: its values may be references.
pub(in crate::perl) type Values = Option<Rc<Verdict>>;

/// What the config hook said in this session, by the names. Under 0.94 a hook is asked once in a session, and
/// what it said holds to the session's end.
#[derive(Default)]
pub(in crate::perl) struct ConfigHook(pub(super) RefCell<Said>);

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

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    /// One config directory for each that a `config_dir` of somebody else's has named.
    pub(super) dirs: RefCell<HashMap<Vec<u8>, Rc<ConfigDir>>>,
    pub(super) hook: ConfigHook,
    pub(super) profile: OnceCell<Profile>,
    /// A script has named the profile, or the modules that tell it.
    pub(super) profile_is_named: Cell<bool>,
}
