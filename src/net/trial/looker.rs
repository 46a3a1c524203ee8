//! Looks on at the session of a trial: which plugin says what, what it logs on the way, and what it changes. Puts a
//! verdict of its own in the place of plugins that would take the message.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write as _;
use std::rc::{Rc, Weak};

use super::snapshot::{Snapshot, shown};
use crate::base::trace::{CameTo, Event};
use crate::base::trial::{Call, Change, Line, Told, Trial};
use crate::hook::{Code, Hook, HookCall, Verdict};
use crate::net::session::Session;
use crate::net::session::onlooker::Onlooker;

/// The reply where nothing is queued.
const NOT_QUEUED: &str = "Not queued, as this is a trial";
/// What a message is called that was taken by nobody.
const NOT_QUEUED_OUTCOME: &str = "not queued";
/// Of the mechanisms the one whose user nobody has to ask for.
const MECHANISM: &str = "plain";

pub(super) struct Looker {
    trial: Trial,
    // It has this looker.
    session: Weak<Session>,
    told: RefCell<File>,
    /// Lines since the last call.
    lines: RefCell<Vec<Line>>,
    /// What there was before the plugin that is called now.
    before: RefCell<Option<Snapshot>>,
    /// It was said that the client sends a message.
    in_message: Cell<bool>,
    has_authenticated: Cell<bool>,
}

impl Looker {
    pub(super) fn new(trial: &Trial, session: &Rc<Session>, told: File) -> Looker {
        Looker {
            trial: trial.clone(),
            session: Rc::downgrade(session),
            told: RefCell::new(told),
            lines: RefCell::default(),
            before: RefCell::default(),
            in_message: Cell::new(false),
            has_authenticated: Cell::new(false),
        }
    }

    /// Writes it at once, as the process may end at any time.
    pub(super) fn tell(&self, told: &Told) {
        let mut line = serde_json::to_string(told).unwrap_or_default();
        line.push('\n');
        // Who asked may be gone.
        let _ = self.told.borrow_mut().write_all(line.as_bytes());
    }

    /// Something has happened in the session.
    pub(super) fn take(&self, event: &Event<'_>) {
        match event {
            Event::Connected { ip, host, .. } => self.tell(&Told::Connected {
                ip: shown(ip),
                host: shown(host),
            }),
            Event::Said {
                hook,
                plugin,
                native,
                came_to,
                took,
            } => {
                let (verdict, text) = came_to.parts();
                // After an exit no more Perl code is to run.
                let changes = match came_to {
                    CameTo::Exited => Vec::new(),
                    _ => self.look(true),
                };
                self.tell(&Told::Plugin(Call {
                    hook: (*hook).to_owned(),
                    plugin: shown(plugin),
                    native: *native,
                    verdict: verdict.to_owned(),
                    text: text.map(shown),
                    ms: (took.as_micros() as f64) / 1e3,
                    lines: self.lines.take(),
                    changes,
                }));
            }
            Event::Replied { lines, .. } => self.tell(&Told::Replied {
                // Each ends in CR LF.
                bytes: lines.iter().map(|line| line.len() + 2).sum(),
            }),
            Event::Message {
                outcome,
                sender,
                recipients,
                size,
            } => {
                let taken = self.trial.queue || *outcome != "queued";
                self.tell(&Told::Message {
                    outcome: if taken { outcome } else { NOT_QUEUED_OUTCOME }.to_owned(),
                    sender: shown(sender),
                    recipients: recipients.iter().map(|to| shown(to)).collect(),
                    bytes: *size,
                });
            }
            Event::Line {
                level,
                plugin,
                text,
                ..
            } => self.lines.borrow_mut().push(Line {
                level: *level,
                plugin: plugin.map(shown),
                text: shown(text),
            }),
            Event::Ended => {}
        }
    }

    /// Looks at the session anew; what has changed since the last look, where that is wanted.
    fn look(&self, compare: bool) -> Vec<Change> {
        let Some(session) = self.session.upgrade() else {
            return Vec::new();
        };
        // Perl code may log while it is looked at.
        let now = Snapshot::of(&session);
        let before = self.before.borrow_mut().take();
        let changes = match before.filter(|_| compare) {
            Some(before) => before.changes_to(&now),
            None => Vec::new(),
        };
        self.before.replace(Some(now));
        changes
    }

    /// Lines that belong to no plugin's call.
    fn tell_lines(&self) {
        for line in self.lines.take() {
            self.tell(&Told::Line(line));
        }
    }

    /// The client authenticates, as soon as it could.
    fn assume_auth(&self, session: &Session) {
        let state = &session.state;
        let connection = state.connection.borrow().clone();
        let Some(user) = &self.trial.auth else { return };
        if !connection.has_greeted() || self.has_authenticated.replace(true) {
            return;
        }
        state.authenticated.set(Code::Ok.number());
        state.auth_user.replace(Some(user.clone().into_bytes()));
        state.auth_mechanism.replace(Some(MECHANISM.into()));
        connection.relay_client.set(true);
        self.tell(&Told::Assumed {
            text: format!(
                "the client has authenticated as {user} (AUTH PLAIN); relay_client is set"
            ),
        });
    }
}

impl Onlooker for Looker {
    fn hook_begins(&self, session: &Session, call: &HookCall) -> Option<Verdict> {
        if !call.hook.is_internal() {
            self.tell_lines();
            // What the session itself has changed is nobody's.
            self.look(false);
        }
        match call.hook {
            Hook::Queue if !self.trial.queue && session.loaded.has_entries(Hook::Queue) => {
                let plugins = names(session, Hook::Queue);
                self.tell(&Told::NotQueued { plugins });
                Some(Verdict::with_text(Code::Ok, NOT_QUEUED))
            }
            Hook::QueuePost if !self.trial.queue => Some(Verdict::declined()),
            _ => None,
        }
    }

    fn waits(&self, session: &Session) {
        self.tell_lines();
        self.assume_auth(session);
        let in_message = session.state.in_message.get();
        // Of each piece of it nobody wants to know. Where more has come, it is not the client that is waited for.
        let was_in_message = self.in_message.replace(in_message);
        let is_news = !was_in_message || !in_message;
        if is_news && !session.has_sent_more() {
            self.tell(&Told::Waits { in_message });
        }
    }
}

/// The plugins of a hook, in their order.
fn names(session: &Session, hook: Hook) -> Vec<String> {
    if let Some(host) = &session.loaded.host {
        let names = host.table.called(hook);
        return names.iter().map(|name| shown(name)).collect();
    }
    let natives = &session.loaded.natives;
    let all = natives.of(hook).iter().filter_map(|id| natives.get(*id));
    all.map(|handler| handler.plugin.to_string()).collect()
}
