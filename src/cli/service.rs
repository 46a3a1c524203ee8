//! The options of `serve` that say how the service behaves toward whoever runs it, and what the
//! original's daemons get in their place.

use std::time::Duration;

use clap::Args;

use crate::server::ServiceSettings;

#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Told to stop (TERM, INT), let open sessions go on for this many seconds, then end them with
    /// a 421. New clients are refused meanwhile. 0: end them at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u32,
}

impl From<ServiceArgs> for ServiceSettings {
    fn from(args: ServiceArgs) -> ServiceSettings {
        ServiceSettings {
            drain: Duration::from_secs(args.drain_timeout.into()),
        }
    }
}

/// What the original's daemons get. They end their sessions at once when they are told to stop, and
/// their start scripts wait for it.
pub fn classic() -> ServiceSettings {
    ServiceSettings {
        drain: Duration::from_secs(5),
    }
}
