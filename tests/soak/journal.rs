//! What the log in JSON says of the messages, parsed back and held against what their clients saw and the sink has.
//! Messages of clients that ask a plugin to misbehave are not counted: theirs may close the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::ledger::{Fate, Ledger};

#[derive(Debug, Default)]
pub struct Journal {
    objects: usize,
    /// Lines that are no object, as what perl writes by itself.
    others: Vec<String>,
    /// Messages of plain clients, by their numbers: what became of each, as often as it is said.
    outcomes: BTreeMap<usize, Vec<String>>,
    connected: BTreeSet<String>,
    /// Ids of sessions that something is told of.
    told: BTreeSet<String>,
}

impl Journal {
    pub fn parse(log: &str) -> Journal {
        let mut journal = Journal::default();
        for line in log.lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(object) if object.is_object() => journal.take(&object),
                _ => journal.others.push(line.to_owned()),
            }
        }
        journal
    }

    fn take(&mut self, object: &Value) {
        self.objects += 1;
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let id = text("id").to_owned();
        if text("event") == "connect" {
            self.connected.insert(id.clone());
        }
        if !id.is_empty() {
            self.told.insert(id);
        }
        let sender = text("sender").trim_start_matches('<');
        let plain = sender
            .strip_prefix("plain-")
            .and_then(|rest| rest.split('@').next());
        if text("event") == "message"
            && let Some(number) = plain.and_then(|number| number.parse().ok())
        {
            let outcome = text("outcome").to_owned();
            self.outcomes.entry(number).or_default().push(outcome);
        }
    }

    /// Gives what is wrong.
    pub fn audit(&self, ledger: &Ledger, delivered: &BTreeSet<usize>) -> Vec<String> {
        let mut wrong = Vec::new();
        let fates: BTreeMap<usize, Fate> = ledger.fates().collect();
        for (id, outcomes) in &self.outcomes {
            let fate = fates.get(id);
            let is_queued = outcomes.iter().any(|outcome| outcome == "queued");
            if outcomes.len() > 1 {
                wrong.push(format!("the log has message {id} as {outcomes:?}"));
            }
            if is_queued && !delivered.contains(id) {
                wrong.push(format!(
                    "message {id} is queued by the log, and was not delivered"
                ));
            }
            let fits = match fate {
                Some(Fate::Acknowledged) => is_queued,
                Some(Fate::Refused) => !is_queued,
                Some(Fate::InFlight) => true,
                Some(Fate::Unfinished) | None => false,
            };
            if !fits {
                wrong.push(format!(
                    "the log has message {id} as {outcomes:?}, its client saw {fate:?}"
                ));
            }
        }
        for id in ledger.plain_acknowledged() {
            if !self.outcomes.contains_key(&id) {
                wrong.push(format!(
                    "message {id} was acknowledged, and is not in the log"
                ));
            }
        }
        for id in self.told.difference(&self.connected) {
            wrong.push(format!(
                "the log tells of session {id}, and not that it began"
            ));
        }
        wrong
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, others, messages) = (self.objects, self.others.len(), self.outcomes.len());
        write!(
            f,
            "{objects} objects, {messages} plain messages, {others} other lines"
        )?;
        for line in self.others.iter().take(5) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}
