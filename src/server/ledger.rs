//! The zygote's side of the ledger: makes it where there are plugins. Its workers inherit the
//! mapping; the supervisor gets the memory.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use crate::server::process::SharedLedger;
use crate::watch::{self, Rule, Sharing};

/// Makes the ledger of this generation for these rules, and for plugins that are shared so. `None`
/// where there are none.
pub(super) fn make(rules: &[Rule], sharing: &[Sharing]) -> io::Result<Option<OwnedFd>> {
    if rules.is_empty() && sharing.is_empty() {
        return Ok(None);
    }
    let memory = SharedLedger::create()?;
    let ledger = SharedLedger::map(&memory)?.keep();
    let left_out = rules.iter().filter(|rule| !ledger.set(**rule)).count();
    if left_out > 0 {
        tracing::warn!(
            "there are too many plugins: {left_out} of them, the last to be loaded, cannot be put \
             into quarantine"
        );
    }
    for (plugin, sharing) in (0u16..).zip(sharing) {
        // One without a place is not in the status.
        ledger.set_sharing(plugin, sharing);
    }
    watch::attach_ledger(ledger);
    Ok(Some(memory))
}
