//! Whose hook a code reference in the table of hooks is: the plugin's method is called itself, not the
//! closure around it. Does not call anything.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::chain::Guard;
use crate::perl::fast;
use crate::perl::fast::hook_call::Known;
use crate::perl::ffi::object;
use crate::perl::ffi::value::Sv;

/// The plugins that code references belong to.
#[derive(Default)]
pub struct Owners {
    /// By the code's address.
    by_code: RefCell<FxHashMap<usize, Rc<Owner>>>,
    /// Those of them that came in the running session, with which they go.
    late: RefCell<Vec<usize>>,
    in_session: Cell<bool>,
}

/// A hook that a plugin registered.
pub struct Owner {
    pub plugin: Sv,
    /// The method's name, or a code reference.
    pub method: Sv,
    pub hook: Sv,
    /// Keeps the code alive, and so its address its own.
    _code: Sv,
    /// What holds for its calls, once it was called.
    pub guard: OnceCell<Rc<Guard>>,
}

impl Owner {
    /// How its method is called.
    pub(in crate::perl) fn method(&self) -> Known<'_> {
        Known {
            plugin: &self.plugin,
            method: &self.method,
            hook: &self.hook,
        }
    }
}

impl Owners {
    /// Says whose hook a code reference is.
    pub fn own(&self, code: &Sv, plugin: &Sv, method: &Sv, hook: &Sv) {
        // An object of another form, or with code of its own behind its keys, is called by its closure.
        if let Some(sub) = code.referent()
            && plugin.is_plain_hash()
        {
            let owner = Owner {
                plugin: Sv::copied(plugin.raw()),
                method: method.copied_as_key(),
                hook: Sv::copied(hook.raw()),
                _code: sub.clone(),
                guard: OnceCell::new(),
            };
            let key = sub.raw() as usize;
            self.by_code.borrow_mut().insert(key, Rc::new(owner));
            if self.in_session.get() {
                self.late.borrow_mut().push(key);
            }
        }
    }

    pub(in crate::perl) fn of(&self, code: &Sv) -> Option<Rc<Owner>> {
        self.by_code.borrow().get(&code.address()?).cloned()
    }

    /// The plugin objects that have hooks, each once.
    pub(in crate::perl) fn plugins(&self) -> Vec<Sv> {
        let mut seen = Vec::new();
        let mut plugins = Vec::new();
        for owner in self.by_code.borrow().values() {
            let address = owner.plugin.address();
            if !seen.contains(&address) {
                seen.push(address);
                plugins.push(owner.plugin.clone());
            }
        }
        plugins
    }

    /// The hooks for which a plugin's object is registered, each with the method.
    pub(in crate::perl) fn registered_by(&self, plugin: &Sv) -> Vec<(Sv, Sv)> {
        let owners = self.by_code.borrow();
        let own = owners
            .values()
            .filter(|owner| owner.plugin.address() == plugin.address());
        own.map(|owner| (owner.hook.clone(), owner.method.clone()))
            .collect()
    }

    /// Methods that are code references.
    pub(in crate::perl) fn methods(&self) -> Vec<Sv> {
        let owners = self.by_code.borrow();
        let methods = owners.values().map(|owner| owner.method.clone());
        methods.filter(Sv::is_code).collect()
    }

    /// Whether it is a session's turn from now on.
    fn turn(&self, has_one: bool) {
        self.in_session.set(has_one);
        object::let_keys_wait(has_one && fast::are_on());
    }

    pub(in crate::perl) fn begin_session(&self) {
        self.turn(true);
    }

    pub(in crate::perl) fn end_session(&self) {
        for key in self.late.take() {
            self.by_code.borrow_mut().remove(&key);
        }
        self.turn(false);
    }

    /// Another session's turn.
    pub(in crate::perl) fn set_aside(&self) -> Vec<usize> {
        self.turn(false);
        self.late.take()
    }

    /// The session's turn again.
    pub(in crate::perl) fn bring_back(&self, late: Vec<usize>) {
        self.late.replace(late);
        self.turn(true);
    }
}
