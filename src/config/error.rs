//! What can be wrong with a configuration, in words that say where and what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A line of a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Rc<Path>,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What is wrong with a config file: where, what was found, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("config directory {}: {reason}; --config takes the directory that has the files plugins, me and so on", path.display())]
    NotADirectory { path: PathBuf, reason: String },

    #[error(
        "no config directory: there is none of {}; name one with --config DIR or QPSMTPD_CONFIG",
        list(searched)
    )]
    NoDirectory { searched: Vec<PathBuf> },

    /// The words are the original's.
    #[error("could not open configfile {}: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },

    /// A file that includes what was included before. Its lines do not count.
    #[error("Circular $include reference in config {name}: {place} includes {} again, after {}; remove one of them", path.display(), list(chain))]
    Circular {
        name: String,
        place: Place,
        path: PathBuf,
        chain: Vec<PathBuf>,
    },

    #[error(
        "config {name}: {place} is the {depth}th file of a chain of $include lines; its lines do not count"
    )]
    TooDeep {
        name: String,
        place: Place,
        depth: usize,
    },

    #[error("{place}: {name} is \"{found}\"; it must be {allowed}")]
    Value {
        place: Place,
        name: String,
        found: String,
        allowed: &'static str,
    },

    #[error(
        "{place}: unsafe characters in config line: \"{found}\"; a plugin and its arguments are words between spaces, without control characters"
    )]
    PluginLine { place: Place, found: String },

    #[error(
        "{place}: there is no plugin \"{found}\" in plugins or logging; there are: {}",
        known.join(", ")
    )]
    UnknownPlugin {
        place: Place,
        found: String,
        known: Vec<String>,
    },

    #[error("{place}: \"{found}\" sets what {first} has set; remove one of them")]
    SetTwice {
        place: Place,
        found: String,
        first: Place,
    },

    #[error("spool directory {}: {reason}; the config file spool_dir (default ~/tmp/) must name a directory that the service user may write to", path.display())]
    Spool { path: PathBuf, reason: String },
}

/// An I/O error in the system's words, without Rust's error number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(", ")
}
