//! What the processes run: loads config and plugins in the zygote, and is a worker's life.

use std::path::PathBuf;

use super::load::{self, Loaded};
use super::{inetd, worker};
use crate::hook::Hook;
use crate::plugin::Registry;
use crate::server::{Engine, LoadFacts, OneSessionError, WorkerLink};

/// The SMTP service.
pub struct SmtpEngine {
    /// `--config`, else the search of the original.
    pub config: Option<PathBuf>,
    /// Look up the clients' names.
    pub rdns: bool,
    /// The native plugins that config/plugins may name.
    pub registry: Registry,
}

impl Engine for SmtpEngine {
    type Loaded = Loaded;

    fn load(&self) -> Result<Loaded, String> {
        load::load(self.config.clone(), &self.registry)
    }

    fn facts(&self, loaded: &Loaded) -> LoadFacts {
        LoadFacts {
            hooks_pre_connection: loaded.host.has_entries(Hook::PreConnection),
            log_level: loaded.host.settings.trace_level,
        }
    }

    fn before_fork(&self, _: &mut Loaded) {
        crate::perl::stdio::flush();
    }

    fn work(&self, loaded: Loaded, link: WorkerLink) -> i32 {
        worker::work(loaded, link, self.rdns)
    }

    fn one_session(&self) -> Result<i32, OneSessionError> {
        inetd::serve(self)
    }
}
