//! What the processes run: loads config and plugins in the zygote, and is a worker's life.

use std::path::PathBuf;
use std::rc::Rc;

use super::load::{self, Found};
use super::{confined, inetd, native, worker};
use crate::hook::Hook;
use crate::log::LogPid;
use crate::plugin::{Guards, Registry};
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
    /// The native plugins that config/plugins may name.
    pub registry: Registry,
}

impl Engine for SmtpEngine {
    type Loaded = Found;

    fn load(&self) -> Result<Found, String> {
        crate::log::set_log_pid(self.log_pid);
        let found = load::load(self.config.clone(), &self.registry)?;
        if let Found::Perl(loaded) = &found {
            loaded.host.take_unfit();
        }
        Ok(found)
    }

    fn facts(&self, loaded: &Found) -> LoadFacts {
        match loaded {
            Found::Perl(loaded) => LoadFacts {
                hooks_pre_connection: loaded.host.has_entries(Hook::PreConnection),
                log_level: loaded.host.settings.trace_level,
            },
            Found::Native(loaded) => LoadFacts {
                hooks_pre_connection: false,
                log_level: loaded.plugins.host.trace_level,
            },
        }
    }

    fn names(&self, loaded: &Found) -> Names {
        Names {
            plugins: guards(loaded).map_or_else(Vec::new, |guards| guards.names().to_vec()),
            hooks: Hook::ALL
                .iter()
                .map(|hook| hook.name().to_owned())
                .collect(),
        }
    }

    fn quarantine_rules(&self, loaded: &Found) -> Vec<Rule> {
        guards(loaded).map_or_else(Vec::new, |guards| guards.rules())
    }

    fn sharing(&self, loaded: &Found) -> Vec<Sharing> {
        guards(loaded).map_or_else(Vec::new, |guards| guards.sharing())
    }

    fn writable(&self, loaded: &Found) -> Result<Vec<PathBuf>, String> {
        let (host, settings) = match loaded {
            Found::Perl(loaded) => (&loaded.host.settings, &loaded.settings),
            Found::Native(loaded) => (&loaded.plugins.host, &loaded.settings),
        };
        let mut writable =
            confined::writable(&host.config).map_err(|problem| format!("camelpost: {problem}"))?;
        writable.insert(0, settings.spool.dir.clone());
        Ok(writable)
    }

    fn before_fork(&self, loaded: &mut Found) {
        if let Found::Perl(_) = loaded {
            crate::perl::stdio::flush();
        }
    }

    fn after_worker(&self, loaded: &mut Found, pid: u32) {
        let spool = match loaded {
            Found::Perl(loaded) => &loaded.settings.spool.dir,
            Found::Native(loaded) => &loaded.settings.spool.dir,
        };
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

    fn work(&self, loaded: Found, link: WorkerLink) -> i32 {
        match loaded {
            Found::Perl(loaded) => worker::work(loaded, link, self.rdns),
            Found::Native(loaded) => native::work(loaded, link, self.rdns),
        }
    }

    fn one_session(&self) -> Result<i32, OneSessionError> {
        inetd::serve(self)
    }
}

fn guards(loaded: &Found) -> Option<&Rc<Guards>> {
    match loaded {
        Found::Perl(loaded) => loaded.host.guards.get(),
        Found::Native(loaded) => Some(&loaded.plugins.guards),
    }
}
