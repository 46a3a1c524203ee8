//! What everything stands on: time zones and dates, log levels and the form of a line, and who this host is. Knows nothing of the rest.

mod host;
pub mod log;
mod zone;
mod zone_rule;

pub(crate) use host::{home, hostname, program_dir, program_path};
pub(crate) use zone::Zone;
pub(crate) use zone_rule::civil_date;
