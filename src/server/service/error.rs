//! Why the daemon does not start, or go on.

#![forbid(unsafe_code)]

use std::fmt;

/// Why the daemon did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeError {
    /// One line without the program's name.
    Start(String),
    /// What the engine said when it could not load, as it is.
    Load(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Start(line) => write!(f, "camelpost: {line}"),
            ServeError::Load(lines) => f.write_str(lines.trim_end()),
        }
    }
}

impl std::error::Error for ServeError {}
