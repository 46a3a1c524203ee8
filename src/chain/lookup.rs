//! A config value where no plugin has a say in it: the file's lines, else the default. What is wrong
//! with the files is told to whoever asks.

use std::path::Path;

use crate::config::{ConfigDir, Lines};

/// Values of config names that have no file (`me`, `timeout`).
pub(crate) type Defaults = Vec<(&'static str, Vec<u8>)>;

/// The lines of a config name's file, or of the file at this path, where there are any; `problem` is
/// told of each thing that is wrong with it.
pub(crate) fn look_up<E>(
    config: &ConfigDir,
    name: &str,
    path: Option<&Path>,
    mut problem: impl FnMut(String) -> Result<(), E>,
) -> Result<Option<Lines>, E> {
    let found = match path {
        Some(path) => config.lines_of(name, path),
        None => config.lines(name),
    };
    for found in config.take_problems() {
        problem(found.to_string())?;
    }
    match found {
        Ok(lines) => Ok(lines.filter(|lines| !lines.is_empty())),
        Err(error) => {
            problem(error.to_string())?;
            Ok(None)
        }
    }
}

/// The value of a config name that has no file.
pub(crate) fn default_of<'a>(defaults: &'a Defaults, name: &[u8]) -> Option<&'a [u8]> {
    let mut defaults = defaults.iter();
    let (_, value) = defaults.find(|(known, _)| known.as_bytes() == name)?;
    Some(value)
}
