//! The table of hooks as Perl has it: `$Qpsmtpd::hooks`, which plugins and harnesses change at run time.
//! Looks it up and adds native plugins' entries; calls nothing.

use crate::hook::Hook;
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// Indexes of subs from here on are native plugins' entries.
pub(in crate::perl) const FIRST_NATIVE: i32 = 1 << 20;

/// The table, by keys that are made once.
pub struct Table {
    hooks: Vec<Sv>,
    /// The key of an entry's plugin.
    pub(in crate::perl) name: Sv,
    /// The key of an entry's code.
    pub(in crate::perl) code: Sv,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            hooks: Hook::ALL.iter().map(|hook| Sv::key(hook.name())).collect(),
            name: Sv::key("name"),
            code: Sv::key("code"),
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

    /// Puts a native plugin's hook at the end of a chain.
    pub fn add_native(&self, name: &str, hook: Hook, id: i32) {
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

    /// The names of all plugins in the table, some of them often.
    pub fn names(&self) -> Vec<Vec<u8>> {
        let names = Hook::ALL.iter().map(|hook| self.names_in(*hook));
        names.flatten().collect()
    }

    /// The names of the plugins of a hook, in their order.
    pub(in crate::perl) fn names_in(&self, hook: Hook) -> Vec<Vec<u8>> {
        let names = self.entries(hook, "name").into_iter();
        names.map(|name| name.to_bytes()).collect()
    }

    /// The code of all entries.
    pub(in crate::perl) fn codes(&self) -> Vec<Sv> {
        let codes = Hook::ALL.iter().map(|hook| self.entries(*hook, "code"));
        codes.flatten().collect()
    }

    /// The table, its lists and their entries.
    pub(in crate::perl) fn containers(&self) -> Vec<Sv> {
        let all = self.all();
        let lists = Hook::ALL
            .iter()
            .filter_map(|hook| all.hash_get(hook.name()));
        let lists: Vec<Sv> = lists.collect();
        let entries = |list: &Sv| {
            (0..list.array_len())
                .filter_map(|at| list.array_get(at))
                .collect::<Vec<_>>()
        };
        let entries: Vec<Sv> = lists.iter().flat_map(entries).collect();
        std::iter::once(all).chain(lists).chain(entries).collect()
    }

    fn entries(&self, hook: Hook, key: &str) -> Vec<Sv> {
        let Some(list) = self.all().hash_get(hook.name()) else {
            return Vec::new();
        };
        let entries = (0..list.array_len()).filter_map(|at| list.array_get(at));
        entries.filter_map(|entry| entry.hash_get(key)).collect()
    }

    /// The mechanisms for which an auth hook is registered; `auth` stands for all.
    pub fn auth_mechanisms(&self) -> Vec<&'static str> {
        let all = self.has_entries(Hook::Auth);
        [
            (Hook::AuthPlain, "PLAIN"),
            (Hook::AuthLogin, "LOGIN"),
            (Hook::AuthCramMd5, "CRAM-MD5"),
        ]
        .into_iter()
        .filter(|(hook, _)| all || self.has_entries(*hook))
        .map(|(_, name)| name)
        .collect()
    }
}
