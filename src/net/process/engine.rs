//! What the processes run: loads config and plugins in the zygote, and is a worker's life.

use std::path::PathBuf;

use super::load::{self, Loaded};
use crate::base::log::{LogFormat, LogPid};
use crate::base::trial::Trial;
use crate::hook::Hook;
use crate::net::process::confined;
use crate::net::process::one_session;
use crate::net::process::worker;
use crate::net::trial;
use crate::plugin::Registry;
use crate::server::{Engine, LoadFacts, Names, OneSessionError, WorkerLink};
use crate::watch::{Rule, Sharing};

/// The SMTP service.
pub struct SmtpEngine {
    /// `--config`, else the search of the original.
    pub config: Option<PathBuf>,
    /// Look up the clients' names.
    pub rdns: bool,
    /// What the lines of sessions begin with.
    pub log_pid: LogPid,
    /// How the log is written.
    pub log_format: LogFormat,
    /// The supervisor is told what is refused.
    pub tells_refusals: bool,
    /// The native plugins that config/plugins may name.
    pub registry: Registry,
}

impl Engine for SmtpEngine {
    type Loaded = Loaded;

    fn load(&self) -> Result<Loaded, String> {
        crate::base::log::set_log_pid(self.log_pid);
        crate::base::log::set_format(self.log_format);
        let loaded = load::load(self.config.clone(), &self.registry)?;
        if let Some(host) = &loaded.host {
            host.take_unfit();
        }
        Ok(loaded)
    }

    fn facts(&self, loaded: &Loaded) -> LoadFacts {
        LoadFacts {
            hooks_pre_connection: loaded.has_entries(Hook::PreConnection),
            log_level: loaded.log_level,
            hooks_logging: loaded.has_entries(Hook::Logging),
            about: loaded.about(),
        }
    }

    fn names(&self, loaded: &Loaded) -> Names {
        Names {
            plugins: loaded.guards.names().to_vec(),
            hooks: Hook::ALL
                .iter()
                .map(|hook| hook.name().to_owned())
                .collect(),
        }
    }

    fn quarantine_rules(&self, loaded: &Loaded) -> Vec<Rule> {
        loaded.guards.rules()
    }

    fn sharing(&self, loaded: &Loaded) -> Vec<Sharing> {
        loaded.guards.sharing()
    }

    fn writable(&self, loaded: &Loaded) -> Result<Vec<PathBuf>, String> {
        let mut writable = confined::writable(&loaded.config)
            .map_err(|problem| format!("camelpost: {problem}"))?;
        writable.insert(0, loaded.settings.spool.dir.clone());
        // The usual one is below the spool directory.
        let named = loaded.store.dir().filter(|_| loaded.store.is_named);
        writable.extend(named.map(std::path::Path::to_path_buf));
        Ok(writable)
    }

    fn before_fork(&self, loaded: &mut Loaded) {
        if loaded.host.is_some() {
            crate::perl::stdio::flush();
        }
    }

    fn after_worker(&self, loaded: &mut Loaded, pid: u32) {
        let spool = &loaded.settings.spool.dir;
        match crate::mail::remove_left_by(spool, pid) {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                "removed {count} files of worker {pid} from {}",
                spool.display()
            ),
            Err(error) => tracing::warn!(
                "cannot remove the files of worker {pid} from {}: {error}",
                spool.display()
            ),
        }
    }

    fn work(&self, loaded: Loaded, link: WorkerLink) -> i32 {
        worker::work(loaded, link, self.rdns, self.tells_refusals)
    }

    fn one_session(&self) -> Result<i32, OneSessionError> {
        let load = || load::load(self.config.clone(), &self.registry);
        one_session::serve(self.rdns, load)
    }

    fn try_session(&self, trial: &Trial) -> Result<(), String> {
        let load = || {
            let loaded = load::load(self.config.clone(), &self.registry);
            loaded.map_err(|error| match error.strip_prefix("camelpost: ") {
                Some(rest) => rest.to_owned(),
                None => error,
            })
        };
        trial::serve(trial, self.rdns, load)
    }
}
