//! The log in JSON: an object a line, written whole, so that the lines of several processes do not mix.
//! docs/log.md has the schema, which only grows. Does not know where stderr leads.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::levels::{LOGDEBUG, LOGINFO, level};
use super::trace::{CameTo, Event, Whose};
use super::written_out::shown;

/// The names of levels from 0, without their `LOG`.
const LEVELS: [&str; 8] = [
    "EMERG", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG",
];

/// Writes an event, unless it is only for LOGDEBUG and that is not wanted.
pub(super) fn write(whose: &Whose<'_>, event: &Event<'_>) {
    if !is_wanted(event) {
        return;
    }
    let mut object = Map::new();
    if !whose.connection.is_empty() {
        object.insert("id".into(), whose.connection.into());
        if whose.transaction > 0 {
            let id = format!("{}.{}", whose.connection, whose.transaction);
            object.insert("transaction".into(), id.into());
        }
        object.insert("ip".into(), text(whose.ip));
    }
    object.extend(fields(event));
    let level = match event {
        Event::Line { level, .. } => *level,
        _ => LOGINFO,
    };
    put(level, object);
}

/// Writes a line that is nobody's session's, or one of a session that is known by its number.
pub(super) fn write_service(number: Option<u32>, level: u8, text: &str) {
    let mut object = Map::new();
    if let Some(number) = number {
        object.insert("session".into(), number.into());
    }
    object.insert("event".into(), "service".into());
    object.insert("level".into(), level_name(level).into());
    object.insert("text".into(), text.into());
    put(level, object);
}

/// A refusal is always told; that a plugin had no say, or that a command was taken, is for who looks closely.
fn is_wanted(event: &Event<'_>) -> bool {
    let closely = level() >= LOGDEBUG;
    match event {
        Event::Line { level: of, .. } => *of <= level(),
        Event::Said { came_to, .. } => {
            closely || !matches!(came_to, CameTo::Verdict("DECLINED", _))
        }
        Event::Replied { code, command, .. } => {
            // Who sends, and what became of the message.
            let verb = command.and_then(|line| line.get(..4)).unwrap_or_default();
            let of_message =
                verb.eq_ignore_ascii_case(b"mail") || verb.eq_ignore_ascii_case(b"data");
            closely || *code >= 400 || of_message && *code < 300
        }
        _ => true,
    }
}

fn put(level: u8, mut object: Map<String, Value>) {
    object.insert("time".into(), time(SystemTime::now()).into());
    object.insert("pid".into(), std::process::id().into());
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    super::stderr::write(level, line.as_bytes());
}

fn level_name(level: u8) -> &'static str {
    LEVELS.get(usize::from(level)).copied().unwrap_or("DEBUG")
}

fn text(bytes: &[u8]) -> Value {
    let shown = shown(bytes);
    let bytes = shown.as_deref().unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn fields(event: &Event<'_>) -> Map<String, Value> {
    let object = match event {
        Event::Connected {
            ip,
            port,
            host,
            local_ip,
            local_port,
        } => json!({
            "event": "connect", "ip": text(ip), "port": port, "host": text(host),
            "local_ip": text(local_ip), "local_port": local_port,
        }),
        Event::Said {
            hook,
            plugin,
            native,
            came_to,
            took,
        } => {
            let (verdict, said) = came_to.parts();
            let mut object = json!({
                "event": "plugin", "hook": hook, "plugin": text(plugin), "native": native,
                "verdict": verdict, "ms": milliseconds(*took),
            });
            if let Some(said) = said {
                object["text"] = text(said);
            }
            object
        }
        Event::Replied {
            code,
            stage,
            lines,
            command,
        } => {
            let lines: Vec<Value> = lines.iter().map(|line| text(line)).collect();
            let mut object =
                json!({ "event": "reply", "code": code, "stage": stage, "lines": lines });
            if let Some(command) = command {
                object["command"] = text(command);
            }
            object
        }
        Event::Message {
            outcome,
            sender,
            recipients,
            size,
        } => {
            let recipients: Vec<Value> = recipients.iter().map(|to| text(to)).collect();
            json!({
                "event": "message", "outcome": outcome, "sender": text(sender),
                "recipients": recipients, "bytes": size,
            })
        }
        Event::Line {
            level,
            hook,
            plugin,
            text: said,
        } => {
            let mut object =
                json!({ "event": "line", "level": level_name(*level), "text": text(said) });
            for (name, value) in [("hook", hook), ("plugin", plugin)] {
                if let Some(value) = value {
                    object[name] = text(value);
                }
            }
            object
        }
        Event::Ended => json!({ "event": "disconnect" }),
    };
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// With three digits after the point.
fn milliseconds(time: Duration) -> f64 {
    (time.as_micros() as f64) / 1e3
}

/// UTC as RFC 3339 has it, with milliseconds.
fn time(now: SystemTime) -> String {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = super::civil_date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_utc_with_milliseconds() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_852_800_042);
        assert_eq!(time(at), "2026-11-28T08:00:00.042Z");
    }

    #[test]
    fn what_no_text_is_becomes_one() {
        let line = Event::Line {
            level: 4,
            hook: None,
            plugin: Some(b"rcpt_ok"),
            text: b"a\x1b\xff",
        };
        let expected = json!({"event": "line", "level": "WARN", "plugin": "rcpt_ok", "text": "a\\x1b\u{fffd}"});
        assert_eq!(Value::Object(fields(&line)), expected);
    }

    #[test]
    fn a_verdict_has_its_plugin_text_and_time() {
        let said = Event::Said {
            hook: "rcpt",
            plugin: b"badrcptto",
            native: false,
            came_to: CameTo::Verdict("DENY", Some(b"no")),
            took: Duration::from_micros(1234),
        };
        let expected = json!({
            "event": "plugin", "hook": "rcpt", "plugin": "badrcptto", "native": false,
            "verdict": "DENY", "text": "no", "ms": 1.234,
        });
        assert_eq!(Value::Object(fields(&said)), expected);
    }
}
