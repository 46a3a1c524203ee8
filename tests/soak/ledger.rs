//! What became of each message, as its client saw it and as the sink has it, and whether the two
//! agree. Knows nothing of sockets and processes.

use std::collections::{BTreeMap, HashMap};

/// How far a message came for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The final dot was never sent.
    Unfinished,
    /// The final dot was sent, at least in part, and no reply to it was seen; or one that says
    /// that the server broke off (421).
    InFlight,
    /// The reply was 250.
    Acknowledged,
    /// The reply was another one.
    Refused,
}

/// One message as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub id: usize,
    /// Bytes of its body, about.
    pub size: usize,
    /// Of a client that asks no plugin to misbehave.
    pub is_plain: bool,
}

impl Message {
    /// Header and body, lines ending in LF, as the sink should have them.
    pub fn text(&self) -> String {
        let id = self.id;
        let mut text = format!("X-Soak: {id}\nSubject: message {id}\n\n");
        let mut line = id;
        while text.len() < self.size {
            line = line.wrapping_mul(31).wrapping_add(7) % 1_000_003;
            // Some lines begin with dots, which travel doubled.
            let dots = &"..."[..line % 4];
            text += &format!("{dots}{line} of {id}{}\n", "-".repeat(line % 60));
        }
        text
    }

    /// The same as it travels, without the final dot.
    pub fn on_the_wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in self.text().lines() {
            if line.starts_with('.') {
                wire.push(b'.');
            }
            wire.extend_from_slice(line.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }
}

/// All messages of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    messages: HashMap<usize, (Message, Fate)>,
}

impl Ledger {
    /// A new message with a number of its own.
    pub fn begin(&mut self, size: usize, is_plain: bool) -> Message {
        let id = self.messages.len() + 1;
        let message = Message { id, size, is_plain };
        self.messages.insert(id, (message, Fate::Unfinished));
        message
    }

    pub fn set(&mut self, message: Message, fate: Fate) {
        self.messages.insert(message.id, (message, fate));
    }

    pub fn fates(&self) -> impl Iterator<Item = (usize, Fate)> {
        self.messages.iter().map(|(id, (_, fate))| (*id, *fate))
    }

    pub fn plain_acknowledged(&self) -> impl Iterator<Item = usize> {
        let all = self.messages.values();
        let ours = all.filter(|(message, fate)| message.is_plain && *fate == Fate::Acknowledged);
        ours.map(|(message, _)| message.id)
    }

    pub fn count(&self, fate: Fate) -> usize {
        let fates = self.messages.values().map(|(_, fate)| fate);
        fates.filter(|found| **found == fate).count()
    }

    /// Compares with what the sink has: a number and a text for each delivery. Gives what is wrong.
    pub fn audit(&self, delivered: &[(usize, String)]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        for (id, text) in delivered {
            *times.entry(*id).or_default() += 1;
            match self.messages.get(id) {
                None => wrong.push(format!("message {id} was delivered and never sent")),
                Some((message, _)) if message.text() != *text => {
                    let difference = difference(&message.text(), text);
                    wrong.push(format!("message {id} was changed: {difference}"));
                }
                Some(_) => {}
            }
        }
        let mut messages: Vec<_> = self.messages.values().collect();
        messages.sort_by_key(|(message, _)| message.id);
        for (Message { id, .. }, fate) in messages {
            let times = times.get(id).copied().unwrap_or(0);
            let right = match fate {
                Fate::Acknowledged => times == 1,
                Fate::InFlight => times <= 1,
                Fate::Unfinished | Fate::Refused => times == 0,
            };
            if !right {
                wrong.push(format!(
                    "message {id} ({fate:?}) was delivered {times} times"
                ));
            }
        }
        wrong
    }
}

/// The first line in which two texts differ.
fn difference(sent: &str, delivered: &str) -> String {
    let mut number = 0;
    let (mut sent, mut delivered) = (sent.lines(), delivered.lines());
    loop {
        number += 1;
        let (was, is) = (sent.next(), delivered.next());
        if was != is || was.is_none() {
            return format!("line {number} was {was:?} and is {is:?}");
        }
    }
}

#[test]
fn a_ledger_finds_what_is_lost_doubled_invented_or_changed() {
    let mut ledger = Ledger::default();
    let fates = [
        Fate::Acknowledged,
        Fate::Acknowledged,
        Fate::InFlight,
        Fate::InFlight,
        Fate::Refused,
        Fate::Unfinished,
    ];
    let sent = fates.map(|fate| {
        let message = ledger.begin(100, true);
        ledger.set(message, fate);
        message
    });
    let of = |message: &Message| (message.id, message.text());
    let right = [of(&sent[0]), of(&sent[1]), of(&sent[2])];
    assert_eq!(ledger.audit(&right), Vec::<String>::new());

    let lost = [of(&sent[0])];
    let doubled = [of(&sent[0]), of(&sent[1]), of(&sent[2]), of(&sent[2])];
    let refused = [of(&sent[0]), of(&sent[1]), of(&sent[4])];
    let unfinished = [of(&sent[0]), of(&sent[1]), of(&sent[5])];
    let invented = [of(&sent[0]), of(&sent[1]), (99, String::new())];
    let changed = [of(&sent[0]), (sent[1].id, of(&sent[1]).1 + "\n")];
    for found in [
        &lost[..],
        &doubled,
        &refused,
        &unfinished,
        &invented,
        &changed,
    ] {
        assert_eq!(ledger.audit(found).len(), 1, "{found:?}");
    }
}
