//! Files of the config directory: whatever is in them, they are understood, or refused with a line of
//! text that a terminal can be trusted with.

use std::path::Path;

use crate::config::{
    ConfigDir, ConfigError, CoreSettings, Entry, Place, PluginLine, PluginSettings,
};

/// Files whose readers differ; the first byte chooses one.
const FILES: [&str; 12] = [
    "plugins",
    "plugin_settings",
    "logging",
    "loglevel",
    "compat",
    "timeout",
    "databytes",
    "size_threshold",
    "spool_perms",
    "recipient_limit",
    "error_limit",
    "forbidden_commands",
];

/// A config file of any bytes: read without a panic, and what it gives is well-formed.
pub fn config(bytes: &[u8]) {
    let (name, text) = super::choice(bytes);
    let file: std::rc::Rc<Path> = Path::new("plugins").into();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let entry = Entry {
            text: line.trim_ascii().to_vec(),
            place: Place {
                file: file.clone(),
                line: index + 1,
            },
        };
        match PluginLine::parse(&entry) {
            Ok(line) => {
                let words: Vec<&[u8]> = line.words().collect();
                assert!(words.iter().all(|word| !word.is_empty()));
                assert!(!words.iter().any(|word| word.contains(&b' ')));
            }
            Err(error) => check(&error),
        }
    }
    // An $include may name any file of this machine.
    if memchr::memmem::find(text, b"$include").is_some() {
        return;
    }
    let Ok(dir) = tempfile::tempdir() else { return };
    let name = FILES[usize::from(name) % FILES.len()];
    if std::fs::write(dir.path().join(name), text).is_err()
        || std::fs::write(dir.path().join("spool_dir"), b"/tmp").is_err() && name != "spool_dir"
    {
        return;
    }
    let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
    match CoreSettings::load(&config) {
        Ok(settings) => {
            let loaded = settings.plugins.iter().chain(&settings.logging);
            if let Err(error) = PluginSettings::load(&config, loaded) {
                check(&error);
            }
        }
        Err(error) => check(&error),
    }
}

fn check(error: &ConfigError) {
    let text = error.to_string();
    let acts = |character: char| character.is_control() && character != '\n';
    assert!(!text.contains(acts), "{text:?}");
}
