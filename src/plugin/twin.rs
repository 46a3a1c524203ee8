//! Native plugins that do what a Perl plugin does, and may stand in its place under its own line: what
//! such a plugin is, which files it may stand for, and what it gets while it is loaded. Does not look for
//! files.

use std::path::Path;

use super::Plugin;
use super::failure::PluginError;
use super::hooks::Handler;
use crate::config::{ConfigDir, Place, PluginLine, Profile};
use crate::hook::Hook;

/// A line of config/plugins that a twin serves.
pub struct TwinLine<'a> {
    /// The plugin's name in the chain.
    pub name: &'a str,
    /// The name as the line has it: with `native/`, or the Perl plugin's.
    pub listed: &'a str,
    /// The words behind it.
    pub args: &'a [Vec<u8>],
    /// Where the line is.
    pub place: &'a Place,
    /// The line itself, and the directory that it is in.
    pub line: &'a PluginLine,
    /// See `line`.
    pub dir: &'a ConfigDir,
    /// Whose plugin it does as.
    pub of: Profile,
    /// The values of a config name.
    pub config: &'a dyn Fn(&str) -> Vec<Vec<u8>>,
    /// Whether a plugin of a line before has the hook.
    pub has_entries: &'a dyn Fn(Hook) -> bool,
    /// The file in whose place it stands.
    pub file: Option<&'a Path>,
    /// A log line at LOGDEBUG that is not the plugin's own.
    pub trace: &'a dyn Fn(&[&str]),
    /// A log line of the plugin's.
    pub log: &'a dyn Fn(u8, &str),
}

/// A native plugin that may stand in a Perl plugin's place.
pub trait Twin {
    /// Its name, and the Perl plugin's.
    const NAME: &'static str;
    /// The SHA-256 sums of the files whose place it may take, and whose these are.
    const FILES: &'static [(&'static str, Profile)];
    /// Whether it does so where nothing says otherwise.
    const USUALLY: bool;

    /// Loads it, and gives its hooks.
    fn load(line: &TwinLine<'_>) -> Result<Vec<Handler>, PluginError>;
}

/// A plugin like any other that does what a Perl plugin of the same name does, and may stand in its place
/// where the administrator says so.
pub trait Port: Plugin {
    /// The SHA-256 sums of the files whose place it may take, and whose these are.
    const FILES: &'static [(&'static str, Profile)];

    /// Whether the Perl plugin says what it has to say of its line before it has its hooks (`init`), and not
    /// after that (`register`).
    const SPEAKS_FIRST: bool = false;

    /// Whether the Perl plugin keeps the pairs of its line where its base class looks for `loglevel` and `reject`.
    const KEEPS_PAIRS: bool = Self::REJECTS;

    /// Whether it can do what a Perl plugin's line asks for, and config files with it; else that one runs.
    fn serves(_: &[Vec<u8>], _: &ConfigDir) -> bool {
        true
    }

    /// What the Perl plugin makes of the words of its line, without the policy's.
    fn perl_args(words: &[Vec<u8>]) -> Self::Args;
}

/// One of them in the registry.
#[derive(Clone, Copy)]
pub struct TwinEntry {
    /// See [`Twin::FILES`].
    pub files: &'static [(&'static str, Profile)],
    /// See [`Twin::USUALLY`].
    pub usually: bool,
    /// See [`Port::serves`].
    pub serves: fn(&[Vec<u8>], &ConfigDir) -> bool,
    /// See [`Twin::load`].
    pub load: fn(&TwinLine<'_>) -> Result<Vec<Handler>, PluginError>,
}

impl TwinEntry {
    pub(super) fn of<T: Twin>() -> TwinEntry {
        TwinEntry {
            files: T::FILES,
            usually: T::USUALLY,
            serves: |_, _| true,
            load: T::load,
        }
    }

    /// Whose plugin a file is, if it is one of those.
    pub fn whose(&self, contents: &[u8]) -> Option<Profile> {
        let sum = openssl::sha::sha256(contents);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut files = self.files.iter();
        files.find_map(|(known, whose)| (*known == sum).then_some(*whose))
    }
}
