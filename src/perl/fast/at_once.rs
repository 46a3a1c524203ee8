//! What a session's step asks is answered without leaving the runtime, where the host knows what Perl code
//! would find (`net/session`). The plain way is a piece of Perl work for each.

use crate::hook::Hook;
use crate::perl::host::Host;

/// No plugin is registered for the hook: its chain declines.
pub fn declines(host: &Host, hook: Hook) -> bool {
    super::are_on() && !host.table.has_entries(hook)
}

/// A config value is what its file says.
pub fn config_is_the_file_s(host: &Host) -> bool {
    super::are_on() && !host.config().is_perl()
}

/// No Perl code decides what becomes of a log line.
pub fn log_is_ours(host: &Host) -> bool {
    super::are_on() && !host.logger().is_perl()
}
