//! The core's own settings, read once when the configuration is loaded. What a wrong value
//! costs: the start, with a message that names file and line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::compat::Compat;
use super::dir::ConfigDir;
use super::error::ConfigError;
use super::host::{home, hostname, program_dir};
use super::plugin_line::PluginLine;
use super::spool::SpoolDir;
use super::value::{first, level, mode, number, refused};

/// See the module's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSettings {
    pub compat: Compat,
    /// `me`, else the host's name.
    pub me: Vec<u8>,
    /// `loglevel`, for where no logging plugin is.
    pub log_level: Option<u8>,
    /// Every line of `logging`: the plugins that write the log.
    pub logging: Vec<PluginLine>,
    /// `plugin_dirs`, else `plugins` beside the program.
    pub plugin_dirs: Vec<PathBuf>,
    pub plugins: Vec<PluginLine>,
    /// The largest message in bytes; none (also 0) is no limit.
    pub databytes: Option<u64>,
    /// `timeoutsmtpd`, else `timeout`, else 1200 s; 0 counts as not set.
    pub timeout: Duration,
    /// `size_threshold` in bytes: a larger message is spooled. 0, the default as in the original,
    /// spools every message.
    pub size_threshold: u64,
    /// `spool_dir`, else `tmp` in the service user's home. Not made yet: see `prepare`.
    pub spool: SpoolDir,
    /// `smtpgreeting`: the text after the code 220.
    pub greeting: Option<Vec<u8>>,
}

impl CoreSettings {
    /// Reads them as the service user.
    pub fn load(config: &ConfigDir) -> Result<CoreSettings, ConfigError> {
        let text = |name| Ok(first(config, name)?.map(|entry| entry.text));
        let seconds = |name| {
            let found = number(config, name, "a number of seconds")?;
            Ok(found.filter(|seconds| *seconds > 0))
        };
        let timeout = match seconds("timeoutsmtpd")? {
            Some(found) => Some(found),
            None => seconds("timeout")?,
        };
        let plugins = |name| {
            let entries = config.entries(name)?;
            entries
                .iter()
                .map(PluginLine::parse)
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(CoreSettings {
            compat: compat(config)?,
            me: text("me")?.unwrap_or_else(hostname),
            log_level: level(config, "loglevel")?,
            logging: plugins("logging")?,
            plugin_dirs: plugin_dirs(config)?,
            plugins: plugins("plugins")?,
            databytes: number(config, "databytes", "a number of bytes")?.filter(|bytes| *bytes > 0),
            timeout: Duration::from_secs(timeout.unwrap_or(1200)),
            size_threshold: number(config, "size_threshold", "a number of bytes")?.unwrap_or(0),
            spool: spool(config)?,
            greeting: text("smtpgreeting")?,
        })
    }
}

fn compat(config: &ConfigDir) -> Result<Compat, ConfigError> {
    let Some(entry) = first(config, "compat")? else {
        return Ok(Compat::default());
    };
    Compat::parse(&entry.text).ok_or_else(|| refused("compat", &entry, Compat::ALLOWED))
}

fn plugin_dirs(config: &ConfigDir) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = config.entries("plugin_dirs")?;
    if entries.is_empty() {
        let beside = program_dir().map(|program| program.join("plugins"));
        return Ok(beside.into_iter().collect());
    }
    let path = |text: &[u8]| PathBuf::from(OsStr::from_bytes(text));
    Ok(entries.iter().map(|entry| path(&entry.text)).collect())
}

fn spool(config: &ConfigDir) -> Result<SpoolDir, ConfigError> {
    let mode = mode(config, "spool_perms")?.unwrap_or(0o700);
    let path = match first(config, "spool_dir")? {
        Some(entry) => PathBuf::from(OsStr::from_bytes(&entry.text)),
        None => match home() {
            Some(home) => home.join("tmp"),
            None => {
                return Err(ConfigError::Spool {
                    path: "~/tmp/".into(),
                    reason: "the service user has no home".to_owned(),
                });
            }
        },
    };
    Ok(SpoolDir::new(&path, mode))
}

#[cfg(test)]
mod tests;
