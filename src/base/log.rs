//! The log of the Rust side: tracing events as the lines that the original writes to stderr
//! (`PID text`, where a session's number stands for PID), filtered by the config's loglevel. What plugins log goes its own way, through
//! the logging hook.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

pub use super::levels::{
    DEFAULT_LEVEL, LOGALERT, LOGCRIT, LOGDEBUG, LOGERROR, LOGINFO, LOGNOTICE, LOGWARN, set_level,
};
pub use super::written_out::shown;
use super::written_out::without_controls;
use super::{journal, levels, stderr, trace};

/// The target that makes an INFO event one of LOGNOTICE, for which tracing has no level.
pub const NOTICE: &str = "camelpost::notice";

/// The target that makes an INFO event one of LOGWARN, which is shown by default: the service's own life.
pub const SERVICE: &str = "camelpost::service";

/// What the lines of a session begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogPid {
    /// Its number, as plugins have it for their process id.
    #[default]
    Session,
    /// The id of the process that it runs in.
    Worker,
}

/// How this process's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines as qpsmtpd has them.
    #[default]
    Text,
    /// An object a line, with what happens in sessions beside.
    Json,
}

/// LogFormat::Json.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// LogPid::Worker.
static NAMES_WORKERS: AtomicBool = AtomicBool::new(false);

/// The number of the session that plugins run for in this process; 0: none.
static SESSION: AtomicU32 = AtomicU32::new(0);

/// Says how the log is written.
pub fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    if format == LogFormat::Json {
        trace::turn_on(journal::write);
    }
}

/// Whether the log is in JSON. What a session logs is told to base/trace.rs then, and is not to be written
/// once more.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Says what the lines of sessions begin with.
pub fn set_log_pid(log_pid: LogPid) {
    NAMES_WORKERS.store(log_pid == LogPid::Worker, Ordering::Relaxed);
}

pub fn log_pid() -> LogPid {
    match NAMES_WORKERS.load(Ordering::Relaxed) {
        true => LogPid::Worker,
        false => LogPid::Session,
    }
}

/// What happens in this process from now on happens in this session.
pub fn set_session(number: Option<u32>) {
    SESSION.store(number.unwrap_or_default(), Ordering::Relaxed);
}

/// What a line begins with that belongs to a session of this number, or to none.
pub fn first_word(session: Option<u32>) -> u32 {
    let number = session.filter(|_| log_pid() == LogPid::Session);
    number.unwrap_or_else(std::process::id)
}

/// Writes a line of the log to stderr, at a level. What a client has sent may be in it: control characters stand as
/// `\\xNN`, so that they reach no terminal. A LF is a plugin's own; a TAB, or a CR before a LF, does no harm.
pub fn write_line(level: u8, mut line: Vec<u8>) {
    line.push(b'\n');
    if let Some(shown) = shown(&line) {
        line = shown;
    }
    if is_json() {
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        // The first word is this process, or a session.
        let rest = text.split_once(' ').map_or(&*text, |(_, rest)| rest);
        return journal::write_service(None, level, rest);
    }
    let kept = KEPT.with_borrow_mut(|kept| {
        let kept = kept.as_mut()?;
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        // The first word is a number that says nothing here.
        let text = text.split_once(' ').map(|(_, rest)| rest.to_owned());
        kept.extend(text);
        Some(())
    });
    if kept.is_none() {
        stderr::write(level, &line);
    }
}

thread_local! {
    /// The lines of this thread, where they are kept instead of written.
    static KEPT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

thread_local! {
    /// This thread's events, where somebody else is to have them too.
    static RELAYED: RefCell<Option<Vec<(u8, String)>>> = const { RefCell::new(None) };
}

fn is_relayed() -> bool {
    RELAYED.with_borrow(Option::is_some)
}

/// This thread's events up to LOGINFO are kept from now on, beside being written.
pub(crate) fn relay() {
    RELAYED.set(Some(Vec::new()));
}

/// Those that came since, each with its level.
pub(crate) fn take_relayed() -> Vec<(u8, String)> {
    RELAYED.with_borrow_mut(|relayed| relayed.as_mut().map(std::mem::take).unwrap_or_default())
}

/// This thread's lines are kept from now on, for tests of plugins.
pub(crate) fn keep_lines() {
    KEPT.set(Some(Vec::new()));
}

/// The lines that were kept; those to come are written again.
pub(crate) fn take_lines() -> Vec<String> {
    KEPT.take().unwrap_or_default()
}

/// Writes this process's events to stderr from now on. Only the first call counts.
pub fn init() {
    let subscriber = tracing_subscriber::registry().with(Lines);
    // An error means that there is a subscriber already, which is then meant.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// qpsmtpd's number for an event.
fn level_of(metadata: &Metadata<'_>) -> u8 {
    match *metadata.level() {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO if metadata.target() == SERVICE => LOGWARN,
        Level::INFO if metadata.target() == NOTICE => LOGNOTICE,
        Level::INFO => 6,
        _ => 7,
    }
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Libraries tell much at levels that mean something else to a mail administrator.
        if metadata.target().starts_with("camelpost") || *metadata.level() == Level::ERROR {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = level_of(metadata);
        level <= levels::level() || level <= LOGINFO && is_relayed()
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = format!("{}{}", text.message, text.fields);
        let level = level_of(event.metadata());
        RELAYED.with_borrow_mut(|relayed| {
            if let Some(relayed) = relayed {
                relayed.push((level, text.clone()));
            }
        });
        if level > levels::level() {
            return;
        }
        let session = Some(SESSION.load(Ordering::Relaxed)).filter(|number| *number > 0);
        if is_json() {
            return journal::write_service(session, level, text.trim_end());
        }
        // One write, so that the lines of several processes do not mix. A log that cannot be
        // written is nothing that could be logged.
        stderr::write(level, lines(first_word(session), &text).as_bytes());
    }
}

fn lines(pid: u32, text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 16);
    for line in text.trim_end().lines() {
        let shown = without_controls(line.as_bytes());
        let _ = writeln!(lines, "{pid} {}", String::from_utf8_lossy(&shown));
    }
    lines
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_with_the_pid_as_in_the_original() {
        assert_eq!(
            lines(12, "Listening on [::]:2525"),
            "12 Listening on [::]:2525\n"
        );
        assert_eq!(lines(12, "one\ntwo\n"), "12 one\n12 two\n");
        assert_eq!(lines(12, "x\x07"), "12 x\\x07\n");
    }
}
