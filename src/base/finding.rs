//! What a check of a configuration finds. Does not know how it is found or shown.

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The service does not start with it.
    Error,
    /// It starts, and does not do what was meant, or may not.
    Warning,
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
        Finding {
            severity: Severity::Error,
            text: text.into(),
        }
    }

    /// It starts.
    pub fn warning(text: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Warning,
            text: text.into(),
        }
    }
}
