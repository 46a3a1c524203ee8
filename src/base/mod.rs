//! What everything stands on: time zones and dates, and who this host is. Knows nothing of the rest.

mod host;
mod zone;
mod zone_rule;

pub use host::{home, hostname, program_dir, program_path};
pub use zone::Zone;
pub use zone_rule::civil_date;
