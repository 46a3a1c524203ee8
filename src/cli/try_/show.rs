//! How a trial is shown: on a terminal in colours, else plainly, or as an object a line. Does not know what it means.

use std::io::{IsTerminal, Write as _};

use serde_json::{Value, json};

use super::play::{HUNG_UP, Heard};
use super::summary::Summary;
use crate::base::log::{LOGERROR, LOGWARN, shown};
use crate::base::trial::{Call, Change, Line, Told};

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const DIM: &str = "2";

/// The names of levels from 0.
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

pub(super) struct Show {
    json: bool,
    colours: bool,
}

impl Show {
    pub(super) fn new(json: bool) -> Show {
        let out = std::io::stdout();
        Show {
            json,
            colours: !json && out.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Shows what came of a command.
    pub(super) fn heard(&self, heard: &Heard) {
        let text = match self.json {
            true => as_json(heard),
            false => self.as_text(heard),
        };
        put(&text);
    }

    pub(super) fn summary(&self, summary: &Summary) {
        if self.json {
            let mut object = json!(summary);
            object["event"] = "summary".into();
            object["accepted"] = summary.is_accepted().into();
            return put(&format!("{object}\n"));
        }
        let mut text = String::from("\n");
        for refusal in &summary.refusals {
            let line = format!("refused: {}", refusal.text());
            text += &format!("{}\n", self.paint(RED, &clean(&line)));
        }
        for failure in &summary.failures {
            let line = format!("failed: {}", failure.text());
            text += &format!("{}\n", self.paint(YELLOW, &clean(&line)));
        }
        if summary.is_accepted() {
            let reached = match (summary.messages, &summary.reached) {
                (0, Some(command)) => format!("accepted as far as it was tried: {command}"),
                _ => "accepted up to the queue".to_owned(),
            };
            text += &format!("{}\n", self.paint(GREEN, &clean(&reached)));
        }
        if !summary.would_go_to.is_empty() {
            let plugins = summary.would_go_to.join(", ");
            text += &format!(
                "the message would go to: {}; nothing is queued without --queue\n",
                clean(&plugins)
            );
        }
        put(&text);
    }

    fn as_text(&self, heard: &Heard) -> String {
        let mut text = String::new();
        if let Some(command) = &heard.command {
            text += &format!("\n{}\n", self.paint(BOLD, &format!("> {}", clean(command))));
        }
        let colour = match heard.code() {
            Some(code) if code < 400 => GREEN,
            Some(code) if code < 500 => YELLOW,
            _ => RED,
        };
        for line in &heard.reply {
            text += &format!("{}\n", self.paint(colour, &format!("< {}", clean(line))));
        }
        if heard.reply.is_empty() && heard.command.as_deref().is_some_and(|word| word != HUNG_UP) {
            text += &format!("{}\n", self.paint(colour, "(no reply)"));
        }
        for told in &heard.told {
            match told {
                Told::Connected { ip, host } => text += &format!("  client {ip} ({host})\n"),
                Told::Plugin(call) => self.call(&mut text, call),
                Told::Line(line) if line.level <= LOGWARN => {
                    text += &format!("  {}\n", self.line(line))
                }
                Told::NotQueued { plugins } => {
                    text += &format!("  not queued; it would go to: {}\n", plugins.join(", "));
                }
                Told::Assumed { text: assumed } => text += &format!("  assumed: {assumed}\n"),
                _ => {}
            }
        }
        text
    }

    fn call(&self, text: &mut String, call: &Call) {
        let colour = match &*call.verdict {
            "OK" | "DONE" => GREEN,
            "DECLINED" => DIM,
            "DENYSOFT" | "DENYSOFT_DISCONNECT" => YELLOW,
            _ => RED,
        };
        let said = match &call.text {
            Some(said) => format!("  {said}"),
            None => String::new(),
        };
        *text += &format!(
            "  {:<18} {:<24} {}{said}  {}\n",
            call.hook,
            call.plugin,
            self.paint(colour, &call.verdict),
            self.paint(DIM, &format!("{:.1} ms", call.ms)),
        );
        // What the server says of each call is seen here otherwise.
        let lines = call.lines.iter();
        let lines = lines.filter(|line| line.plugin.is_some() || line.level <= LOGWARN);
        let lines: Vec<String> = lines.map(|line| self.line(line)).collect();
        // A warning in a loop says the same a thousand times.
        for same in lines.chunk_by(|one, next| one == next) {
            *text += &format!("      {}\n", same[0]);
            if same.len() > 1 {
                let more = format!("(the same {} times more)", same.len() - 1);
                *text += &format!("      {}\n", self.paint(DIM, &more));
            }
        }
        for change in &call.changes {
            *text += &format!("      {}\n", change_text(change));
        }
    }

    fn line(&self, line: &Line) -> String {
        let level = LEVELS
            .get(usize::from(line.level))
            .copied()
            .unwrap_or("LOGDEBUG");
        let text = match &line.plugin {
            Some(plugin) => format!("{level} {plugin}: {}", line.text),
            None => format!("{level} {}", line.text),
        };
        match line.level <= LOGERROR {
            true => self.paint(RED, &text),
            false => text,
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn change_text(change: &Change) -> String {
    let sign = match &*change.what {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    };
    let name = match change.name.is_empty() {
        true => String::new(),
        false => format!(" {}", change.name),
    };
    let value = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!(": {before} -> {after}"),
        (None, Some(value)) | (Some(value), None) => format!(": {value}"),
        (None, None) => String::new(),
    };
    format!("{sign} {}{name}{value}", change.of)
}

fn as_json(heard: &Heard) -> String {
    let command = json!({
        "event": "command", "command": heard.command, "code": heard.code(), "reply": heard.reply,
    });
    let mut objects: Vec<Value> = vec![command];
    objects.extend(heard.told.iter().map(|told| json!(told)));
    objects.iter().map(|object| format!("{object}\n")).collect()
}

/// Without what would steer a terminal.
fn clean(text: &str) -> String {
    let clean = shown(text.as_bytes());
    clean.map_or_else(
        || text.to_owned(),
        |clean| String::from_utf8_lossy(&clean).into_owned(),
    )
}

/// Writes it at once: somebody may type the next command.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone wants no more.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
