//! The program `camelpost`: the command line over the engine that speaks SMTP.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use camelpost::server::{Engine, LoadFacts, WorkerLink};

/// Stands where the SMTP engine will: says that there is none.
struct NoEngine;

impl Engine for NoEngine {
    type Loaded = ();

    fn load(&self) -> Result<(), String> {
        Err("camelpost: this build has no SMTP engine".into())
    }

    fn facts(&self, (): &()) -> LoadFacts {
        LoadFacts {
            hooks_pre_connection: false,
            log_level: camelpost::log::DEFAULT_LEVEL,
        }
    }

    fn work(&self, (): (), _link: WorkerLink) -> i32 {
        0
    }
}

fn main() -> ExitCode {
    camelpost::cli::run(|_| NoEngine)
}
