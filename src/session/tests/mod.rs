//! Drives the session's machines without any I/O: a scripted client, a map for the
//! configuration and functions for the plugin chain.

mod auth;
mod close;
mod data;
mod envelope;
mod garbage;
mod greeting;
mod limits;
mod nested;
mod other;
mod queue;
mod received;
mod replaced;
mod strictness;

use std::any::Any;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::{ShowId, Strictness};
use crate::hook::{Arg, Code, Hook, HookCall, Verdict};
use crate::mail::{Connection, Foreign, Spool};
use crate::smtp::Address;
use crate::watch::QueueOutcome;

/// When all of it happens.
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// What a plugin does at a hook; `None` is no answer, as of a plugin without that hook.
type Plugin = Box<dyn FnMut(&HookCall, &State) -> Option<Verdict>>;

/// A server's configuration and plugins.
struct Server {
    settings: SessionSettings,
    config: HashMap<&'static str, String>,
    plugins: Vec<(Hook, Plugin)>,
    /// What stands in objects of the scripting language, where a test has one.
    capabilities: Vec<String>,
    cipher: Option<String>,
    parsed: Vec<Option<Vec<u8>>>,
    header: Vec<String>,
    methods: HashMap<&'static str, Own>,
    after: End,
}

/// A method that a subclass has put in the place of the session's.
type Own = Box<dyn FnMut(&[Arg]) -> Called>;

/// What the client does when it has sent everything.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Closes,
    Waits,
}

/// What was seen of a session.
struct Seen {
    /// The reply lines after each thing that the client sent; first those before anything.
    replies: Vec<Vec<String>>,
    /// Hooks and their arguments, and in between the replies' codes.
    events: Vec<String>,
    log: Vec<(u8, String)>,
    asked: Vec<&'static str>,
    /// Whether each read was one within a message.
    in_message: Vec<bool>,
    timeouts: Vec<Duration>,
    queued: Vec<QueueOutcome>,
    outcome: Outcome,
}

fn server() -> Server {
    Server {
        settings: SessionSettings {
            profile: Profile::V094,
            keeps_received: false,
            me: b"host.example".to_vec(),
            product: PRODUCT,
            version: "0.1".into(),
            spool: Rc::new(Spool::default()),
            auth_mechanisms: Vec::new(),
            zone: Default::default(),
            data_min_rate: 0,
            recipient_limit: 0,
            limits: Default::default(),
            forbidden_commands: Vec::new(),
            timeout: Duration::from_secs(1200),
            strictness: Strictness::default(),
            show_id: ShowId::default(),
        },
        config: HashMap::from([("me", "mx.example.com".to_string())]),
        plugins: Vec::new(),
        capabilities: Vec::new(),
        cipher: None,
        parsed: Vec::new(),
        header: Vec::new(),
        methods: HashMap::new(),
        after: End::Closes,
    }
}

/// A server that takes any recipient and queues.
fn mail_server() -> Server {
    server()
        .on(Hook::Rcpt, Code::Ok, "")
        .on(Hook::Queue, Code::Ok, "Queued! x")
        .on(Hook::QueuePost, Code::Ok, "")
}

/// What a client says up to and with DATA.
const ENVELOPE: [&str; 4] = [
    "EHLO c\r\n",
    "MAIL FROM:<a@b>\r\n",
    "RCPT TO:<c@d>\r\n",
    "DATA\r\n",
];
const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n.\r\n";

/// The first `n` of ENVELOPE, then `rest`.
fn after<'a>(n: usize, rest: &[&'a str]) -> Vec<&'a str> {
    ENVELOPE[..n].iter().chain(rest).copied().collect()
}

impl Server {
    fn profile(mut self, profile: Profile) -> Server {
        self.settings.profile = profile;
        self.settings.keeps_received = profile == Profile::V100;
        self
    }

    fn config(mut self, name: &'static str, value: impl ToString) -> Server {
        self.config.insert(name, value.to_string());
        self
    }

    fn mechanisms(mut self, names: &[&'static str]) -> Server {
        self.settings.auth_mechanisms = names.to_vec();
        self
    }

    /// The wire form as leniently as the original has it.
    fn leniently(self) -> Server {
        self.strictly(Strictness::ORIGINAL)
    }

    fn strictly(mut self, strictness: Strictness) -> Server {
        self.settings.strictness = strictness;
        self
    }

    fn end(mut self, end: End) -> Server {
        self.after = end;
        self
    }

    /// A plugin that always answers so. `|` parts the values; none are given for "".
    fn on(self, hook: Hook, code: Code, values: &'static str) -> Server {
        self.plugin(hook, move |_, _| Some(verdict(code.clone(), values)))
    }

    /// A plugin that looks at the session before it answers.
    fn plugin(
        mut self,
        hook: Hook,
        plugin: impl FnMut(&HookCall, &State) -> Option<Verdict> + 'static,
    ) -> Server {
        self.plugins.push((hook, Box::new(plugin)));
        self
    }

    /// A plugin that only does something.
    fn doing(self, hook: Hook, mut what: impl FnMut(&State) + 'static) -> Server {
        self.plugin(hook, move |_, state| {
            what(state);
            None
        })
    }

    /// A parser for a parse hook, which returns these values.
    fn parser(mut self, hook: Hook, values: &[&str]) -> Server {
        self.parsed = values.iter().map(|v| Some(v.as_bytes().into())).collect();
        self.plugin(hook, |_, _| {
            let parser: Box<dyn Foreign> = Box::new(Fake);
            Some(Verdict {
                parser: Some(parser),
                ..Verdict::new(Code::Ok)
            })
        })
    }

    fn state(&self) -> Rc<State> {
        let connection = Connection::default();
        connection.remote_ip.replace(Some(b"192.0.2.1".to_vec()));
        connection.remote_port.set(Some(4000));
        connection.local_ip.replace(Some(b"192.0.2.2".to_vec()));
        connection.local_port.set(Some(25));
        let neighbours = Neighbours {
            max_conn_ip: 5,
            child_addrs: vec![vec![127, 0, 0, 1]],
        };
        let settings = Rc::new(self.settings.clone());
        let state = State::new(settings, connection, Some(neighbours), NOW);
        let replaced = |method: &&Method| self.methods.contains_key(method.name());
        let replaced = Method::ALL.iter().filter(replaced).copied();
        state.replaced.set(replaced.collect());
        Rc::new(state)
    }

    /// A whole session with a client that sends these things, each after a reply.
    fn talk<T: AsRef<[u8]>>(self, sends: &[T]) -> Seen {
        let state = self.state();
        self.run(&state, conversation(state.clone()), sends)
    }

    fn run<T: AsRef<[u8]>>(mut self, state: &Rc<State>, machine: Machine, sends: &[T]) -> Seen {
        let mut sends = sends.iter();
        self.drive(state, machine, &mut || {
            sends.next().map(|s| s.as_ref().to_vec())
        })
    }

    fn drive(
        &mut self,
        state: &Rc<State>,
        mut machine: Machine,
        next: &mut dyn FnMut() -> Option<Vec<u8>>,
    ) -> Seen {
        let mut seen = Seen {
            replies: vec![Vec::new()],
            events: Vec::new(),
            log: Vec::new(),
            asked: Vec::new(),
            in_message: Vec::new(),
            timeouts: Vec::new(),
            queued: Vec::new(),
            outcome: Outcome::Closed,
        };
        let mut step = machine.start();
        loop {
            let answered = match step {
                Step::Finished(outcome) => {
                    seen.outcome = outcome;
                    return seen;
                }
                Step::Read { timeout, to } => {
                    seen.timeouts.push(timeout);
                    seen.in_message.push(state.in_message.get());
                    match next() {
                        Some(bytes) => {
                            seen.replies.push(Vec::new());
                            state.input.borrow_mut().push(&bytes);
                            to.give(ReadEvent::Bytes)
                        }
                        None if self.after == End::Closes => to.give(ReadEvent::Eof),
                        None => to.give(ReadEvent::TimedOut),
                    }
                }
                Step::Reply(reply, to) => {
                    let mut wire = Vec::new();
                    reply.encode(&mut wire);
                    let wire = String::from_utf8_lossy(&wire).into_owned();
                    assert!(wire.ends_with("\r\n"), "{wire:?}");
                    let lines = wire.trim_end_matches("\r\n").split("\r\n");
                    seen.events.push(reply.code.to_string());
                    if let Some(replies) = seen.replies.last_mut() {
                        replies.extend(lines.map(str::to_string));
                    }
                    to.done()
                }
                Step::Config(name, to) => {
                    seen.asked.push(name);
                    let value = self.config.get(name);
                    to.give(value.iter().map(|v| v.as_bytes().to_vec()).collect())
                }
                Step::Hook(call, to) => {
                    seen.events.push(show(&call));
                    to.give(self.decide(&call, state))
                }
                Step::Parse { verb, rest, to, .. } => {
                    let text = [&b"parser "[..], &verb, b" ", &rest].concat();
                    seen.events.push(String::from_utf8_lossy(&text).into());
                    let values = self.parsed.iter().cloned();
                    to.give(values.map(|v| v.map_or(Arg::Undef, Arg::Bytes)).collect())
                }
                Step::Call(call, to) => {
                    let args: Vec<_> = call.args.iter().map(show_arg).collect();
                    let name = call.method.name();
                    seen.events.push(format!("${name}({})", args.join(", ")));
                    to.give(self.called(&call))
                }
                Step::Log { level, text, to } => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    seen.log.push((level, text));
                    to.done()
                }
                Step::AddHeader { name, value, to } => {
                    let value = String::from_utf8_lossy(&value).into_owned();
                    self.header.insert(0, format!("{name}: {value}"));
                    seen.events.push(format!("add {name}"));
                    to.done()
                }
                Step::RenameHeader { old, new, to } => {
                    seen.events.push(format!("rename {old} {new}"));
                    to.done()
                }
                Step::GetHeader(name, to) => {
                    let start = format!("{name}:");
                    let values = self.header.iter();
                    let values = values.filter_map(|field| field.strip_prefix(&start));
                    to.give(values.map(|v| v.as_bytes().to_vec()).collect())
                }
                Step::Capabilities(to) => {
                    let lines = self.capabilities.iter();
                    to.give(lines.map(|line| line.clone().into_bytes()).collect())
                }
                Step::Canonify(path, to) => to.give(Address::canonify(&path)),
                Step::Cipher(to) => to.give(self.cipher.clone().map(String::into_bytes)),
                Step::LookUpClient(to) => {
                    let connection = state.connection.borrow();
                    connection.remote_host.replace(Some(b"Unknown".to_vec()));
                    connection.remote_info.replace(Some(b"Unknown".to_vec()));
                    to.done()
                }
                Step::Queued(outcome, _, to) => {
                    seen.queued.push(outcome);
                    to.done()
                }
                Step::Now(to) => to.give(NOW),
                step @ (Step::Verb(..)
                | Step::Waiting(_)
                | Step::Obey { .. }
                | Step::TransactionEnded(_)
                | Step::AddVerb(..)) => step.unaided(),
            };
            step = machine.resume(answered);
        }
    }

    /// What a method that was replaced does here.
    fn called(&mut self, call: &MethodCall) -> Called {
        match self.methods.get_mut(call.method.name()) {
            Some(method) => method(&call.args),
            None => Called::Returned(Returned::default()),
        }
    }

    fn decide(&mut self, call: &HookCall, state: &State) -> Verdict {
        for (hook, plugin) in &mut self.plugins {
            if *hook == call.hook
                && let Some(verdict) = plugin(call, state)
                && verdict.code != Code::Declined
            {
                return verdict;
            }
        }
        Verdict::declined()
    }
}

impl Seen {
    /// The reply lines to the last thing that the client sent.
    fn last(&self) -> Vec<&str> {
        let replies = self.replies.last().into_iter().flatten();
        replies.map(String::as_str).collect()
    }

    /// The reply lines to the `n`th thing that the client sent, joined by ` / `.
    fn reply(&self, n: usize) -> String {
        self.replies[n].join(" / ")
    }

    /// The names of the hooks that ran, from `start` on, with the replies' codes.
    fn from(&self, start: &str) -> String {
        let names: Vec<_> = self.events.iter().map(|e| e.split('(').next()).collect();
        let at = names.iter().position(|name| *name == Some(start));
        let names: Vec<_> = names[at.unwrap()..].iter().map(|n| n.unwrap()).collect();
        names.join(" ")
    }

    /// How often a hook ran.
    fn count(&self, hook: &str) -> usize {
        let called = format!("{hook}(");
        self.events
            .iter()
            .filter(|e| e.starts_with(&called))
            .count()
    }

    fn called(&self, call: &str) -> bool {
        self.events.iter().any(|event| event == call)
    }

    fn logged(&self, level: u8, text: &str) -> bool {
        self.log.iter().any(|(l, t)| *l == level && t == text)
    }
}

#[derive(Debug)]
struct Fake;

impl Foreign for Fake {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn not_shown(&self) {}

    fn share(&self) -> Box<dyn Foreign> {
        Box::new(Fake)
    }
}

fn verdict(code: Code, values: &str) -> Verdict {
    let values = match values {
        "" => Vec::new(),
        values => values
            .split('|')
            .map(|v| Some(v.as_bytes().to_vec()))
            .collect(),
    };
    Verdict {
        values,
        ..Verdict::new(code)
    }
}

fn show(call: &HookCall) -> String {
    let args: Vec<_> = call.args.iter().map(show_arg).collect();
    format!("{}({})", call.hook.name(), args.join(", "))
}

fn show_arg(arg: &Arg) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match arg {
        Arg::Undef => "undef".into(),
        Arg::Bytes(bytes) | Arg::Client(bytes) => text(bytes),
        Arg::Int(number) => number.to_string(),
        Arg::Address(address) => text(&address.address.borrow().format()),
        Arg::Hash(pairs) => {
            let pair = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
                let value = value.as_deref().map_or("undef".into(), text);
                format!("{}={value}", text(name))
            };
            format!(
                "{{{}}}",
                pairs.iter().map(pair).collect::<Vec<_>>().join(",")
            )
        }
        Arg::Args(args) => {
            let args: Vec<_> = args.iter().map(show_arg).collect();
            format!("[{}]", args.join(", "))
        }
        Arg::List(items) => format!("{items:?}"),
        Arg::Foreign(value) | Arg::Object(value, _) => format!("{value:?}"),
    }
}

const EVERY: [Code; 8] = [
    Code::Ok,
    Code::Deny,
    Code::DenySoft,
    Code::DenyDisconnect,
    Code::DenySoftDisconnect,
    Code::Declined,
    Code::Done,
    Code::Yield,
];

/// An unknown code.
fn other() -> Code {
    Code::Other(b"77".to_vec())
}
