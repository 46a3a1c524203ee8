//! What everything stands on: time zones and dates, and who this host is. Knows nothing of the rest.

mod host;
mod zone;
mod zone_rule;

pub(crate) use host::{home, hostname, program_dir, program_path};
pub(crate) use zone::Zone;
pub(crate) use zone_rule::civil_date;
