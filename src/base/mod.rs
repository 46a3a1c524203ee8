//! What everything stands on: time zones and dates, log levels and the form of a line, who this host is, and whom it
//! asks for names, values that a fork does not carry along, which name was meant. Knows nothing of the rest.

mod dns_servers;
pub(crate) mod finding;
mod host;
mod journal;
mod levels;
pub(crate) mod likely;
pub(crate) mod listed;
pub mod log;
mod moment;
mod per_process;
pub(crate) mod stderr;
pub(crate) mod trace;
pub(crate) mod trial;
mod written_out;
mod zone;
mod zone_rule;

pub(crate) use dns_servers::dns_servers;
pub(crate) use host::{arguments, home, hostname, program_dir, program_path, user_name};
pub(crate) use moment::moment;
pub use per_process::PerProcess;
pub(crate) use zone::Zone;
pub(crate) use zone_rule::{civil_date, days_before};
