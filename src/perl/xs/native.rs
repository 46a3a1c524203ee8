//! Entries of native plugins in the table of hooks, where Perl code calls them itself. In a chain Rust
//! recognises them and calls no Perl.

use crate::perl::ffi::frame::{Frame, Raise};
use crate::perl::host;
use crate::perl::host::answer::{code_sv, to_arg, values_of};

/// Calls a native plugin's hook by its id.
pub(super) fn call(id: i32, frame: &mut Frame<'_>) -> Result<(), Raise> {
    let host = host::current()?;
    // The first two are the qp object and the transaction.
    let args = frame.rest(2).iter().map(to_arg).collect();
    let verdict = host.present.port().call_native(id, args)?;
    frame.ret(code_sv(&verdict.code));
    for value in values_of(&verdict) {
        frame.ret(value);
    }
    Ok(())
}
