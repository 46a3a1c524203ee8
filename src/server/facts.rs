//! What the zygote tells the supervisor of what it has loaded.

#![forbid(unsafe_code)]

use std::fmt;

/// What the loaded plugins mean for the supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadFacts {
    /// A plugin hooks pre-connection: the limit per address is left to it.
    pub hooks_pre_connection: bool,
    /// The config's loglevel (0 to 7), for the supervisor's own lines.
    pub log_level: u8,
    /// A plugin hooks logging: it is to have the supervisor's lines, too.
    pub hooks_logging: bool,
    /// What was loaded, for people.
    pub about: About,
}

/// What was loaded, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// perl's version; none where there is no interpreter.
    pub perl: Option<String>,
    /// The config directory.
    pub config: String,
    /// Which version of qpsmtpd it does as.
    pub profile: String,
    /// How many plugins were loaded.
    pub plugins: u32,
    /// Where files of plugins are looked for.
    pub plugin_dirs: Vec<String>,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.perl {
            Some(version) => write!(f, "perl {version}")?,
            None => f.write_str("without perl")?,
        }
        let (config, profile, plugins) = (&self.config, &self.profile, self.plugins);
        write!(f, ", config {config}, compat {profile}, {plugins} plugins")
    }
}

impl About {
    /// As one text: a field in each line. Names of directories with newlines are cut there, as it is for people.
    pub(super) fn lines(&self) -> String {
        let perl = self.perl.as_deref().unwrap_or_default();
        let plugins = self.plugins.to_string();
        let fields = [perl, &self.config, &self.profile, &plugins];
        let dirs = self.plugin_dirs.iter().map(String::as_str);
        let fields: Vec<&str> = fields.into_iter().chain(dirs).collect();
        let first = |field: &&str| field.lines().next().unwrap_or_default().to_owned();
        let fields: Vec<String> = fields.iter().map(first).collect();
        fields.join("\n")
    }

    /// What `lines` made a text of. What is missing is empty.
    pub(super) fn of_lines(text: &str) -> About {
        let mut lines = text.split('\n').map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        About {
            perl: Some(next()).filter(|version| !version.is_empty()),
            config: next(),
            profile: next(),
            plugins: next().parse().unwrap_or_default(),
            plugin_dirs: lines.collect(),
        }
    }
}

/// What the numbers on the workers' pages stand for: plugins and hooks, each in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub plugins: Vec<String>,
    pub hooks: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum ProcessEnd {
    Status(i32),
    Signal(i32),
}
