//! What each of the core's settings comes to, with its unit and the place that says so, for people to read. Decides
//! nothing: the values are those of `settings.rs`.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use super::dir::ConfigDir;
use super::error::{ConfigError, Place};
use super::settings::CoreSettings;
use super::store::{Endpoint, StorePlace, StoreSetting};
use super::strictness::{BareLineEnds, ReplyText, UnauthPipelining};

/// The log levels, from 0 on.
const LEVELS: [&str; 8] = [
    "LOGEMERG",
    "LOGALERT",
    "LOGCRIT",
    "LOGERROR",
    "LOGWARN",
    "LOGNOTICE",
    "LOGINFO",
    "LOGDEBUG",
];

/// A setting as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    /// What its number is of; empty where it is no number.
    pub unit: &'static str,
    /// None: there is none, and nothing stands in its place.
    pub values: Vec<EffectiveValue>,
    /// What is wrong with its file; the service does not start with that.
    pub problem: Option<String>,
}

impl Effective {
    /// Whether no file says it.
    pub fn is_default(&self) -> bool {
        self.problem.is_none() && self.values.iter().all(|value| value.place.is_none())
    }
}

/// One of its values; most settings have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    pub text: String,
    /// None: it is the default.
    pub place: Option<Place>,
}

/// How a setting is shown.
struct Row {
    name: &'static str,
    unit: &'static str,
    value: Value,
}

enum Value {
    /// Of the first line.
    One(fn(&CoreSettings) -> Option<String>),
    /// Each line is a value; without a file, these are.
    Lines(fn(&CoreSettings) -> Vec<String>),
}

use Value::{Lines, One};

macro_rules! rows {
    ($($name:literal $unit:literal $value:expr;)*) => {
        const ROWS: &[Row] = &[$(Row { name: $name, unit: $unit, value: $value },)*];
    };
}

rows! {
    "auth_failure_limit" "failures" One(|core| limit(core.limits.auth_failures));
    "bare_line_ends" "" One(|core| word(match core.strictness.bare_line_ends {
        BareLineEnds::Reject => "reject",
        BareLineEnds::Normalize => "normalize",
        BareLineEnds::Original => "original",
    }));
    "command_limit" "commands" One(|core| limit(core.limits.commands));
    "compat" "" One(|core| word(super::compat::compared_version(core.compat.profile)));
    "data_min_rate" "bytes per second" One(|core| limit(some(core.data_min_rate)));
    "databytes" "bytes" One(|core| limit(core.databytes));
    "envelope_size_limit" "bytes" One(|core| limit(core.limits.envelope_size));
    "error_limit" "errors" One(|core| limit(core.limits.errors));
    "forbidden_commands" "" Lines(|core| core.forbidden_commands.iter().map(|verb| shown(verb)).collect());
    "greeting_timeout" "seconds" One(|core| limit(seconds(core.limits.greeting_timeout)));
    "header_line_limit" "lines" One(|core| limit(core.limits.header_lines));
    "header_size_limit" "bytes" One(|core| limit(core.limits.header_size));
    "junk_command_limit" "commands" One(|core| limit(core.limits.junk_commands));
    "logging" "" Lines(|_| Vec::new());
    "loglevel" "" One(|core| level(core.log_level));
    "me" "" One(|core| Some(shown(&core.me)));
    "module_dirs" "" Lines(|_| Vec::new());
    "plugin_dirs" "" Lines(|core| core.plugin_dirs.iter().map(|dir| path(dir)).collect());
    "plugin_settings" "" Lines(|_| Vec::new());
    "plugins" "" Lines(|_| Vec::new());
    "queue_sync" "" One(|core| word(switch(core.queue_sync)));
    "recipient_limit" "recipients" One(|core| limit(some(core.recipient_limit)));
    "reply_text" "" One(|core| word(match core.strictness.reply_text {
        ReplyText::Ascii => "ascii",
        ReplyText::EightBit => "8bit",
        ReplyText::Original => "original",
    }));
    "sandbox_write" "" Lines(|_| Vec::new());
    "session_timeout" "seconds" One(|core| limit(seconds(core.limits.session_timeout)));
    "show_id" "" Lines(|core| core.show_id.words().map(str::to_owned).collect());
    "size_threshold" "bytes" One(|core| Some(core.size_threshold.to_string()));
    "smtpgreeting" "" One(|core| core.greeting.as_deref().map(shown));
    "spool_dir" "" One(|core| Some(path(&core.spool.path)));
    "spool_perms" "" One(|core| Some(format!("{:04o}", core.spool.mode)));
    "store" "" One(|_| None);
    "taint" "" One(|core| word(switch(core.taint)));
    "timeout" "seconds" One(|core| Some(core.timeout.as_secs().to_string()));
    "tls_auth_only" "" One(|core| word(switch(core.strictness.tls_auth_only)));
    "unauth_pipelining" "" One(|core| word(match core.strictness.unauth_pipelining {
        UnauthPipelining::Reject => "reject",
        UnauthPipelining::Log => "log",
        UnauthPipelining::Original => "original",
    }));
}

/// The names of all settings, in order.
pub(super) fn settings() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}

/// All settings as they count now, in order of their names.
pub fn effective(config: &ConfigDir) -> Vec<Effective> {
    let mut problems = Vec::new();
    let core = CoreSettings::read(config, &mut problems);
    let store = StoreSetting::load(config, &core.spool.path);
    let store = store.map_err(|problem| problems.push(problem)).ok();
    let rows = ROWS.iter().map(|row| {
        let files = files_of(row.name).iter().copied();
        // `timeoutsmtpd` of 0 is none, and `timeout` counts then.
        let file = files.clone().find(|file| is_set(config, file));
        let file = file.unwrap_or(row.name);
        let entries = config.entries(file);
        let places = entries.as_deref().unwrap_or_default();
        let values = match row.value {
            One(_) if row.name == "store" => store.iter().map(of_store).collect(),
            // That of the user who asks says nothing.
            One(_) if row.name == "spool_dir" && places.is_empty() => vec!["~/tmp/".to_owned()],
            // The revision of Debian's package counts, too.
            One(_) if row.name == "compat" && !places.is_empty() => places
                .iter()
                .map(|entry| shown(&entry.text))
                .take(1)
                .collect(),
            One(of) => of(&core).into_iter().collect(),
            Lines(default) if places.is_empty() && !config.has(row.name) => default(&core),
            Lines(_) => places.iter().map(|entry| shown(&entry.text)).collect(),
        };
        let values = values.into_iter().enumerate().map(|(at, text)| {
            let place = places.get(at).map(|entry| entry.place.clone());
            EffectiveValue { text, place }
        });
        let problem = problems.iter().find(|problem| is_about(problem, file));
        Effective {
            name: row.name,
            unit: row.unit,
            values: values.collect(),
            problem: problem.map(ConfigError::to_string),
        }
    });
    rows.collect()
}

/// The files that say a setting: the first of them that does counts.
fn files_of(name: &'static str) -> &'static [&'static str] {
    match name {
        "timeout" => &["timeoutsmtpd", "timeout"],
        _ => &[],
    }
}

/// The name of the setting that a file of this name is for.
pub fn setting_of(name: &str) -> Option<&'static str> {
    let row = ROWS
        .iter()
        .find(|row| row.name == name || files_of(row.name).contains(&name));
    row.map(|row| row.name)
}

fn is_set(config: &ConfigDir, file: &str) -> bool {
    let entries = config.entries(file).unwrap_or_default();
    entries.first().is_some_and(|entry| entry.text != b"0")
}

/// Whether a problem is that of a file: one of its own line, or of the file as a whole.
fn is_about(problem: &ConfigError, name: &str) -> bool {
    let named = |file: &Path| file.file_name().is_some_and(|own| own == name);
    match problem {
        ConfigError::Value {
            place, name: of, ..
        } => of == name || named(&place.file),
        ConfigError::Unreadable { path, .. } => named(path),
        ConfigError::Circular { name: of, .. } | ConfigError::TooDeep { name: of, .. } => {
            of == name
        }
        ConfigError::PluginLine { place, .. }
        | ConfigError::UnknownPlugin { place, .. }
        | ConfigError::SetTwice { place, .. } => named(&place.file),
        _ => false,
    }
}

/// Bytes as a line of text.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let chars = text.chars().map(|c| match c.is_control() && c != '\t' {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    chars.collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn word(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn some(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

fn seconds(time: Option<Duration>) -> Option<u64> {
    time.map(|time| time.as_secs())
}

fn limit(most: Option<impl Display>) -> Option<String> {
    Some(most.map_or_else(|| "no limit".to_owned(), |most| most.to_string()))
}

fn level(level: Option<u8>) -> Option<String> {
    let level = level.unwrap_or(crate::base::log::DEFAULT_LEVEL);
    let name = LEVELS.get(usize::from(level)).unwrap_or(&"LOGDEBUG");
    Some(format!("{level} ({name})"))
}

/// Without its password.
fn of_store(store: &StoreSetting) -> String {
    match &store.place {
        StorePlace::Embedded { dir, size } if store.is_named => {
            format!("embedded {} size={size}", dir.display())
        }
        StorePlace::Embedded { size, .. } => {
            format!("embedded, in store/ below spool_dir, size={size}")
        }
        StorePlace::Redis(place) => match &place.endpoint {
            Endpoint::Tcp { host, port } if host.contains(':') => {
                format!("redis://[{host}]:{port}/{}", place.database)
            }
            Endpoint::Tcp { host, port } => format!("redis://{host}:{port}/{}", place.database),
            Endpoint::Unix(path) => format!("unix:{}?db={}", path.display(), place.database),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)], name: &str) -> (Vec<(String, bool)>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = ConfigDir::new(vec![dir.path().to_path_buf()]);
        let all = effective(&config);
        let found = all.into_iter().find(|found| found.name == name).unwrap();
        let values = found.values.into_iter();
        let values = values.map(|value| (value.text, value.place.is_some()));
        (values.collect(), found.problem)
    }

    fn one(files: &[(&str, &str)], name: &str) -> (String, bool) {
        let (mut values, problem) = of(files, name);
        assert_eq!(problem, None);
        assert_eq!(values.len(), 1, "{values:?}");
        values.remove(0)
    }

    #[test]
    fn a_value_is_a_file_s_or_the_default() {
        let is = |text: &str, set| (text.to_owned(), set);
        assert_eq!(one(&[], "databytes"), is("no limit", false));
        assert_eq!(one(&[("databytes", "7\n")], "databytes"), is("7", true));
        assert_eq!(one(&[], "loglevel"), is("4 (LOGWARN)", false));
        assert_eq!(one(&[("taint", "0\n")], "taint"), is("off", true));
        assert_eq!(one(&[], "spool_dir"), is("~/tmp/", false));
        assert_eq!(one(&[], "error_limit"), is("20", false));
    }

    #[test]
    fn the_time_for_a_line_is_that_of_the_first_file_that_has_one() {
        let both = [("timeoutsmtpd", "60\n"), ("timeout", "90\n")];
        assert_eq!(one(&both, "timeout"), ("60".to_owned(), true));
        let none = [("timeoutsmtpd", "0\n"), ("timeout", "90\n")];
        assert_eq!(one(&none, "timeout"), ("90".to_owned(), true));
        assert_eq!(one(&[], "timeout"), ("1200".to_owned(), false));
        assert_eq!(setting_of("timeoutsmtpd"), Some("timeout"));
    }

    #[test]
    fn a_list_has_its_lines_or_those_of_the_default() {
        let verbs = |files: &[(&str, &str)]| of(files, "forbidden_commands").0.len();
        assert_eq!(verbs(&[]), 3);
        assert_eq!(verbs(&[("forbidden_commands", "# none\n")]), 0);
        assert_eq!(verbs(&[("forbidden_commands", "a\nb\n")]), 2);
    }

    #[test]
    fn what_is_wrong_is_told_and_passwords_are_not() {
        let (_, problem) = of(&[("databytes", "many\n")], "databytes");
        assert!(problem.unwrap().contains("databytes:1: databytes is"));
        let (values, _) = of(&[("store", "redis://:secret@db.example\n")], "store");
        assert_eq!(values, [("redis://db.example:6379/0".to_owned(), true)]);
    }

    #[test]
    fn the_settings_are_in_order() {
        assert!(settings().is_sorted());
    }
}
