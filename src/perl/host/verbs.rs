//! The table of commands behind `$qp->{_commands}`, which plugins read and change, and the verbs
//! that they have put there. What the core's own verbs do is the session's.

use super::present::Present;
use crate::perl::ffi::call::{Unwind, Want, call_function};
use crate::perl::ffi::value::Sv;

impl Present {
    /// Whether the table has a verb (in lower case); `None` where there is no table.
    pub fn lists_verb(&self, verb: &[u8]) -> Option<bool> {
        let table = self.verbs()?;
        let verb = std::str::from_utf8(verb).ok();
        Some(verb.is_some_and(|verb| table.hash_get(verb).is_some()))
    }

    /// Puts a verb into the table.
    pub fn add_verb(&self, verb: &str) {
        if let Some(table) = self.verbs() {
            table.hash_set(verb.as_bytes(), Sv::bytes(b""));
        }
    }

    fn verbs(&self) -> Option<Sv> {
        self.object()
            .hash_get("_commands")
            .filter(Sv::is_plain_hash)
    }

    /// Calls `$qp->VERB(rest)`; false where it died or gave nothing.
    pub fn obey(&self, verb: &[u8], rest: Option<&[u8]>) -> Result<bool, Unwind> {
        let mut args = vec![self.object(), Sv::bytes(verb)];
        args.extend(rest.map(Sv::tainted_bytes));
        let gave = call_function("Camelpost::obey", &args, Want::Scalar)?;
        Ok(gave.first().is_some_and(|gave| gave.as_int() == 1))
    }
}
