//! Notes: values that plugins leave for each other on a connection, a transaction or an
//! address. Scalars have a native form, which native plugins read and write; references stay
//! the scripting language's own and pass through.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::foreign::Foreign;

/// The value of a note.
#[derive(Debug)]
pub enum Note {
    /// Perl's undef.
    Undef,
    /// A whole number.
    Int(i64),
    /// Any other number.
    Num(f64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A character string (Perl's UTF-8 flag is set).
    Text(String),
    /// One of the above that is somebody else's, the client's most often: the scripting language's taint
    /// mode goes by that. Never another of these, and never a foreign one, which knows by itself.
    Tainted(Box<Note>),
    /// Names and values, a reference to a hash for the scripting language. It is that language's own from its first
    /// look on.
    Hash(Vec<(Vec<u8>, Note)>),
    /// A reference, code, or anything else that only the scripting language understands.
    Foreign(Box<dyn Foreign>),
}

impl Note {
    /// Another note of this value; what is foreign is shared.
    pub fn share(&self) -> Note {
        match self {
            Note::Undef => Note::Undef,
            Note::Int(n) => Note::Int(*n),
            Note::Num(n) => Note::Num(*n),
            Note::Bytes(b) => Note::Bytes(b.clone()),
            Note::Text(t) => Note::Text(t.clone()),
            Note::Tainted(note) => Note::Tainted(Box::new(note.share())),
            Note::Hash(pairs) => {
                let pairs = pairs.iter();
                Note::Hash(
                    pairs
                        .map(|(key, note)| (key.clone(), note.share()))
                        .collect(),
                )
            }
            Note::Foreign(f) => Note::Foreign(f.share()),
        }
    }

    /// A byte string of the client's.
    pub fn of_client(bytes: &[u8]) -> Note {
        Note::Tainted(Box::new(Note::Bytes(bytes.to_vec())))
    }

    /// The value itself, whoever it is from.
    pub fn value(&self) -> &Note {
        match self {
            Note::Tainted(note) => note,
            note => note,
        }
    }

    /// The note as bytes; `None` for an undefined note and for a reference.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Note::Undef | Note::Hash(_) | Note::Foreign(_) => None,
            Note::Int(n) => Some(n.to_string().into_bytes()),
            Note::Num(n) => Some(n.to_string().into_bytes()),
            Note::Bytes(b) => Some(b.clone()),
            Note::Text(t) => Some(t.clone().into_bytes()),
            Note::Tainted(note) => note.bytes(),
        }
    }

    /// Truth in Perl's sense.
    pub fn is_true(&self) -> bool {
        match self {
            Note::Undef => false,
            Note::Int(n) => *n != 0,
            Note::Num(n) => *n != 0.0,
            Note::Bytes(b) => !b.is_empty() && b != b"0",
            Note::Text(t) => !t.is_empty() && t != "0",
            Note::Tainted(note) => note.is_true(),
            Note::Hash(_) | Note::Foreign(_) => true,
        }
    }
}

impl From<&str> for Note {
    fn from(text: &str) -> Note {
        Note::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Note {
    fn from(text: String) -> Note {
        Note::Bytes(text.into_bytes())
    }
}

/// As Perl has it: 1 or the empty string.
impl From<bool> for Note {
    fn from(is: bool) -> Note {
        Note::Bytes(if is { b"1".to_vec() } else { Vec::new() })
    }
}

impl From<Vec<u8>> for Note {
    fn from(bytes: Vec<u8>) -> Note {
        Note::Bytes(bytes)
    }
}

impl From<i64> for Note {
    fn from(n: i64) -> Note {
        Note::Int(n)
    }
}

type Map = HashMap<Vec<u8>, Note>;

/// The notes of one object; most objects have none, and cost nothing. No borrow is held while a note is
/// dropped, since dropping may run foreign code that uses the notes again.
#[derive(Debug, Default)]
pub struct Notes {
    map: RefCell<Option<Rc<RefCell<Map>>>>,
}

impl Notes {
    /// Looks at the notes, if there are any.
    fn look<R>(&self, at: impl FnOnce(&Map) -> R) -> Option<R> {
        let map = self.map.borrow();
        map.as_ref().map(|map| at(&map.borrow()))
    }

    fn shared(&self) -> Rc<RefCell<Map>> {
        self.map.borrow_mut().get_or_insert_default().clone()
    }

    /// A note; none under a key that was not set.
    pub fn get(&self, key: &[u8]) -> Option<Note> {
        self.look(|map| map.get(key).map(Note::share)).flatten()
    }

    /// Sets a note.
    pub fn set(&self, key: &[u8], value: Note) {
        let map = self.shared();
        let old = map.borrow_mut().insert(key.to_vec(), value);
        drop(old);
    }

    /// Takes a note away, and gives it.
    pub fn remove(&self, key: &[u8]) -> Option<Note> {
        let map = self.map.borrow().clone()?;
        let mut map = map.borrow_mut();
        map.remove(key)
    }

    /// Another owner of the same notes.
    pub fn handle(&self) -> Notes {
        Notes {
            map: RefCell::new(Some(self.shared())),
        }
    }

    /// Whether a note is true in Perl's sense.
    pub fn is_true(&self, key: &[u8]) -> bool {
        self.look(|map| map.get(key).is_some_and(Note::is_true))
            .unwrap_or(false)
    }

    /// A note as a text, where it has one.
    pub fn bytes(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.look(|map| map.get(key).and_then(Note::bytes))
            .flatten()
    }

    /// The keys, in no order.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.look(|map| map.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Notes of the same values, as a cloned connection has them: what is set in one is not
    /// seen in the other.
    pub fn copy(&self) -> Notes {
        let copies: Option<Map> = self.look(|map| {
            let copies = map.iter().map(|(key, note)| (key.clone(), note.share()));
            copies.collect()
        });
        Notes {
            map: RefCell::new(copies.map(|copies| Rc::new(RefCell::new(copies)))),
        }
    }

    /// Changes all notes for those there.
    pub fn swap(&self, other: &Notes) {
        self.map.swap(&other.map);
    }

    /// Begins with no notes; another owner keeps the old ones.
    pub fn clear(&self) {
        let old = self.map.take();
        drop(old);
    }
}
