//! What is known of loads for who asks: what was loaded and when, and why the last one has failed.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::control::{FailedReload, KnownFiles, LoadStatus};
use super::Supervisor;
use crate::server::facts::About;

/// The last load, and the last failure unless a load has gone well since.
#[derive(Default)]
pub(super) struct Loads {
    pub(super) last: Option<LoadStatus>,
    pub(super) files: Option<Arc<KnownFiles>>,
    pub(super) failed: Option<FailedReload>,
}

impl Loads {
    /// A load that began then is over, and this is what serves now.
    pub(super) fn went_well(&mut self, about: &About, since: SystemTime) {
        self.failed = None;
        self.last = Some(LoadStatus {
            since: seconds(since),
            perl: about.perl.clone(),
            config: about.config.clone(),
            profile: about.profile.clone(),
            plugins: about.plugins.into(),
            changed: None,
        });
        let mut dirs = vec![PathBuf::from(&about.config)];
        let existing = about.plugin_dirs.iter().map(PathBuf::from);
        // A directory that is not there has no plugin either.
        dirs.extend(existing.filter(|dir| dir.is_dir()));
        let dirs = dirs.into_iter().filter(|dir| !dir.as_os_str().is_empty());
        self.files = KnownFiles::note(dirs.collect(), since).map(Arc::new);
    }

    pub(super) fn failed(&mut self, why: &str) {
        let line = why.lines().next().unwrap_or_default();
        let reason = line.strip_prefix("camelpost: ").unwrap_or(line);
        self.failed = Some(FailedReload {
            at: seconds(SystemTime::now()),
            reason: reason.to_owned(),
        });
    }
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Supervisor<'_> {
    /// The files to look at, where that is wanted.
    pub(super) fn known_files(&self, wanted: bool) -> Option<Arc<KnownFiles>> {
        self.loads.files.clone().filter(|_| wanted)
    }
}
