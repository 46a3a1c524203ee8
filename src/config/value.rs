//! Readers of single values: the first line of a file as a number, a level or a mode. A file
//! that is missing or has no line that counts gives none, as in the original.

use super::dir::ConfigDir;
use super::error::ConfigError;
use super::read::Entry;

/// The first line that counts.
pub(super) fn first(config: &ConfigDir, name: &str) -> Result<Option<Entry>, ConfigError> {
    Ok(config.entries(name)?.into_iter().next())
}

/// The error for a value that is none of the allowed ones.
pub(super) fn refused(name: &str, entry: &Entry, allowed: &'static str) -> ConfigError {
    ConfigError::Value {
        place: entry.place.clone(),
        name: name.to_owned(),
        found: entry.text.escape_ascii().to_string(),
        allowed,
    }
}

/// A number of `unit`s: digits only.
pub(super) fn number(
    config: &ConfigDir,
    name: &str,
    allowed: &'static str,
) -> Result<Option<u64>, ConfigError> {
    let Some(entry) = first(config, name)? else {
        return Ok(None);
    };
    match digits(&entry.text, 10) {
        Some(number) => Ok(Some(number)),
        None => Err(refused(name, &entry, allowed)),
    }
}

/// `on` or `off`, in any case.
pub(super) fn switch(config: &ConfigDir, name: &str) -> Result<Option<bool>, ConfigError> {
    let Some(entry) = first(config, name)? else {
        return Ok(None);
    };
    match &entry.text.to_ascii_lowercase()[..] {
        b"on" => Ok(Some(true)),
        b"off" => Ok(Some(false)),
        _ => Err(refused(name, &entry, "on or off")),
    }
}

/// A file mode in octal.
pub(super) fn mode(config: &ConfigDir, name: &str) -> Result<Option<u32>, ConfigError> {
    let Some(entry) = first(config, name)? else {
        return Ok(None);
    };
    match digits(&entry.text, 8).and_then(|mode| u32::try_from(mode).ok()) {
        Some(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => Err(refused(
            name,
            &entry,
            "a mode in octal digits, such as 0700",
        )),
    }
}

/// A log level, 0 to 7, by number or name. More than 7 is 7: there are no further lines.
pub(super) fn level(config: &ConfigDir, name: &str) -> Result<Option<u8>, ConfigError> {
    let Some(entry) = first(config, name)? else {
        return Ok(None);
    };
    let by_name = || {
        let text = entry.text.to_ascii_lowercase();
        Some(match text.strip_prefix(b"log").unwrap_or(&text) {
            b"radar" | b"emerg" => 0,
            b"alert" => 1,
            b"crit" => 2,
            b"error" | b"err" => 3,
            b"warn" | b"warning" => 4,
            b"notice" => 5,
            b"info" => 6,
            b"debug" => 7,
            _ => return None,
        })
    };
    match digits(&entry.text, 10) {
        Some(number) => Ok(Some(u8::try_from(number.min(7)).unwrap_or(7))),
        None => match by_name() {
            Some(level) => Ok(Some(level)),
            None => Err(refused(
                name,
                &entry,
                "a number from 0 (LOGEMERG) to 7 (LOGDEBUG), or such a name",
            )),
        },
    }
}

pub(super) fn digits(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    // `from_str_radix` takes a sign.
    if text.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(text, radix).ok()
}
