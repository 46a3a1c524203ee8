//! Plays the same sessions under each flavour of each program with the probe plugin, and keeps
//! what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base64::Engine;
use camelpost::hook::Hook;
use camelpost_support::{Client, wait_for};

use super::programs::{Flavour, Service, Who, finish};
use super::site::new_site;

/// What was seen under one flavour of one program.
#[derive(Debug, Default)]
pub struct Seen {
    /// The hooks in their order, for each session.
    pub sessions: Vec<Vec<String>>,
    /// What the probe found, by the fact's name.
    pub facts: BTreeMap<String, String>,
    /// Hooks that register_hook does not take.
    pub unknown: BTreeSet<String>,
    /// How often `register` ran in all.
    pub registered: usize,
}

impl Seen {
    /// How often a hook ran in all sessions.
    pub fn count(&self, hook: &str) -> usize {
        let all = self.sessions.iter().flatten();
        all.filter(|ran| *ran == hook).count()
    }
}

type Script = fn(&mut Client);

/// The sessions by what happens in them.
pub const SESSIONS: &[(&str, Script)] = &[
    ("AUTH, a message, QUIT", whole),
    ("HELO, MAIL, and the client is gone", gone),
    ("MAIL refused with DENY_DISCONNECT", thrown_out),
];

fn whole(client: &mut Client) {
    let say = |client: &mut Client, line: &str, code: &str| {
        let reply = client.say(line);
        assert!(reply.starts_with(code), "{line}: {reply}");
    };
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    say(client, "EHLO client.example.org", "250");
    say(client, "NOOP", "250");
    say(client, "VRFY user", "252");
    say(client, "HELP", "214");
    say(client, "FROB", "500");
    say(client, "AUTH CRAM-MD5", "334");
    say(client, &encode("user 0123456789abcdef"), "535");
    say(client, "AUTH LOGIN", "334");
    say(client, &encode("user"), "334");
    say(client, &encode("secret"), "535");
    let plain = format!("AUTH PLAIN {}", encode("\0user\0secret"));
    say(client, &plain, "235");
    say(client, "MAIL FROM:<a@example.org>", "250");
    say(client, "RCPT TO:<nobody@example.com>", "550");
    say(client, "RCPT TO:<b@example.com>", "250");
    say(client, "DATA", "354");
    say(client, "Subject: x\r\n\r\nbody\r\n.", "250");
    say(client, "QUIT", "221");
}

fn gone(client: &mut Client) {
    client.say("HELO client.example.org");
    client.say("MAIL FROM:<a@example.org>");
}

fn thrown_out(client: &mut Client) {
    client.say("EHLO client.example.org");
    let reply = client.say("MAIL FROM:<bye@example.org>");
    assert!(reply.starts_with("550"), "{reply}");
}

/// Plays all sessions, and one that pre-connection refuses.
pub fn observe(who: Who, flavour: Flavour, dns: SocketAddr) -> Seen {
    let hooks: Vec<&str> = Hook::ALL.iter().map(|hook| hook.name()).collect();
    let line = format!(
        "probe @ROOT@/run/trace @ROOT@/run/refuse {}\n",
        hooks.join(" ")
    );
    let site = new_site(&line);
    let service = Service::start(who, flavour, &site, dns);
    let mut seen = Seen::default();
    let mut read = 0;
    for (name, script) in SESSIONS {
        let (mut client, process) = service.connect(&site);
        let greeting = client.reply();
        let log = || site.read("run/log");
        assert!(
            greeting.starts_with("220"),
            "{who:?} {flavour:?}: {greeting}\n{}",
            log()
        );
        script(&mut client);
        drop(client);
        finish(process);
        let what = format!("the end of `{name}` under {who:?} {flavour:?}");
        let lines = wait_for(&what, || {
            let all = site.read("run/trace");
            let new = &all[read..];
            let ended = match flavour {
                // The process has ended.
                Flavour::Inetd => true,
                // As many clients, as many of these lines.
                Flavour::Tcpserver => {
                    let ends = site.read("run/log").matches("tcpserver: end ").count();
                    ends > seen.sessions.len()
                }
                _ => new.contains("hook\tpost-connection\n"),
            };
            ended.then(|| (new.to_owned(), all.len()))
        });
        read = lines.1;
        seen.sessions.push(Vec::new());
        seen.take(&lines.0);
    }
    site.put("run/refuse", "");
    let (mut client, process) = service.connect(&site);
    let reply = client.reply();
    seen.facts
        .insert("reply to a DENY of pre-connection".to_owned(), {
            let refused = !reply.starts_with("220");
            if refused { reply } else { "–".to_owned() }
        });
    client.say("QUIT");
    drop(client);
    finish(process);
    seen
}

impl Seen {
    fn take(&mut self, lines: &str) {
        for line in lines.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            match words[..] {
                ["register"] => self.registered += 1,
                ["unknown", hook] => {
                    self.unknown.insert(hook.to_owned());
                }
                ["hook", hook] => {
                    if let Some(session) = self.sessions.last_mut() {
                        session.push(hook.to_owned());
                    }
                }
                ["fact", name, ..] => {
                    let value = words.get(2).map_or("undef", |value| *value);
                    // What the machine's resolver makes of 127.0.0.1.
                    let is_name = ["remote_host at connect", "remote_info at connect"]
                        .contains(&name)
                        && !value.starts_with('[');
                    let value = if is_name { "NAME" } else { value };
                    self.facts.entry(name.to_owned()).or_insert(normal(value));
                }
                _ => panic!("not a line of the probe: {line:?}"),
            }
        }
    }
}

/// Ports, times and paths that differ from run to run get names.
fn normal(value: &str) -> String {
    let replaced = [
        (r"PORT=(\d+)", "PORT=N"),
        (r"^\d{4,5}$", "N"),
        (r"\d\d:\d\d:\d\d \d{4}-\d\d-\d\d", "TIME"),
        (r"TCPREMOTEHOST=\S+", "TCPREMOTEHOST=NAME"),
        (r" : [^\[ ]\S* : ", " : NAME : "),
        (r"^/\S*/", "/DIR/"),
        (r"^\./", "/DIR/"),
    ];
    let mut value = value.to_owned();
    for (pattern, name) in replaced {
        let pattern = regex::Regex::new(pattern).unwrap();
        value = pattern.replace_all(&value, name).into_owned();
    }
    if value.is_empty() {
        "–".to_owned()
    } else {
        value
    }
}
