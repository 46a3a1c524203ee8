//! Which config directory is loaded, and as whom, by commands that load it without serving it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::server;

#[derive(Debug, Args)]
pub(super) struct Who {
    /// The config directory, as `serve` has it.
    #[arg(long, value_name = "DIR")]
    pub(super) config: Option<PathBuf>,

    /// The service's user, as `serve` has it.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// Who runs the plugins, as `serve` has it.
    #[arg(long, value_name = "NAME")]
    worker_user: Option<String>,
}

impl Who {
    /// This directory, loaded as this user.
    pub(super) fn new(config: PathBuf, user: Option<String>) -> Who {
        Who {
            config: Some(config),
            user,
            worker_user: None,
        }
    }

    /// The same, for the command line of a process of its own.
    pub(super) fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if let Some(config) = &self.config {
            words.extend(["--config".into(), config.into()]);
        }
        if let Some(user) = &self.user {
            words.extend(["--user".into(), user.into()]);
        }
        if let Some(user) = &self.worker_user {
            words.extend(["--worker-user".into(), user.into()]);
        }
        words
    }

    /// Becomes who loads the plugins, for good and without capabilities.
    pub(super) fn become_user(&self) -> Result<(), String> {
        server::become_user(self.user.as_deref(), self.worker_user.as_deref())
    }
}
