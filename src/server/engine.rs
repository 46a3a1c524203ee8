//! What the processes are for, as they know it: what is loaded, and what a worker does with it, comes in as an
//! [`Engine`].

#![forbid(unsafe_code)]

use super::facts::{LoadFacts, Names};
use super::ipc::link::WorkerLink;
use crate::base::trial::Trial;

/// What the zygote loads and its workers run.
pub trait Engine {
    /// Everything that was loaded; each worker has it as it was when the worker was forked.
    type Loaded;

    /// Called once in the zygote, on the main thread, before any other thread exists; it must
    /// start none. The error is one or more lines that tell the user what to do.
    fn load(&self) -> Result<Self::Loaded, String>;

    fn facts(&self, loaded: &Self::Loaded) -> LoadFacts;

    /// The names of what its workers write to their pages.
    fn names(&self, _loaded: &Self::Loaded) -> Names {
        Names::default()
    }

    /// Which plugins are not called for some time when they have failed too often.
    fn quarantine_rules(&self, _loaded: &Self::Loaded) -> Vec<crate::watch::Rule> {
        Vec::new()
    }

    /// How the sessions of a worker share each plugin, in the order of their names.
    fn sharing(&self, _loaded: &Self::Loaded) -> Vec<crate::watch::Sharing> {
        Vec::new()
    }

    /// What sessions write to, as far as the configuration says; asked where the service has a sandbox, in
    /// the zygote. The error is one or more lines about what contradicts a sandbox.
    fn writable(&self, _loaded: &Self::Loaded) -> Result<Vec<std::path::PathBuf>, String> {
        Ok(Vec::new())
    }

    /// Called in the zygote before each fork: buffered output would be written twice.
    fn before_fork(&self, _loaded: &mut Self::Loaded) {}

    /// Called in the zygote when a worker has ended: what it has left behind in the file system is
    /// nobody's now.
    fn after_worker(&self, _loaded: &mut Self::Loaded, _pid: u32) {}

    /// A worker's life, on the main thread of a fresh process; the result is its exit status.
    /// No exit handlers run after it.
    fn work(&self, loaded: Self::Loaded, link: WorkerLink) -> i32;

    /// One session with the client on descriptors 0 and 1, in this very process and without any
    /// other, as inetd, tcpserver and their like start it; the result is the exit status.
    fn one_session(&self) -> Result<i32, OneSessionError> {
        Err(OneSessionError {
            message: "camelpost: this program has no sessions without its daemon".to_owned(),
            status: 1,
        })
    }

    /// One session in this very process that is told of as it goes (`camelpost try`): its client is on descriptor 0,
    /// and who is told on descriptor 1. The error is the line for the administrator.
    fn try_session(&self, _trial: &Trial) -> Result<(), String> {
        Err("this program has no sessions to try".to_owned())
    }
}

/// Why the one session of a process did not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneSessionError {
    /// One or more lines for the log.
    pub message: String,
    pub status: i32,
}
