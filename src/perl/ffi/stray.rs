//! Children that plugins fork: they never come back from the call into Perl in which they were forked.

use super::sys;

/// Whether this process was forked by Perl code.
pub fn is_stray_child() -> bool {
    // SAFETY: reads a flag.
    unsafe { sys::cp_is_stray_child() != 0 }
}
