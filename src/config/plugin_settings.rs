//! The config file `plugin_settings`: what the host makes of each plugin's calls. Read once, when
//! the plugins are loaded; a line that is not understood ends the load.

use std::collections::HashMap;

use super::dir::ConfigDir;
use super::error::{ConfigError, Place};
use super::plugin_line::PluginLine;
use super::read::Entry;
use super::value::digits;

const FILE: &str = "plugin_settings";
/// A limit of more than a month is none.
const MAX_TIMEOUT: u64 = 3_000_000;
const MAX_FAILURES: u64 = 1_000_000;

const WORDS: &str = "NAME timeout SECONDS, NAME on_error skip, defer or deny, \
                     NAME quarantine FAILURES [SECONDS], NAME isolate, NAME keep, NAME native, or NAME perl, where NAME is a plugin's name as in the file plugins, or * for all";

/// What the failure of a plugin's call means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The next plugin runs.
    Skip,
    /// As DENYSOFT.
    Defer,
    /// As DENY.
    Deny,
}

/// What holds for one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginSetting {
    /// Seconds; 0: any time. `None`: what is usual for the hook.
    pub timeout: Option<u32>,
    /// `None`: a plugin that dies is skipped, one that takes too long defers.
    pub on_error: Option<OnError>,
    /// A worker in which it ran serves no other session.
    pub isolate: bool,
    /// The variables of its file and package live on from session to session. Where it is isolated
    /// there is no other session.
    pub keep: bool,
    /// `None`: it is always called.
    pub quarantine: Option<Quarantine>,
    /// Whether a native plugin that does the same may stand in the place of a Perl plugin. `None`: what is
    /// usual for that plugin.
    pub native: Option<bool>,
}

/// When a plugin is not called for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// As many failures of one of its hooks in a row.
    pub failures: u32,
    /// 0: until a reload.
    pub seconds: u32,
}

/// The lines of `plugin_settings`, by plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSettings {
    all: Given,
    /// By the name that a plugin has in the table of hooks.
    named: HashMap<Vec<u8>, Given>,
}

/// What lines say; each word at most once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Given {
    timeout: Option<(u32, Option<Place>)>,
    on_error: Option<(OnError, Option<Place>)>,
    isolate: Option<((), Option<Place>)>,
    keep: Option<((), Option<Place>)>,
    quarantine: Option<(Quarantine, Option<Place>)>,
    native: Option<(bool, Option<Place>)>,
}

impl PluginSettings {
    /// Reads the file. `loaded` are the plugins that it may name.
    pub fn load<'a>(
        config: &ConfigDir,
        loaded: impl Iterator<Item = &'a PluginLine>,
    ) -> Result<PluginSettings, ConfigError> {
        let names: Vec<&[u8]> = loaded.map(|line| &*line.name).collect();
        let mut settings = PluginSettings::default();
        for entry in config.entries(FILE)? {
            settings.take(&entry, &names)?;
        }
        Ok(settings)
    }

    /// What holds for the plugin with this name in the table of hooks.
    pub fn of(&self, name: &[u8]) -> PluginSetting {
        let own = self.named.get(name);
        let value = |of: fn(&Given) -> Option<u32>| own.and_then(of).or_else(|| of(&self.all));
        let on_error = |given: &Given| given.on_error.as_ref().map(|(value, _)| *value);
        let quarantine = |given: &Given| given.quarantine.as_ref().map(|(value, _)| *value);
        let native = |given: &Given| given.native.as_ref().map(|(value, _)| *value);
        PluginSetting {
            native: own.and_then(native).or_else(|| native(&self.all)),
            timeout: value(|given| given.timeout.as_ref().map(|(value, _)| *value)),
            on_error: own.and_then(on_error).or_else(|| on_error(&self.all)),
            isolate: self.all.isolate.is_some() || own.is_some_and(|own| own.isolate.is_some()),
            keep: self.all.keep.is_some() || own.is_some_and(|own| own.keep.is_some()),
            quarantine: own
                .and_then(quarantine)
                .or_else(|| quarantine(&self.all))
                .filter(|quarantine| quarantine.failures > 0),
        }
    }

    /// The plugins, by the names that they have in the table of hooks, that native ones are to stand for.
    pub fn wanted_native(&self) -> impl Iterator<Item = (&[u8], &Place)> {
        self.named.iter().filter_map(|(name, given)| {
            let (native, place) = given.native.as_ref()?;
            Some((name.as_slice(), place.as_ref().filter(|_| *native)?))
        })
    }

    fn take(&mut self, entry: &Entry, names: &[&[u8]]) -> Result<(), ConfigError> {
        let words: Vec<&[u8]> = entry
            .text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect();
        let not_understood = || ConfigError::Value {
            place: entry.place.clone(),
            name: "the line".to_owned(),
            found: entry.text.escape_ascii().to_string(),
            allowed: WORDS,
        };
        let (&name, words) = words.split_first().ok_or_else(not_understood)?;
        let given = match name {
            b"*" => &mut self.all,
            _ => {
                let known = names
                    .iter()
                    .map(|known| table_name(known))
                    .find(|known| known == name || *known == table_name(name));
                let known = known.ok_or_else(|| unknown(entry, name, names))?;
                self.named.entry(known).or_default()
            }
        };
        let place = Some(entry.place.clone());
        let first = match words {
            [b"timeout", seconds] => {
                let seconds = number(seconds, MAX_TIMEOUT).ok_or_else(|| ConfigError::Value {
                    place: entry.place.clone(),
                    name: "timeout".to_owned(),
                    found: entry.text.escape_ascii().to_string(),
                    allowed: "NAME timeout SECONDS, 1 to 3000000, or 0 for any time",
                })?;
                once(&mut given.timeout, seconds, place)
            }
            [b"on_error", b"skip"] => once(&mut given.on_error, OnError::Skip, place),
            [b"on_error", b"defer"] => once(&mut given.on_error, OnError::Defer, place),
            [b"on_error", b"deny"] => once(&mut given.on_error, OnError::Deny, place),
            [b"quarantine", failures, rest @ ..] if rest.len() < 2 => {
                let failures = number(failures, MAX_FAILURES);
                let seconds = rest
                    .first()
                    .map_or(Some(0), |word| number(word, MAX_TIMEOUT));
                let quarantine = failures
                    .zip(seconds)
                    .map(|(failures, seconds)| Quarantine { failures, seconds })
                    .ok_or_else(|| ConfigError::Value {
                        place: entry.place.clone(),
                        name: "quarantine".to_owned(),
                        found: entry.text.escape_ascii().to_string(),
                        allowed: "NAME quarantine FAILURES [SECONDS], FAILURES 1 to 1000000 or 0 for \
                                  never, SECONDS 1 to 3000000 or none for until a reload",
                    })?;
                once(&mut given.quarantine, quarantine, place)
            }
            [b"isolate"] => once(&mut given.isolate, (), place),
            [b"keep"] => once(&mut given.keep, (), place),
            [b"native"] => once(&mut given.native, true, place),
            [b"perl"] => once(&mut given.native, false, place),
            _ => return Err(not_understood()),
        };
        match first {
            None => Ok(()),
            Some(first) => Err(ConfigError::SetTwice {
                place: entry.place.clone(),
                found: entry.text.escape_ascii().to_string(),
                first,
            }),
        }
    }
}

fn number(word: &[u8], most: u64) -> Option<u32> {
    let number = digits(word, 10).filter(|number| *number <= most)?;
    u32::try_from(number).ok()
}

/// Sets what was not set; else gives the place where it was.
fn once<T>(slot: &mut Option<(T, Option<Place>)>, value: T, place: Option<Place>) -> Option<Place> {
    match slot {
        Some((_, first)) => first.clone(),
        None => {
            *slot = Some((value, place));
            None
        }
    }
}

fn unknown(entry: &Entry, name: &[u8], names: &[&[u8]]) -> ConfigError {
    let mut known: Vec<String> = Vec::new();
    for name in names {
        let name = name.escape_ascii().to_string();
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known.push("* for all".to_owned());
    ConfigError::UnknownPlugin {
        place: entry.place.clone(),
        found: name.escape_ascii().to_string(),
        known,
    }
}

/// The name that a plugin has in the table of hooks: `queue/qmail-queue` is
/// `queue::qmail_2dqueue`, a module's and a native plugin's name stays.
pub fn table_name(name: &[u8]) -> Vec<u8> {
    if let Some(rest) = name.strip_prefix(b"native/") {
        return [b"native/", &table_name(rest)[..]].concat();
    }
    if name.windows(2).any(|two| two == b"::") {
        return name.to_vec();
    }
    let mut escaped = Vec::with_capacity(name.len() + 8);
    let mut after_slash = false;
    for byte in name {
        match byte {
            b'/' if after_slash => continue,
            b'/' => escaped.extend_from_slice(b"::"),
            b'0'..=b'9' if after_slash => {
                escaped.extend_from_slice(format!("_{byte:2x}").as_bytes())
            }
            b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => escaped.push(*byte),
            _ => escaped.extend_from_slice(format!("_{byte:2x}").as_bytes()),
        }
        after_slash = *byte == b'/';
    }
    escaped
}

#[cfg(test)]
mod tests;
