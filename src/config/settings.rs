//! The core's own settings, read once when the configuration is loaded. What a wrong value
//! costs: the start, with a message that names file and line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::compat::Compat;
use super::dir::ConfigDir;
use super::error::ConfigError;
use super::limits::Limits;
use super::plugin_line::PluginLine;
use super::read::Entry;
use super::show_id::ShowId;
use super::spool::SpoolDir;
use super::strictness::Strictness;
use super::value::{first, level, mode, number, refused, switch};
use crate::base::{home, hostname, program_dir};

/// What even the slowest modem exceeds, in bytes per second.
const DATA_MIN_RATE: u64 = 100;

/// A browser or a proxy that was made to talk to a mail server.
const FORBIDDEN_COMMANDS: [&[u8]; 3] = [b"connect", b"get", b"post"];

/// RFC 5321 4.5.3.1.8 asks for 100 at least; that of other servers.
const RECIPIENT_LIMIT: u64 = 1000;

/// The core's settings, read and checked.
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
    /// `timeoutsmtpd`, else `timeout`, else 1200 s, for a whole line; 0 counts as not set.
    pub timeout: Duration,
    /// `data_min_rate` in bytes per second, 100 if there is none: beyond the time for a line, a message
    /// may take as long as its bytes take at this rate. 0: any time, as in the original.
    pub data_min_rate: u64,
    /// `recipient_limit`: the recipients that a message may have, 1000 if there is none. 0: any number,
    /// as in the original.
    pub recipient_limit: u64,
    /// `forbidden_commands` in lower case, those of HTTP if there is no such file: who says one of them,
    /// or the line of a header before HELO, is sent away. An empty file: nobody is, as in the original.
    pub forbidden_commands: Vec<Vec<u8>>,
    /// What else a client may have; the original has none of these.
    pub limits: Limits,
    /// How strictly SMTP's wire form is kept.
    pub strictness: Strictness,
    /// `show_id`: where ids of transactions are shown to others.
    pub show_id: ShowId,
    /// `queue_sync`: what a queue plugin has stored is synced to disk before the client is told that the
    /// message was taken. 1 if there is no such file; 0: not, as in the original.
    pub queue_sync: bool,
    /// `taint`: whether perl runs in taint mode, as the original's programs have it; `on` if there is no
    /// such file.
    pub taint: bool,
    /// `module_dirs`: directories of Perl modules before those that perl knows.
    pub module_dirs: Vec<PathBuf>,
    /// `size_threshold` in bytes: a larger message is spooled. 0, the default as in the original,
    /// spools every message.
    pub size_threshold: u64,
    /// `spool_dir`, else `tmp` in the service user's home. Not made yet: see `prepare`.
    pub spool: SpoolDir,
    /// `smtpgreeting`: the text after the code 220.
    pub greeting: Option<Vec<u8>>,
}

impl CoreSettings {
    /// Reads them as the service user. The first thing that is wrong is the error.
    pub fn load(config: &ConfigDir) -> Result<CoreSettings, ConfigError> {
        let mut problems = Vec::new();
        let settings = CoreSettings::read(config, &mut problems);
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(settings),
        }
    }

    /// The same to the end: what is wrong goes to `problems`, and the default is taken in its place.
    pub fn read(config: &ConfigDir, problems: &mut Vec<ConfigError>) -> CoreSettings {
        let mut read = Reading(problems);
        let text = |name| Ok(first(config, name)?.map(|entry| entry.text));
        let seconds = |name| {
            let found = number(config, name, "a number of seconds")?;
            Ok(found.filter(|seconds| *seconds > 0))
        };
        let timeout = match read.or_default(seconds("timeoutsmtpd")) {
            Some(found) => Some(found),
            None => read.or_default(seconds("timeout")),
        };
        let number = |name, what| number(config, name, what);
        let forbidden = match read.or_default(config.lines("forbidden_commands")) {
            None => FORBIDDEN_COMMANDS.map(<[u8]>::to_vec).to_vec(),
            Some(verbs) => verbs.iter().map(|verb| verb.to_ascii_lowercase()).collect(),
        };
        CoreSettings {
            compat: read.or_default(compat(config)),
            me: read.or_default(text("me")).unwrap_or_else(hostname),
            log_level: read.or_default(level(config, "loglevel")),
            logging: read.lines(config, "logging"),
            plugin_dirs: read.or_default(plugin_dirs(config)),
            plugins: read.lines(config, "plugins"),
            databytes: read
                .or_default(number("databytes", "a number of bytes"))
                .filter(|bytes| *bytes > 0),
            timeout: Duration::from_secs(timeout.unwrap_or(1200)),
            data_min_rate: read
                .or_default(number("data_min_rate", "a number of bytes per second"))
                .unwrap_or(DATA_MIN_RATE),
            recipient_limit: read
                .or_default(number("recipient_limit", "a number of recipients"))
                .unwrap_or(RECIPIENT_LIMIT),
            forbidden_commands: forbidden,
            limits: read.or_default(Limits::load(config)),
            strictness: read.or_default(Strictness::load(config)),
            show_id: read.or_default(ShowId::load(config)),
            queue_sync: read
                .or_default(switch(config, "queue_sync"))
                .unwrap_or(true),
            taint: read.or_default(switch(config, "taint")).unwrap_or(true),
            module_dirs: paths(&read.or_default(config.entries("module_dirs"))),
            size_threshold: read
                .or_default(number("size_threshold", "a number of bytes"))
                .unwrap_or(0),
            spool: match spool(config) {
                Ok(spool) => spool,
                Err(problem) => {
                    read.0.push(problem);
                    SpoolDir::new(&std::env::temp_dir(), 0o700)
                }
            },
            greeting: read.or_default(text("smtpgreeting")),
        }
    }
}

/// Where what is wrong goes.
struct Reading<'a>(&'a mut Vec<ConfigError>);

impl Reading<'_> {
    fn or_default<T: Default>(&mut self, value: Result<T, ConfigError>) -> T {
        value.unwrap_or_else(|problem| {
            self.0.push(problem);
            T::default()
        })
    }

    /// The lines of `plugins` or `logging` that are ones.
    fn lines(&mut self, config: &ConfigDir, name: &str) -> Vec<PluginLine> {
        let entries = self.or_default(config.entries(name));
        let lines = entries.iter().map(PluginLine::parse);
        lines
            .filter_map(|line| line.map_err(|problem| self.0.push(problem)).ok())
            .collect()
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
    Ok(paths(&entries))
}

fn paths(entries: &[Entry]) -> Vec<PathBuf> {
    let path = |entry: &Entry| PathBuf::from(OsStr::from_bytes(&entry.text));
    entries.iter().map(path).collect()
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
