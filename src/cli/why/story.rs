//! What the log says of connections, put together: those that are about what was asked are printed when they
//! end. Does not read files.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Map, Value};

/// What is asked for.
enum Asked {
    /// A connection.
    Connection(String),
    /// One mail transaction of it.
    Transaction(String),
    /// A word of an event: an address or a name, in small letters.
    Word(String),
}

/// The connections that are open at this point of the log.
pub(super) struct Stories {
    asked: Asked,
    json: bool,
    open: HashMap<String, Story>,
    told: usize,
}

#[derive(Default)]
struct Story {
    events: Vec<(Map<String, Value>, Vec<u8>)>,
    is_asked_for: bool,
}

impl Stories {
    pub(super) fn new(what: &str, json: bool) -> Stories {
        Stories {
            asked: asked(what),
            json,
            open: HashMap::new(),
            told: 0,
        }
    }

    /// How many connections were printed.
    pub(super) fn told(&self) -> usize {
        self.told
    }

    /// The next line of the log.
    pub(super) fn take(
        &mut self,
        event: &Map<String, Value>,
        line: &[u8],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Some(id) = event.get("id").and_then(Value::as_str) else {
            return Ok(());
        };
        if let Asked::Connection(asked) = &self.asked
            && asked != id
        {
            return Ok(());
        }
        let story = self.open.entry(id.to_owned()).or_default();
        story.is_asked_for |= self.asked.is_about(event);
        // Where lines are asked for, they are kept beside.
        let line = if self.json { line.to_vec() } else { Vec::new() };
        story.events.push((event.clone(), line));
        if text(event, "event") == "disconnect"
            && let Some(story) = self.open.remove(id)
        {
            self.tell(id, &story, out)?;
        }
        Ok(())
    }

    /// The log has come to its end: connections that have not are printed, too.
    pub(super) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut rest: Vec<(String, Story)> = self.open.drain().collect();
        let began = |story: &Story| {
            let first = story.events.first();
            first.map_or(String::new(), |(event, _)| text(event, "time").to_owned())
        };
        rest.sort_by_key(|(_, story)| began(story));
        for (id, story) in rest {
            self.tell(&id, &story, out)?;
        }
        Ok(())
    }

    fn tell(&mut self, id: &str, story: &Story, out: &mut impl Write) -> io::Result<()> {
        if !story.is_asked_for {
            return Ok(());
        }
        let only = match &self.asked {
            Asked::Transaction(asked) => Some(asked.as_str()),
            _ => None,
        };
        if self.told > 0 && !self.json {
            writeln!(out)?;
        }
        self.told += 1;
        if !self.json {
            writeln!(out, "connection {id}")?;
        }
        let mut last = "";
        for (event, line) in &story.events {
            let transaction = text(event, "transaction");
            let is_whole = matches!(text(event, "event"), "connect" | "disconnect");
            if only.is_some_and(|only| transaction != only && !is_whole) {
                continue;
            }
            if self.json {
                out.write_all(line)?;
                continue;
            }
            if !transaction.is_empty() && transaction != last && !is_whole {
                writeln!(out, "transaction {transaction}")?;
                last = transaction;
            }
            writeln!(out, "  {} {}", clock(text(event, "time")), said(event))?;
        }
        Ok(())
    }
}

fn asked(what: &str) -> Asked {
    let is_id = |text: &str| {
        text.split_once('-').is_some_and(|(number, rest)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    if is_id(what) {
        return Asked::Connection(what.to_owned());
    }
    if let Some((id, number)) = what.rsplit_once('.')
        && is_id(id)
        && number.parse::<u32>().is_ok()
    {
        return Asked::Transaction(what.to_owned());
    }
    let word = what.trim_start_matches('<').trim_end_matches('>');
    Asked::Word(word.to_lowercase())
}

impl Asked {
    fn is_about(&self, event: &Map<String, Value>) -> bool {
        match self {
            Asked::Connection(_) => true,
            Asked::Transaction(id) => text(event, "transaction") == id,
            Asked::Word(word) => {
                let same = |text: &str| text.to_lowercase() == *word;
                let in_brackets = |text: &str| {
                    let inner = text
                        .rsplit_once('<')
                        .and_then(|(_, rest)| rest.split_once('>'));
                    inner.is_some_and(|(path, _)| same(path))
                };
                let recipients = event.get("recipients").and_then(Value::as_array);
                let mut recipients = recipients.into_iter().flatten().filter_map(Value::as_str);
                ["ip", "host"].iter().any(|name| same(text(event, name)))
                    || ["sender", "command"]
                        .iter()
                        .any(|name| in_brackets(text(event, name)))
                    || recipients.any(in_brackets)
            }
        }
    }
}

fn text<'a>(event: &'a Map<String, Value>, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `2026-11-28T08:07:42.871Z` without its letters.
fn clock(time: &str) -> String {
    time.trim_end_matches('Z').replacen('T', " ", 1)
}

/// An event in words.
fn said(event: &Map<String, Value>) -> String {
    let number = |name| event.get(name).cloned().unwrap_or(Value::Null);
    let list = |name: &str| -> Vec<&str> {
        let list = event.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    match text(event, "event") {
        "connect" => format!(
            "from {} [{}]:{} to [{}]:{}",
            text(event, "host"),
            text(event, "ip"),
            number("port"),
            text(event, "local_ip"),
            number("local_port")
        ),
        "plugin" => {
            let native = match event.get("native") == Some(&Value::Bool(true)) {
                true => "native/",
                false => "",
            };
            let mut line = format!(
                "{}: {native}{} said {} in {} ms",
                text(event, "hook"),
                text(event, "plugin"),
                text(event, "verdict"),
                number("ms")
            );
            let words = text(event, "text");
            if !words.is_empty() {
                line += &format!(": {words}");
            }
            line
        }
        "reply" => {
            let saw = list("lines").join(" / ");
            match text(event, "command") {
                "" => format!("the client saw: {saw}"),
                command => format!("to {command}, the client saw: {saw}"),
            }
        }
        "message" => format!(
            "the message from {} to {}, {} bytes, was {}",
            text(event, "sender"),
            list("recipients").join(", "),
            number("bytes"),
            match text(event, "outcome") {
                "none" => "not wanted by any plugin",
                "done" => "seen to by a plugin, reply included",
                outcome => outcome,
            }
        ),
        "disconnect" => "the end".to_owned(),
        _ => {
            let words = text(event, "text");
            match text(event, "plugin") {
                "" => format!("log: {words}"),
                plugin => format!("log of {plugin}: {words}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(what: &str, events: &[Value]) -> String {
        let mut stories = Stories::new(what, false);
        let mut out = Vec::new();
        for event in events {
            let Value::Object(event) = event else {
                panic!("no object")
            };
            stories.take(event, b"", &mut out).unwrap();
        }
        stories.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn log() -> Vec<Value> {
        let at = |second: u32| format!("2026-11-28T08:00:0{second}.000Z");
        vec![
            json!({"event": "connect", "id": "1-a", "time": at(0), "ip": "192.0.2.7", "host": "mx.example.org",
                "port": 4711, "local_ip": "192.0.2.1", "local_port": 25}),
            json!({"event": "connect", "id": "2-a", "time": at(0), "ip": "192.0.2.8", "host": "Unknown",
                "port": 4712, "local_ip": "192.0.2.1", "local_port": 25}),
            json!({"event": "plugin", "id": "1-a", "transaction": "1-a.1", "time": at(1), "hook": "rcpt",
                "plugin": "rcpt_ok", "native": false, "verdict": "DENY", "text": "no", "ms": 0.4}),
            json!({"event": "reply", "id": "1-a", "transaction": "1-a.1", "time": at(1), "code": 550,
                "command": "RCPT TO:<Joe@example.com>", "lines": ["550 no"]}),
            json!({"event": "service", "text": "reloaded", "time": at(1)}),
            json!({"event": "message", "id": "1-a", "transaction": "1-a.2", "time": at(2), "outcome": "queued",
                "sender": "<a@b.example>", "recipients": ["<x@example.com>"], "bytes": 12}),
            json!({"event": "disconnect", "id": "1-a", "time": at(3), "transaction": "1-a.2"}),
        ]
    }

    #[test]
    fn a_connection_is_told_from_its_beginning_to_its_end() {
        let expected = "\
connection 1-a
  2026-11-28 08:00:00.000 from mx.example.org [192.0.2.7]:4711 to [192.0.2.1]:25
transaction 1-a.1
  2026-11-28 08:00:01.000 rcpt: rcpt_ok said DENY in 0.4 ms: no
  2026-11-28 08:00:01.000 to RCPT TO:<Joe@example.com>, the client saw: 550 no
transaction 1-a.2
  2026-11-28 08:00:02.000 the message from <a@b.example> to <x@example.com>, 12 bytes, was queued
  2026-11-28 08:00:03.000 the end
";
        for what in [
            "1-a",
            "192.0.2.7",
            "MX.example.org",
            "joe@example.com",
            "<a@b.example>",
        ] {
            assert_eq!(told(what, &log()), expected, "{what}");
        }
    }

    #[test]
    fn of_a_transaction_the_others_are_not_told() {
        let told = told("1-a.2", &log());
        assert!(told.contains("was queued"), "{told}");
        assert!(!told.contains("rcpt_ok"), "{told}");
    }

    #[test]
    fn one_that_has_not_ended_is_told_as_far_as_it_came() {
        let told = told("192.0.2.8", &log());
        assert_eq!(told.lines().count(), 2, "{told}");
    }

    #[test]
    fn what_nobody_said_is_not_found() {
        assert_eq!(told("nobody@example.com", &log()), "");
    }
}
