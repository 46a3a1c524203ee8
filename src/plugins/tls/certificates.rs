//! The certificates that clients are shown: read before workers are forked, and again when their files
//! have changed. Tickets of sessions are sealed with the keys of the first context, which all workers
//! have from the fork, so that a session that began in one worker is resumed in any.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
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

type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// The other names of this server, each with its context. OpenSSL asks for them within a handshake.
type Names = Arc<RwLock<HashMap<String, SslContext>>>;

/// The certificates of one line.
pub(super) struct Certificates {
    settings: Settings,
    /// With the keys of tickets. All clients begin with it.
    first: SslContext,
    /// What took its place.
    renewed: RefCell<Option<SslContext>>,
    names: Names,
    seen: RefCell<Stamps>,
    looked: Cell<Option<Instant>>,
}

impl Certificates {
    /// Reads the files. An error names the file and what is wrong with it.
    pub(super) fn read(settings: Settings) -> Result<Certificates, String> {
        let seen = stamps(&settings);
        let mut first = settings.context()?;
        let names = Names::new(RwLock::new(names(&settings)?));
        let asked = Arc::clone(&names);
        first.set_servername_callback(move |ssl, _| {
            let name = ssl
                .servername(NameType::HOST_NAME)
                .map(str::to_ascii_lowercase);
            let names = asked
                .read()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            match name.and_then(|name| names.get(&name)) {
                Some(context) => ssl
                    .set_ssl_context(context)
                    .map_err(|_| SniError::ALERT_FATAL),
                None => Ok(()),
            }
        });
        Ok(Certificates {
            settings,
            first: first.build(),
            renewed: RefCell::default(),
            names,
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
        let names = names(&self.settings)?;
        self.renewed.replace(Some(renewed));
        let mut known = self
            .names
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *known = names;
        Ok(())
    }
}

fn stamps(settings: &Settings) -> Stamps {
    let own = settings.files().map(Path::to_owned);
    let of_names = settings.names.iter().flat_map(|dir| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    });
    let files = own.chain(of_names);
    files
        .map(|file| {
            let seen = stamp(&file);
            (file, seen)
        })
        .collect()
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

fn names(settings: &Settings) -> Result<HashMap<String, SslContext>, String> {
    let mut names = HashMap::new();
    let Some(dir) = &settings.names else {
        return Ok(names);
    };
    let cannot =
        |error: std::io::Error| format!("{}: {}", dir.display(), crate::config::reason(&error));
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
