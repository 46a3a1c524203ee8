//! What the replies to KEEP say, and what they should.

use std::collections::{BTreeMap, BTreeSet};

use crate::known::KNOWN;
use crate::play::{Transcript, tag};

/// What one place answered that it should not have: whose KEEP, which, what it said.
#[derive(Debug)]
pub struct Wrong {
    pub client: usize,
    pub n: usize,
    pub said: String,
}

/// Each place that was wrong, and how.
pub type AllWrong = BTreeMap<String, Vec<Wrong>>;

/// The places and what they say in a reply to KEEP.
pub fn places(reply: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in reply.lines() {
        let text = line.get(4..).unwrap_or_default();
        if let Some((place, said)) = text.split_once('=') {
            let before = found.insert(place.to_owned(), said.to_owned());
            assert!(before.is_none(), "{place} is there twice");
        }
    }
    found
}

/// All that is not as it is with a session that has its process for itself: the nth KEEP has n as its
/// answer, or n and the tags so far.
pub fn wrong(transcript: &Transcript) -> AllWrong {
    let mut all = AllWrong::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (client, entries) in transcript {
        for (line, reply) in entries {
            let Some(n) = number_of(line) else {
                continue;
            };
            assert!(
                reply.ends_with("\n250 end"),
                "client {client}: {line}: {reply:?}"
            );
            let tags: Vec<String> = (1..=n).map(|n| tag(*client, n)).collect();
            let expected = [n.to_string(), format!("{n} {}", tags.join(" "))];
            let places = places(reply);
            let names: BTreeSet<String> = places.keys().cloned().collect();
            if known.is_empty() {
                known.clone_from(&names);
            }
            assert_eq!(known, names, "client {client}: {line}");
            for (place, said) in places {
                if !expected.contains(&said) {
                    let client = *client;
                    all.entry(place)
                        .or_default()
                        .push(Wrong { client, n, said });
                }
            }
        }
    }
    all
}

/// Of which KEEP a line is.
fn number_of(line: &str) -> Option<usize> {
    let mut words = line.split(' ');
    (words.next() == Some("KEEP")).then(|| words.next()?.parse().ok())?
}

/// Each place was right, but for what is known.
pub fn assert_right(transcript: &Transcript) {
    let mut all = wrong(transcript);
    for (place, _) in KNOWN {
        all.remove(*place);
    }
    assert!(all.is_empty(), "{}", told(&all));
}

/// The places that were wrong with the first example of each.
pub fn told(all: &AllWrong) -> String {
    let mut text = format!("{} places were wrong:\n", all.len());
    for (place, examples) in all {
        let Wrong { client, n, said } = &examples[0];
        let count = examples.len();
        text +=
            &format!("  {place}: {count} times, first in KEEP {n} of client {client}: {said}\n");
    }
    text
}
