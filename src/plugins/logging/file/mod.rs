//! `native/logging/file [loglevel LEVEL] [nosplit] [reopen] [tsformat FORM] PATH`: writes the log into a file, as
//! qpsmtpd's plugin of that name; in PATH `%i` is the session's own word, and the rest strftime's. Does not write into
//! a program's standard input (`|PROGRAM`): a Perl plugin's line that asks for that stays Perl's.

mod strftime;

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::{Zone, hostname};
use crate::config::{ConfigDir, Profile, reason};
use crate::log::LOGWARN;
use crate::plugin::twin::Port;
use crate::plugin::{
    Cx, HookResult, Hooks, LoadEnv, LoggingCx, NotesHandle, Plugin, PluginError, Words, declined,
};

const LOGGED: &str = "file-logged-this-session";
const REOPENED: &str = "file-reopened-this-session";
const SESSION: &str = "logging-session-id";
/// As `localtime` is as a text.
const FORM: &str = "%a %b %d %T %Y";

pub(in crate::plugins) struct LoggingFile {
    settings: Settings,
    zone: Zone,
    host: Vec<u8>,
    open: RefCell<Option<Open>>,
    /// The path that could not be opened, of which was told.
    failed: RefCell<String>,
    sessions: Cell<u64>,
}

#[derive(Debug, PartialEq, Eq)]
struct Settings {
    level: u8,
    splits: bool,
    reopens: bool,
    form: String,
    path: String,
}

struct Open {
    path: String,
    file: File,
}

impl Plugin for LoggingFile {
    const NAME: &'static str = "logging/file";

    type Args = Words;

    fn load(Words(words): Words, _: &LoadEnv<'_>) -> Result<LoggingFile, PluginError> {
        let settings = Settings::of(&words).ok_or_else(|| {
            let known = "loglevel LEVEL, nosplit, reopen, tsformat FORM";
            PluginError::new(format!("takes {known} and then the path of a file"))
        })?;
        Ok(LoggingFile {
            settings,
            zone: Zone::local(),
            host: hostname(),
            open: RefCell::default(),
            failed: RefCell::default(),
            sessions: Cell::new(0),
        })
    }

    fn hooks(hooks: &mut Hooks<LoggingFile>) {
        hooks.plain().connect(LoggingFile::connect);
        // The original has this hook, and does nothing in it; at LOGDEBUG the log tells of it.
        hooks
            .plain()
            .disconnect(|_: &LoggingFile, _: &mut Cx<'_>| declined());
        hooks.logging(LoggingFile::log);
    }
}

impl Port for LoggingFile {
    const FILES: &'static [(&'static str, Profile)] = &[
        (
            "7c0c00a1946480644e68d0265c50b6608c079a6d23c5fc3e6f0a1602e7af6f4d",
            Profile::V094,
        ),
        (
            "e4eff7a6842156b9924f7d4966cafd71e38dd2ef03cc0bb91b3a2ae261a157b8",
            Profile::V100,
        ),
    ];

    fn serves(words: &[Vec<u8>], _: &ConfigDir) -> bool {
        Settings::of(words).is_some()
    }

    fn perl_args(words: &[Vec<u8>]) -> Words {
        Words(words.to_vec())
    }
}

impl Settings {
    /// None where there is no path, or a program in its place.
    fn of(words: &[Vec<u8>]) -> Option<Settings> {
        let mut settings = Settings {
            level: LOGWARN,
            splits: true,
            reopens: false,
            form: FORM.to_owned(),
            path: String::new(),
        };
        let mut rest = words;
        while let Some((word, behind)) = rest.split_first() {
            let value = || {
                let (value, behind) = behind.split_first()?;
                Some((String::from_utf8_lossy(value).into_owned(), behind))
            };
            rest = match &word.to_ascii_lowercase()[..] {
                b"loglevel" => {
                    let (value, behind) = value()?;
                    settings.level = level(&value).unwrap_or(settings.level);
                    behind
                }
                b"tsformat" => {
                    let (value, behind) = value()?;
                    settings.form = value;
                    behind
                }
                b"nosplit" => {
                    settings.splits = false;
                    behind
                }
                b"reopen" => {
                    settings.reopens = true;
                    behind
                }
                _ => break,
            };
        }
        let path = rest.join(&b' ');
        let is_path = !path.is_empty() && path != b"0" && !path.starts_with(b"|");
        settings.path = String::from_utf8(path).ok().filter(|_| is_path)?;
        Some(settings)
    }
}

/// A number, or a name such as LOGINFO; of a name that is none it is LOGWARN.
fn level(value: &str) -> Option<u8> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(u8::MAX));
    }
    const NAMES: [&str; 8] = [
        "EMERG", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG",
    ];
    let name = value.strip_prefix("LOG").filter(|name| !name.is_empty())?;
    if name == "RADAR" {
        return Some(0);
    }
    let known = NAMES.iter().position(|known| *known == name);
    Some(
        known
            .and_then(|at| u8::try_from(at).ok())
            .unwrap_or(LOGWARN),
    )
}

/// A time as Perl's `localtime` has it as a text.
pub(in crate::plugins) fn local_time(time: i64, zone: &Zone) -> String {
    strftime::format("%a %b %e %T %Y", time, zone)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

impl LoggingFile {
    fn connect(&self, cx: &mut Cx<'_>) -> HookResult {
        let notes = cx.envelope().notes();
        notes.set(LOGGED, 0);
        notes.set(REOPENED, 0);
        self.sessions.set(self.sessions.get() + 1);
        let (number, count) = (cx.log_number(), self.sessions.get());
        notes.set(SESSION, format!("{:08}-{number:04}-{count}", now()));
        declined()
    }

    fn log(&self, cx: &mut LoggingCx<'_>) -> HookResult {
        let is_own = cx.said_by() == Some(cx.plugin_name().as_bytes());
        if cx.level() > self.settings.level || is_own {
            return declined();
        }
        let notes = cx.envelope().notes();
        let mut open = self.open.borrow_mut();
        if open.is_none() || self.settings.splits || !notes.is_true(LOGGED) {
            if let Err(text) = self.open(&mut open, &notes) {
                self.tell(cx, text);
                return declined();
            }
            notes.set(LOGGED, 1);
        }
        let time = strftime::format(&self.settings.form, now(), &self.zone);
        let number = format!("[{}]: ", cx.log_number());
        let mut line = [time.as_bytes(), b" ", &self.host, number.as_bytes()].concat();
        line.extend(cx.texts().concat());
        line.push(b'\n');
        if let Some(open) = open.as_mut() {
            // There is nobody to be told.
            let _ = open.file.write_all(&line);
        }
        declined()
    }

    /// Opens the file, unless it is the one that is open. The error is the path and why it cannot be opened.
    fn open(&self, open: &mut Option<Open>, notes: &NotesHandle) -> Result<(), String> {
        let word = notes.text(SESSION).filter(|_| notes.is_true(SESSION));
        let word = word.unwrap_or_else(|| "parent".to_owned());
        let path = self.settings.path.replace("%i", &word);
        let path = strftime::format(&path, now(), &self.zone);
        let is_open = open.as_ref().is_some_and(|open| open.path == path);
        let stays_open = !self.settings.reopens || notes.is_true(REOPENED);
        if is_open && stays_open {
            return Ok(());
        }
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.map_err(|error| format!("{path}: {}", reason(&error)))?;
        *open = Some(Open { path, file });
        notes.set(REOPENED, 1);
        Ok(())
    }

    /// Tells of a path once, on standard error, as the log is what does not work.
    fn tell(&self, cx: &LoggingCx<'_>, text: String) {
        if *self.failed.borrow() == text {
            return;
        }
        let line = format!(
            "{} {}: Error opening log output to path {text}",
            cx.log_number(),
            cx.plugin_name()
        );
        crate::log::write_line(crate::log::LOGERROR, line.into_bytes());
        self.failed.replace(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(line: &str) -> Option<Settings> {
        let words: Vec<Vec<u8>> = line.split_whitespace().map(|word| word.into()).collect();
        Settings::of(&words)
    }

    #[test]
    fn a_line_is_words_and_a_path() {
        let all = settings("LogLevel LOGINFO nosplit reopen tsformat %s /log/a b").unwrap();
        assert_eq!((all.level, all.splits, all.reopens), (6, false, true));
        assert_eq!((&*all.form, &*all.path), ("%s", "/log/a b"));
        let plain = settings("/log").unwrap();
        assert_eq!((plain.level, &*plain.form), (LOGWARN, FORM));
        for (word, number) in [
            ("7", 7),
            ("LOGNONSENSE", LOGWARN),
            ("odd", LOGWARN),
            ("LOGRADAR", 0),
        ] {
            let line = format!("loglevel {word} /log");
            assert_eq!(settings(&line).unwrap().level, number, "{word}");
        }
        for line in ["", "loglevel", "loglevel 7", "reopen", "|program", "0"] {
            assert_eq!(settings(line), None, "{line}");
        }
    }
}
