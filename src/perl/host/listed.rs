//! The table of hooks as people want to see it: whose entry each is, and which method it calls. Calls nothing.

use crate::hook::Hook;
use crate::perl::ffi::value::Sv;
use crate::perl::host::Host;
use crate::perl::host::table::native_id;

/// An entry of a hook's chain.
pub struct Entry {
    /// The plugin's name in the table.
    pub name: Vec<u8>,
    /// The id of a native plugin's hook.
    pub native: Option<i32>,
    /// The object of the Perl plugin, where it is known.
    pub plugin: Option<Sv>,
    /// The name of its method; none where it is code.
    pub method: Option<Vec<u8>>,
}

impl Host {
    /// The chain of a hook, in order.
    pub fn chain_of(&self, hook: Hook) -> Vec<Entry> {
        let entries = self.table.entries(hook).into_iter().filter_map(|entry| {
            let code = entry.hash_get("code")?;
            let owner = self.owners.of(&code);
            let method = owner
                .as_ref()
                .map(|owner| &owner.method)
                .filter(|method| !method.is_code());
            Some(Entry {
                name: entry.hash_get("name")?.to_bytes(),
                native: native_id(&code),
                method: method.map(Sv::to_bytes),
                plugin: owner.map(|owner| owner.plugin.clone()),
            })
        });
        entries.collect()
    }

    /// The plugins whose variables cannot be exchanged between sessions, by their names in the table, and why; those
    /// that were found while they were loaded.
    pub fn unfit(&self) -> Vec<(Vec<u8>, String)> {
        self.unfit.borrow().clone()
    }
}
