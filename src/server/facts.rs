//! What the zygote tells the supervisor of what it has loaded.

#![forbid(unsafe_code)]

/// What the loaded plugins mean for the supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadFacts {
    /// A plugin hooks pre-connection: the limit per address is left to it.
    pub hooks_pre_connection: bool,
    /// The config's loglevel (0 to 7), for the supervisor's own lines.
    pub log_level: u8,
    /// A plugin hooks logging: it is to have the supervisor's lines, too.
    pub hooks_logging: bool,
    /// What was loaded, for people: perl, config directory, version of qpsmtpd, plugins.
    pub about: String,
}

/// What the numbers on the workers' pages stand for: plugins and hooks, each in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub plugins: Vec<String>,
    pub hooks: Vec<String>,
}
