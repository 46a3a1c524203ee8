//! What native plugins may use besides the session: typed config values, DNS, HTTP, the store, threads
//! for what blocks. Each is safe across the forks of workers, and none keeps other
//! sessions waiting.

mod config;
mod dns;
mod dns_answer;
mod http;
mod offload;
mod store;

pub(super) use config::parsed;
pub use config::{ConfigValue, WrongValue};
pub(crate) use dns::use_zone;
pub use dns::{Dns, Mx, Zone, reversed};
pub use dns_answer::{DnsAnswer, DnsData, DnsKind, DnsRecord};
pub use http::{Http, HttpRequest, HttpResponse};
pub(crate) use offload::Job;
pub(super) use offload::offload;
pub use store::{Change, Store};
