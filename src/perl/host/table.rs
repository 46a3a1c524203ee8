//! The table of hooks as Perl has it: `$Qpsmtpd::hooks`, which plugins and harnesses change at run time.
//! Looks it up and adds native plugins' entries; calls nothing.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::hook::Hook;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// Indexes of subs from here on are native plugins' entries.
pub(in crate::perl) const FIRST_NATIVE: i32 = 1 << 20;

/// The id of the native plugin's hook that this code stands for in the table.
pub(in crate::perl) fn native_id(code: &Sv) -> Option<i32> {
    // SAFETY: a live SV.
    let index = unsafe { sys::cp_xsub_index(code.raw()) };
    (index >= FIRST_NATIVE).then(|| index - FIRST_NATIVE)
}

/// The table, by keys that are made once.
pub struct Table {
    hooks: Vec<Sv>,
    /// The key of an entry's plugin.
    pub(in crate::perl) name: Sv,
    /// The key of an entry's code.
    pub(in crate::perl) code: Sv,
    /// The names of native plugins in plugin_settings, by the ids of their hooks.
    listed: RefCell<HashMap<i32, Vec<u8>>>,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            hooks: Hook::ALL.iter().map(|hook| Sv::key(hook.name())).collect(),
            name: Sv::key("name"),
            code: Sv::key("code"),
            listed: RefCell::default(),
        }
    }

    /// `$Qpsmtpd::hooks` as it is now.
    pub(in crate::perl) fn all(&self) -> Sv {
        // SAFETY: the interpreter runs; the variable is shared at once.
        Sv::share(unsafe { sys::cp_hooks() })
    }

    /// The entries of a hook as they are now.
    pub(in crate::perl) fn list(&self, hook: Hook) -> Option<Sv> {
        // SAFETY: the interpreter runs; the list is shared at once.
        let list = unsafe { sys::cp_hook_list(self.hooks.get(hook as usize)?.raw()) };
        (!list.is_null()).then(|| Sv::share(list))
    }

    /// Whether any plugin is registered for a hook.
    pub fn has_entries(&self, hook: Hook) -> bool {
        self.list(hook).is_some_and(|list| list.array_len() > 0)
    }

    /// Puts a native plugin's hook at the end of a chain. `listed` is the plugin's name in plugin_settings.
    pub fn add_native(&self, name: &str, listed: &str, hook: Hook, id: i32) {
        let mut known = self.listed.borrow_mut();
        known.insert(id, listed.as_bytes().to_vec());
        drop(known);
        let hooks = self.all();
        if hooks.hash_get(hook.name()).is_none() {
            hooks.hash_set(hook.name().as_bytes(), Sv::array_of([]));
        }
        let entry = Sv::hash_ref();
        entry.hash_set(b"name", Sv::bytes(name.as_bytes()));
        // SAFETY: makes a new code reference.
        if let Some(code) = Sv::own(unsafe { sys::cp_anonymous_xsub(FIRST_NATIVE + id) }) {
            entry.hash_set(b"code", code);
        }
        if let Some(list) = hooks.hash_get(hook.name()).and_then(|list| list.referent()) {
            // SAFETY: `list` is the hook's array, which takes over the reference.
            unsafe { sys::cp_array_push(list.raw(), entry.into_raw()) }
        }
    }

    /// The names of all plugins in the table as plugin_settings has them, some of them often.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let names = Hook::ALL.iter().map(|hook| self.names_in(*hook));
        names.flatten().collect()
    }

    /// What the plugins of a hook are called, in their order.
    pub fn called(&self, hook: Hook) -> Vec<Vec<u8>> {
        let entries = self.entries(hook).into_iter();
        entries
            .filter_map(|entry| Some(entry.hash_get("name")?.to_bytes()))
            .collect()
    }

    /// The names of the plugins of a hook as plugin_settings has them, in their order.
    pub(in crate::perl) fn names_in(&self, hook: Hook) -> Vec<Vec<u8>> {
        let names = self.entries(hook).into_iter().filter_map(|entry| {
            let name = entry.hash_get("name")?.to_bytes();
            let native = native_id(&entry.hash_get("code")?);
            let listed = native.and_then(|id| self.listed.borrow().get(&id).cloned());
            Some(listed.unwrap_or(name))
        });
        names.collect()
    }

    /// The code of all entries.
    pub(in crate::perl) fn codes(&self) -> Vec<Sv> {
        let entries = Hook::ALL.iter().flat_map(|hook| self.entries(*hook));
        entries.filter_map(|entry| entry.hash_get("code")).collect()
    }

    /// The table, its lists and their entries.
    pub(in crate::perl) fn containers(&self) -> Vec<Sv> {
        let all = self.all();
        let lists = Hook::ALL
            .iter()
            .filter_map(|hook| all.hash_get(hook.name()))
            .collect::<Vec<Sv>>();
        let entries = Hook::ALL.iter().flat_map(|hook| self.entries(*hook));
        let entries: Vec<Sv> = entries.collect();
        std::iter::once(all).chain(lists).chain(entries).collect()
    }

    pub(super) fn entries(&self, hook: Hook) -> Vec<Sv> {
        let Some(list) = self.all().hash_get(hook.name()) else {
            return Vec::new();
        };
        (0..list.array_len())
            .filter_map(|at| list.array_get(at))
            .collect()
    }

    /// The mechanisms for which an auth hook is registered; `auth` stands for all.
    pub fn auth_mechanisms(&self) -> Vec<&'static str> {
        let all = self.has_entries(Hook::Auth);
        let mechanisms = Hook::AUTH_MECHANISMS.into_iter();
        let offered = mechanisms.filter(|(hook, _)| all || self.has_entries(*hook));
        offered.map(|(_, name)| name).collect()
    }
}
