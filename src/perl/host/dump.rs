//! Values of Perl's as one short text each, for who looks on at a session. Does not know who that is.

use super::present::Present;
use crate::mail::Foreign;
use crate::perl::ffi::call::{Unwind, Want, call_function, eval};
use crate::perl::ffi::value::{PerlValue, Sv};

impl Present {
    /// What makes the texts is there.
    pub fn prepare_dump(&self) -> Result<(), Unwind> {
        eval("require Camelpost::Dump", Want::Void).map(drop)
    }

    /// The text of a value; none where it is not Perl's, or has none.
    pub fn dump(&self, value: &dyn Foreign) -> Option<Vec<u8>> {
        let value = PerlValue::of(value)?.clone();
        let text = call_function("Camelpost::Dump::of", &[value], Want::Scalar).ok()?;
        text.first().map(Sv::to_bytes)
    }
}
