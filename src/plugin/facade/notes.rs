//! Notes in a native plugin's hands. They are the ones that Perl plugins see.

use crate::mail::{Note, Notes};

/// The notes of a connection, a transaction or an address, shared with all plugins of both kinds.
#[derive(Debug)]
pub struct NotesHandle(Notes);

impl NotesHandle {
    pub(in crate::plugin) fn of(notes: &Notes) -> NotesHandle {
        NotesHandle(notes.handle())
    }

    /// A note; none under a key that was not set.
    pub fn get(&self, key: &str) -> Option<Note> {
        self.0.get(key.as_bytes())
    }

    /// A note as bytes, where it has some: a reference of Perl's has none.
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.0.bytes(key.as_bytes())
    }

    /// A note as a text; what is no UTF-8 in it is replaced.
    pub fn text(&self, key: &str) -> Option<String> {
        let bytes = self.bytes(key)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A note as a whole number, as Perl takes a text for one: what it begins with, else 0. None where
    /// there is no note, or a reference.
    pub fn int(&self, key: &str) -> Option<i64> {
        match self.get(key)?.value() {
            Note::Int(number) => Some(*number),
            Note::Num(number) => Some(*number as i64),
            other => other.bytes().map(|text| leading_int(&text)),
        }
    }

    /// Whether a note is true in Perl's sense.
    pub fn is_true(&self, key: &str) -> bool {
        self.0.is_true(key.as_bytes())
    }

    /// Sets a note.
    pub fn set(&self, key: &str, value: impl Into<Note>) {
        self.0.set(key.as_bytes(), value.into());
    }

    /// Sets a note to what a client has said: Perl's taint mode goes by that.
    pub fn set_of_client(&self, key: &str, value: &[u8]) {
        self.0.set(key.as_bytes(), Note::of_client(value));
    }

    /// Takes a note away. Says whether there was one.
    pub fn remove(&self, key: &str) -> bool {
        self.0.remove(key.as_bytes()).is_some()
    }

    /// For the server's own code.
    pub(crate) fn with<R>(&self, at: impl FnOnce(&Notes) -> R) -> R {
        at(&self.0)
    }

    /// The keys, in no order.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.0.keys()
    }
}

fn leading_int(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (sign, digits) = match text.split_first() {
        Some((b'-', rest)) => (-1, rest),
        Some((b'+', rest)) => (1, rest),
        _ => (1, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    sign * number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_number_as_perl_takes_it() {
        let notes = Notes::default();
        let handle = NotesHandle::of(&notes);
        for (value, number) in [("12", 12), (" -3 pears", -3), ("none", 0), ("", 0)] {
            handle.set("n", value);
            assert_eq!(handle.int("n"), Some(number), "{value}");
        }
        handle.set_of_client("n", b"7");
        assert_eq!(handle.int("n"), Some(7));
        assert_eq!(handle.int("other"), None);
        // It is the same notes.
        assert_eq!(notes.bytes(b"n").as_deref(), Some(&b"7"[..]));
        assert!(handle.remove("n") && !handle.remove("n"));
    }
}
