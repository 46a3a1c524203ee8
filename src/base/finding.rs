//! What a check of a configuration finds, and what it is asked to look at. Does not know how it is found or shown.

use std::path::PathBuf;

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The service does not start with it.
    Error,
    /// It starts, and does not do what was meant, or may not.
    Warning,
    /// What is so, and may be meant so.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// One line: the place (file, or file and line) where there is one, what is there, and what to do.
    pub text: String,
}

impl Finding {
    /// The service does not start with it.
    pub fn error(text: impl Into<String>) -> Finding {
        Finding::new(Severity::Error, text)
    }

    /// It starts.
    pub fn warning(text: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, text)
    }

    /// It may be meant so.
    pub fn note(text: impl Into<String>) -> Finding {
        Finding::new(Severity::Note, text)
    }

    pub fn new(severity: Severity, text: impl Into<String>) -> Finding {
        Finding {
            severity,
            text: text.into(),
        }
    }
}

/// What is to be checked.
#[derive(Debug, Clone, Default)]
pub struct CheckWhat {
    /// The config directory, where one is named.
    pub config: Option<PathBuf>,
    /// A Perl plugin's file: that alone.
    pub plugin: Option<PathBuf>,
    /// Those qpsmtpds that run on this machine.
    pub beside: Vec<Beside>,
}

/// A qpsmtpd that runs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The program's name.
    pub name: String,
    pub pid: u32,
    /// Its config directory.
    pub config: PathBuf,
}
