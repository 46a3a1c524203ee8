//! What plugins may change of a session, at one moment, and in what two moments differ.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};

use crate::base::trial::Change;
use crate::mail::{HeaderSlot, Note, Notes, Transaction};
use crate::net::session::Session;
use crate::perl::host::Host;

/// Characters of a value that are shown.
const MOST: usize = 400;

/// A session at one moment.
pub(super) struct Snapshot {
    connection: BTreeMap<String, String>,
    transaction: BTreeMap<String, String>,
    header: Vec<String>,
    recipients: Vec<String>,
    relay_client: bool,
    /// Which transaction it is.
    which: Weak<Transaction>,
}

/// A text as it is shown: a line, without what would steer a terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let clean = crate::base::log::shown(bytes);
    let text = String::from_utf8_lossy(clean.as_deref().unwrap_or(bytes));
    text.trim_end().replace('\n', "\\n")
}

fn short(bytes: &[u8]) -> String {
    let text = shown(bytes);
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

impl Snapshot {
    pub(super) fn of(session: &Session) -> Snapshot {
        let host = session.loaded.host.as_deref();
        let connection = session.state.connection.borrow().clone();
        let transaction = session.state.transaction.borrow().clone();
        let recipients = transaction.recipients.borrow();
        let recipients = recipients.iter();
        let recipients = recipients.map(|path| shown(&path.address.borrow().format()));
        Snapshot {
            connection: texts(&connection.notes, host),
            transaction: texts(&transaction.notes, host),
            header: header(&transaction, host),
            recipients: recipients.collect(),
            relay_client: connection.relay_client.get(),
            which: Rc::downgrade(&transaction.data),
        }
    }

    /// What is otherwise later.
    pub(super) fn changes_to(&self, later: &Snapshot) -> Vec<Change> {
        let mut changes = Vec::new();
        compare_notes(
            &mut changes,
            "connection note",
            &self.connection,
            &later.connection,
        );
        if self.relay_client != later.relay_client {
            let text = |is: bool| Some(u8::from(is).to_string());
            changes.push(Change {
                of: "relay_client".to_owned(),
                what: "changed".to_owned(),
                name: String::new(),
                before: text(self.relay_client),
                after: text(later.relay_client),
            });
        }
        let is_same = self.which.ptr_eq(&later.which);
        let nothing = Snapshot {
            connection: BTreeMap::new(),
            transaction: BTreeMap::new(),
            header: Vec::new(),
            recipients: Vec::new(),
            relay_client: false,
            which: Weak::new(),
        };
        if !is_same {
            changes.push(change("transaction", "changed", "a new one"));
        }
        let before = if is_same { self } else { &nothing };
        compare_notes(
            &mut changes,
            "transaction note",
            &before.transaction,
            &later.transaction,
        );
        compare_lists(&mut changes, "header field", &before.header, &later.header);
        compare_lists(
            &mut changes,
            "recipient",
            &before.recipients,
            &later.recipients,
        );
        changes
    }
}

fn change(of: &str, what: &str, name: &str) -> Change {
    Change {
        of: of.to_owned(),
        what: what.to_owned(),
        name: name.to_owned(),
        before: None,
        after: None,
    }
}

fn compare_notes(
    changes: &mut Vec<Change>,
    of: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (before, after) = (before.get(name), after.get(name));
        let what = match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            (before, after) if before != after => "changed",
            _ => continue,
        };
        changes.push(Change {
            before: before.cloned(),
            after: after.cloned(),
            ..change(of, what, name)
        });
    }
}

/// What one list has more often than the other.
fn compare_lists(changes: &mut Vec<Change>, of: &str, before: &[String], after: &[String]) {
    let lacks = |list: &[String], other: &[String]| -> Vec<String> {
        let mut rest: Vec<&String> = other.iter().collect();
        let lacking = list.iter().filter(|item| {
            let at = rest.iter().position(|other| other == item);
            at.map(|at| rest.swap_remove(at)).is_none()
        });
        lacking.cloned().collect()
    };
    for name in lacks(before, after) {
        changes.push(change(of, "removed", &name));
    }
    for name in lacks(after, before) {
        changes.push(change(of, "added", &name));
    }
}

fn texts(notes: &Notes, host: Option<&Host>) -> BTreeMap<String, String> {
    let keys = notes.keys().into_iter();
    let texts = keys.filter_map(|key| {
        let note = notes.get(&key)?;
        Some((shown(&key), text(&note, host)))
    });
    texts.collect()
}

fn text(note: &Note, host: Option<&Host>) -> String {
    match note.value() {
        Note::Foreign(value) => {
            let dumped = host.and_then(|host| host.present.dump(value.as_ref()));
            dumped.map_or_else(|| "a reference".to_owned(), |dumped| short(&dumped))
        }
        Note::Hash(pairs) => {
            let pairs = pairs.iter();
            let pairs = pairs.map(|(key, note)| format!("{} => {}", shown(key), text(note, host)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        note => note
            .bytes()
            .map_or_else(|| "undef".to_owned(), |bytes| short(&bytes)),
    }
}

/// The fields, each in one line.
fn header(transaction: &Transaction, host: Option<&Host>) -> Vec<String> {
    let native = match &*transaction.header.borrow() {
        HeaderSlot::None => return Vec::new(),
        HeaderSlot::Native(header) => Some(header.bytes.clone()),
        HeaderSlot::Foreign(_) => None,
    };
    let ask = || host.and_then(|host| host.present.header_text(transaction).ok());
    let bytes = native.or_else(ask).unwrap_or_default();
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match fields.last_mut() {
            Some(last) if line.starts_with(b" ") || line.starts_with(b"\t") => {
                last.push(b' ');
                last.extend_from_slice(line.trim_ascii());
            }
            _ => fields.push(line.to_vec()),
        }
    }
    fields.iter().map(|field| short(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(before: &[&str], after: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| {
            list.iter()
                .map(|item| (*item).to_owned())
                .collect::<Vec<_>>()
        };
        let mut changes = Vec::new();
        compare_lists(&mut changes, "header field", &owned(before), &owned(after));
        let texts = changes
            .iter()
            .map(|change| format!("{} {}", change.what, change.name));
        texts.collect()
    }

    #[test]
    fn a_field_that_is_there_twice_counts_twice() {
        assert_eq!(lists(&["A: 1"], &["A: 1", "A: 1"]), ["added A: 1"]);
        assert_eq!(
            lists(&["A: 1", "B: 2"], &["B: 3", "A: 1"]),
            ["removed B: 2", "added B: 3"]
        );
    }

    #[test]
    fn what_is_shown_is_one_line() {
        assert_eq!(shown(b"a\x1b[31m\nb\n"), "a\\x1b[31m\\nb");
    }
}
