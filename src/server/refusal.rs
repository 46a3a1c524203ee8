//! What workers tell of refusals where a page shows them (`--web`): how many for which reason, and the last of
//! them with what each plugin said. Bounded wherever it goes; how long it is kept is the supervisor's.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::control::shown;
use super::ipc::channel::MAX_MESSAGE;

/// What refusals are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// Which plugin refused; none: the session itself, or the daemon.
    pub plugin: Option<String>,
    /// The plugin's hook, or the stage of the session.
    pub stage: String,
    /// Of the reply.
    pub code: u16,
}

/// A reason, and how often it was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    #[serde(flatten)]
    pub reason: Reason,
    pub count: u64,
}

/// A reply of 4xx or 5xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The connection's id.
    pub connection: String,
    /// The how manieth mail transaction of it, from 1; 0: before the first.
    pub transaction: u32,
    /// The client's address as text.
    pub ip: String,
    /// Seconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub reason: Reason,
    /// The reply's first line, with the code.
    pub reply: String,
    /// What the client had said, without credentials.
    pub command: Option<String>,
    /// What plugins said to that, in their order.
    pub said: Vec<Said>,
    /// The how manieth refusal that the supervisor has heard of it is.
    #[serde(skip)]
    pub serial: u64,
}

/// Reasons of a report, refusals that are told whole in it, verdicts of one of them.
const REASONS: usize = 256;
const WHOLE: usize = 8;
const SAID: usize = 32;
/// Characters of a name, and of a text.
const NAME: usize = 100;
const TEXT: usize = 400;

fn bound(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
    *text = shown::text(text);
}

impl Reason {
    /// One that a plugin gave in the hook rcpt.
    #[cfg(test)]
    pub(super) fn of_rcpt(plugin: &str) -> Reason {
        Reason {
            plugin: Some(plugin.to_owned()),
            stage: "rcpt".to_owned(),
            code: 550,
        }
    }

    fn bound(&mut self) {
        bound(&mut self.stage, NAME);
        if let Some(plugin) = &mut self.plugin {
            bound(plugin, NAME);
        }
    }
}

impl Refusal {
    fn bound(&mut self) {
        self.reason.bound();
        bound(&mut self.connection, NAME);
        bound(&mut self.ip, NAME);
        bound(&mut self.reply, TEXT);
        if let Some(command) = &mut self.command {
            bound(command, TEXT);
        }
        self.said.truncate(SAID);
        for said in &mut self.said {
            bound(&mut said.hook, NAME);
            bound(&mut said.plugin, NAME);
            bound(&mut said.verdict, NAME);
            if let Some(text) = &mut said.text {
                bound(text, TEXT);
            }
        }
    }

    /// The id of the transaction, or of the connection before the first.
    pub fn id(&self) -> String {
        match self.transaction {
            0 => self.connection.clone(),
            number => format!("{}.{number}", self.connection),
        }
    }
}

/// What one plugin said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub hook: String,
    pub plugin: String,
    /// qpsmtpd's name for it, or a word such as `died`.
    pub verdict: String,
    pub text: Option<String>,
    pub microseconds: u64,
}

/// What a worker has to tell at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalReport {
    pub counts: Vec<ReasonCount>,
    pub last: Vec<Refusal>,
}

/// The last hour, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefusalsShown {
    /// The most frequent first.
    pub(crate) by_reason: Vec<ReasonCount>,
    /// How many in each minute of the hour, the present one last.
    pub(crate) by_minute: Vec<u64>,
    /// The latest first.
    pub(crate) last: Vec<Refusal>,
}

impl RefusalReport {
    /// As much of it as goes into one message: the oldest refusals are dropped before any count is.
    pub(in crate::server) fn as_text(&self) -> String {
        let mut report = Cow::Borrowed(self);
        loop {
            let text = serde_json::to_string(&*report).unwrap_or_default();
            // The message's tag is beside it.
            if text.len() < MAX_MESSAGE {
                return text;
            }
            let report = report.to_mut();
            if report.last.is_empty() {
                report.counts.pop();
            } else {
                report.last.remove(0);
            }
        }
    }

    /// None for what is no report. Whoever has told it, it is not larger than what a worker in order tells, and
    /// nothing in it acts where it is shown.
    pub(in crate::server) fn of_text(text: &[u8]) -> Option<RefusalReport> {
        let mut report: RefusalReport = serde_json::from_slice(text).ok()?;
        report.counts.truncate(REASONS);
        report.counts.iter_mut().for_each(|one| one.reason.bound());
        report.last.truncate(WHOLE);
        report.last.iter_mut().for_each(Refusal::bound);
        Some(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ipc::message::FromWorker;

    fn refusal(text: &str) -> Refusal {
        Refusal {
            connection: "1-a".to_owned(),
            transaction: 1,
            ip: "192.0.2.1".to_owned(),
            at: 7,
            reason: Reason::of_rcpt("badrcptto"),
            reply: text.to_owned(),
            command: None,
            said: Vec::new(),
            serial: 0,
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_the_oldest_first_and_counts_stay() {
        let count = ReasonCount {
            reason: Reason::of_rcpt("badrcptto"),
            count: 9,
        };
        let report = RefusalReport {
            counts: vec![count.clone()],
            last: vec![refusal(&"x".repeat(MAX_MESSAGE)), refusal("550 no")],
        };
        let words = FromWorker::Refused { report }.encode();
        assert!(words.len() <= MAX_MESSAGE);
        let Some(FromWorker::Refused { report: back }) = FromWorker::decode(&words) else {
            panic!("no report has come back");
        };
        assert_eq!(back.counts, [count]);
        assert_eq!(back.last, [refusal("550 no")]);
        assert_eq!(RefusalReport::of_text(b"{"), None);
    }

    #[test]
    fn a_refusal_before_mail_has_the_connections_id() {
        assert_eq!(refusal("").id(), "1-a.1");
        let early = Refusal {
            transaction: 0,
            ..refusal("")
        };
        assert_eq!(early.id(), "1-a");
    }

    #[test]
    fn what_a_worker_tells_is_cut_to_its_size_and_acts_nowhere() {
        let long = Refusal {
            said: vec![
                Said {
                    hook: "rcpt".to_owned(),
                    plugin: "p".repeat(5000),
                    verdict: "DENY".to_owned(),
                    text: Some("\u{202e}x".to_owned()),
                    microseconds: 1,
                };
                100
            ],
            ..refusal(&"r".repeat(9000))
        };
        let report = RefusalReport {
            counts: vec![
                ReasonCount {
                    reason: Reason::of_rcpt(&"p".repeat(300)),
                    count: u64::MAX,
                };
                1000
            ],
            last: vec![long; 20],
        };
        let text = serde_json::to_vec(&report).unwrap();
        let report = RefusalReport::of_text(&text).unwrap();
        assert_eq!((report.counts.len(), report.last.len()), (REASONS, WHOLE));
        let plugin = report.counts[0].reason.plugin.as_deref();
        assert_eq!(plugin.map(str::len), Some(NAME));
        let last = &report.last[0];
        assert_eq!((last.reply.len(), last.said.len()), (TEXT, SAID));
        assert_eq!(last.said[0].text.as_deref(), Some("\\u{202e}x"));
    }
}
