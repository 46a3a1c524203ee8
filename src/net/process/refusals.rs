//! Gathers what is refused in this worker's sessions, for the page of `--web`: counts by reason, and the last few
//! refusals with what each plugin said to the command. It is told to the supervisor once in a second at most,
//! so that a flood of refusals costs no more than that. Does not keep anything that was told.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::base::log::shown;
use crate::base::trace::{self, Event, Whose};
use crate::server::{AsyncLink, Reason, ReasonCount, Refusal, RefusalReport, Said};

/// How often the supervisor is told.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);
/// Refusals of a report that are told whole.
const WHOLE: usize = 5;
/// Reasons of a report; what is beyond them is counted under their names, without the plugin.
const REASONS: usize = 200;
/// Verdicts for one command.
const VERDICTS: usize = 30;
/// Characters of a text.
const LENGTH: usize = 300;

#[derive(Default)]
pub(crate) struct Refusals {
    /// By connection: what plugins have said since the last reply.
    said: RefCell<HashMap<String, Vec<Said>>>,
    counts: RefCell<HashMap<Reason, u64>>,
    last: RefCell<VecDeque<Refusal>>,
    is_due: Notify,
}

impl Refusals {
    /// Gathers from now on what happens in this thread's sessions.
    pub(super) fn listen() -> Rc<Refusals> {
        let refusals = Rc::new(Refusals::default());
        let listener = refusals.clone();
        trace::listen_but_to_lines(move |whose, event| listener.take(whose, event));
        refusals
    }

    /// Tells the supervisor for ever.
    pub(super) async fn report(&self, link: &AsyncLink) {
        loop {
            self.is_due.notified().await;
            link.heard().await;
            self.report_now(link);
            tokio::time::sleep(BETWEEN_REPORTS).await;
        }
    }

    /// Tells the supervisor what there is.
    pub(super) fn report_now(&self, link: &AsyncLink) {
        let counts = self.counts.take();
        if counts.is_empty() {
            return;
        }
        let counts = counts.into_iter();
        link.refused(RefusalReport {
            counts: counts
                .map(|(reason, count)| ReasonCount { reason, count })
                .collect(),
            last: self.last.take().into(),
        });
    }

    /// A session goes on in another process.
    pub(super) fn forget(&self, connection: &str) {
        self.said.borrow_mut().remove(connection);
    }

    /// In a process that was forked: what is to be told so far, its parent tells.
    pub(super) fn begin_anew(&self) {
        self.counts.take();
        self.last.take();
    }

    fn take(&self, whose: &Whose<'_>, event: &Event<'_>) {
        match event {
            Event::Said {
                hook,
                plugin,
                came_to,
                took,
                ..
            } => {
                let (verdict, said) = came_to.parts();
                let one = Said {
                    hook: (*hook).to_owned(),
                    plugin: text(plugin),
                    verdict: verdict.to_owned(),
                    text: said.map(text),
                    microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                };
                let mut all = self.said.borrow_mut();
                match all.get_mut(whose.connection) {
                    Some(said) => {
                        // The later ones are nearer to the refusal.
                        if said.len() == VERDICTS {
                            said.remove(0);
                        }
                        said.push(one);
                    }
                    None => {
                        all.insert(whose.connection.to_owned(), vec![one]);
                    }
                }
            }
            Event::Replied {
                code,
                stage,
                lines,
                command,
            } => {
                // After a 3xx the command goes on.
                let said = match code / 100 {
                    3 => return,
                    _ => self.said.borrow_mut().remove(whose.connection),
                };
                if *code >= 400 {
                    let reply = lines.first().map(|line| text(line)).unwrap_or_default();
                    let refused = Refused {
                        code: *code,
                        stage,
                        reply,
                        command: command.map(text),
                    };
                    self.count(whose, refused, said.unwrap_or_default());
                }
            }
            Event::Ended => {
                self.said.borrow_mut().remove(whose.connection);
            }
            Event::Connected { .. } | Event::Message { .. } | Event::Line { .. } => {}
        }
    }

    fn count(&self, whose: &Whose<'_>, refused: Refused<'_>, said: Vec<Said>) {
        let by = said.iter().rfind(|said| said.verdict.starts_with("DENY"));
        let mut reason = Reason {
            plugin: by.map(|said| said.plugin.clone()),
            stage: by.map_or(refused.stage, |said| &said.hook).to_owned(),
            code: refused.code,
        };
        let mut counts = self.counts.borrow_mut();
        if counts.len() >= REASONS && !counts.contains_key(&reason) {
            reason.plugin = None;
        }
        *counts.entry(reason.clone()).or_default() += 1;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut last = self.last.borrow_mut();
        if last.len() == WHOLE {
            last.pop_front();
        }
        last.push_back(Refusal {
            connection: whose.connection.to_owned(),
            transaction: whose.transaction,
            ip: text(whose.ip),
            at: since.map_or(0, |since| since.as_secs()),
            reason,
            reply: refused.reply,
            command: refused.command,
            said,
            serial: 0,
        });
        self.is_due.notify_one();
    }
}

struct Refused<'a> {
    code: u16,
    stage: &'a str,
    reply: String,
    command: Option<String>,
}

/// As a log has it, and not longer than a line.
fn text(bytes: &[u8]) -> String {
    let shown = shown(bytes);
    let text = String::from_utf8_lossy(shown.as_deref().unwrap_or(bytes));
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::trace::CameTo;

    const CLIENT: Whose<'_> = Whose {
        connection: "7-x",
        transaction: 2,
        ip: b"192.0.2.7",
    };

    fn said<'a>(plugin: &'a [u8], verdict: &'a str, text: Option<&'a [u8]>) -> Event<'a> {
        Event::Said {
            hook: "rcpt",
            plugin,
            native: false,
            came_to: CameTo::Verdict(verdict, text),
            took: Duration::from_micros(12),
        }
    }

    fn replied(lines: &[Vec<u8>], code: u16) -> Event<'_> {
        Event::Replied {
            code,
            stage: "rcpt",
            lines,
            command: Some(b"RCPT TO:<a@b.example>"),
        }
    }

    #[test]
    fn who_refused_is_the_plugin_that_denied_to_this_command() {
        let refusals = Refusals::default();
        let (no, fine) = ([b"550 no".to_vec()], [b"250 fine".to_vec()]);
        refusals.take(&CLIENT, &said(b"badrcptto", "DENY", Some(b"no")));
        refusals.take(&CLIENT, &replied(&fine, 250));
        refusals.take(&CLIENT, &said(b"check_spf", "DECLINED", None));
        refusals.take(&CLIENT, &said(b"rcpt_ok", "DENY", Some(b"no")));
        refusals.take(&CLIENT, &replied(&no, 550));
        let last = refusals.last.take();
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].id(), "7-x.2");
        assert_eq!(last[0].reason.plugin.as_deref(), Some("rcpt_ok"));
        let plugins: Vec<&str> = last[0].said.iter().map(|said| &said.plugin[..]).collect();
        assert_eq!(plugins, ["check_spf", "rcpt_ok"]);
        assert_eq!(refusals.counts.take().into_values().sum::<u64>(), 1);
    }

    #[test]
    fn what_the_session_refuses_by_itself_has_the_stage() {
        let refusals = Refusals::default();
        refusals.take(&CLIENT, &said(b"rcpt_ok", "DECLINED", None));
        refusals.take(&CLIENT, &replied(&[b"503 Use MAIL first".to_vec()], 503));
        let counts: Vec<Reason> = refusals.counts.take().into_keys().collect();
        let expected = Reason {
            plugin: None,
            stage: "rcpt".to_owned(),
            code: 503,
        };
        assert_eq!(counts, [expected]);
    }

    #[test]
    fn a_flood_is_counted_and_only_its_last_are_told_whole() {
        let refusals = Refusals::default();
        for number in 0..1000 {
            let plugin = format!("plugin{number}");
            for _ in 0..VERDICTS + 5 {
                refusals.take(&CLIENT, &said(b"some", "DECLINED", None));
            }
            refusals.take(&CLIENT, &said(plugin.as_bytes(), "DENY", None));
            refusals.take(&CLIENT, &replied(&[vec![b'x'; 9000]], 550));
        }
        assert_eq!(refusals.last.borrow().len(), WHOLE);
        let last = refusals.last.take().pop_back().unwrap();
        assert_eq!(last.reply.chars().count(), LENGTH + 1);
        assert_eq!(last.said.len(), VERDICTS);
        let counts = refusals.counts.take();
        assert!(counts.len() <= REASONS + 1);
        assert_eq!(counts.into_values().sum::<u64>(), 1000);
        assert!(refusals.said.borrow().is_empty());
    }

    #[test]
    fn a_client_that_has_gone_leaves_nothing() {
        let refusals = Refusals::default();
        refusals.take(&CLIENT, &said(b"rcpt_ok", "DECLINED", None));
        refusals.take(&CLIENT, &Event::Ended);
        assert!(refusals.said.borrow().is_empty());
    }
}
