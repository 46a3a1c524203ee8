//! The certificates that clients are shown: read before workers are forked, and again when their files
//! have changed. Tickets of sessions are sealed with the keys of the first context, which all workers
//! have from the fork, so that a session that began in one worker is resumed in any.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::ssl::{NameType, SniError, Ssl, SslContext};

use super::settings::Settings;

/// How long what was seen of the files holds.
const LOOKED: Duration = Duration::from_secs(1);

/// What tells a file from one that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

type Stamps = Vec<Option<Stamp>>;

/// The certificates of one line.
pub(super) struct Certificates {
    settings: Settings,
    /// With the keys of tickets. All clients begin with it.
    first: SslContext,
    /// What took its place.
    renewed: RefCell<Option<SslContext>>,
    seen: RefCell<Stamps>,
    looked: Cell<Option<Instant>>,
}

impl Certificates {
    /// Reads the files. An error names the file and what is wrong with it.
    pub(super) fn read(settings: Settings) -> Result<Certificates, String> {
        let seen = stamps(&settings);
        let mut first = settings.context()?;
        if let Some(dir) = &settings.names {
            let names = Arc::new(names(&settings, dir)?);
            first.set_servername_callback(move |ssl, _| {
                let name = ssl
                    .servername(NameType::HOST_NAME)
                    .map(str::to_ascii_lowercase);
                match name.and_then(|name| names.get(&name)) {
                    Some(context) => ssl
                        .set_ssl_context(context)
                        .map_err(|_| SniError::ALERT_FATAL),
                    None => Ok(()),
                }
            });
        }
        Ok(Certificates {
            settings,
            first: first.build(),
            renewed: RefCell::default(),
            seen: RefCell::new(seen),
            looked: Cell::default(),
        })
    }

    /// For a client's handshake. What cannot be read again is told by `problem`, once, and the certificate
    /// that was read before is shown.
    pub(super) fn ssl(&self, problem: impl FnOnce(String)) -> Result<Ssl, String> {
        if let Err(text) = self.look_again() {
            problem(text);
        }
        let why = |error: openssl::error::ErrorStack| error.to_string();
        let mut ssl = Ssl::new(&self.first).map_err(why)?;
        if let Some(renewed) = &*self.renewed.borrow() {
            ssl.set_ssl_context(renewed).map_err(why)?;
        }
        Ok(ssl)
    }

    fn look_again(&self) -> Result<(), String> {
        let now = Instant::now();
        let looked = self.looked.replace(Some(now));
        if let Some(before) = looked.filter(|before| now - *before < LOOKED) {
            self.looked.set(Some(before));
            return Ok(());
        }
        let stamps = stamps(&self.settings);
        if *self.seen.borrow() == stamps {
            return Ok(());
        }
        self.seen.replace(stamps);
        let renewed = self.settings.context()?.build();
        self.renewed.replace(Some(renewed));
        Ok(())
    }
}

fn stamps(settings: &Settings) -> Stamps {
    settings.files().map(stamp).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: facts.dev(),
        inode: facts.ino(),
        size: facts.size(),
        changed: (facts.mtime(), facts.mtime_nsec()),
    })
}

/// The other names of this server, each with its context.
fn names(settings: &Settings, dir: &PathBuf) -> Result<HashMap<String, SslContext>, String> {
    let cannot =
        |error: std::io::Error| format!("{}: {}", dir.display(), crate::config::reason(&error));
    let mut names = HashMap::new();
    for entry in std::fs::read_dir(dir).map_err(cannot)? {
        let file = entry.map_err(cannot)?.file_name();
        let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".crt")) else {
            continue;
        };
        let context = settings.context_of(dir, name)?;
        names.insert(name.to_ascii_lowercase(), context);
    }
    Ok(names)
}
