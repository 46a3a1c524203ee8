//! Camelpost::Notes: the hash that plugins find as `{_notes}`.

use std::rc::Rc;

use crate::mail::{Note, Notes};
use crate::perl::ffi::call::{Want, call_function};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::object::{self, Owned};
use crate::perl::ffi::value::Sv;

pub(crate) const XSUBS: &[(&str, Body)] = &[
    ("Camelpost::Notes::FETCH", fetch),
    ("Camelpost::Notes::STORE", store),
    ("Camelpost::Notes::DELETE", delete),
    ("Camelpost::Notes::CLEAR", clear),
    ("Camelpost::Notes::_keys", keys),
];

/// The notes that a tied hash shows.
pub(crate) struct Held(Notes);

impl Owned for Held {
    const KIND: u16 = 5;
    const CLASS: &'static str = "Camelpost::Notes";
}

/// A reference to a hash that shows these notes as they are at each look.
pub(crate) fn hash(notes: &Notes) -> Option<Sv> {
    let held = object::new(Rc::new(Held(notes.handle())), None);
    let made = call_function("Camelpost::Notes::hash", &[held], Want::Scalar).ok()?;
    made.into_iter().next()
}

/// Notes that become those of the hash that `value` points to.
pub(crate) fn replace(notes: &Notes, value: &Sv) {
    let Ok(pairs) = call_function(
        "Camelpost::parameters",
        std::slice::from_ref(value),
        Want::List,
    ) else {
        return;
    };
    notes.clear();
    for pair in pairs.chunks(2) {
        if let [key, value] = pair {
            notes.set(&key.to_bytes(), value.to_note());
        }
    }
}

/// A note as plugins have it. A hash of a native plugin's is theirs then: each look finds the same.
pub(super) fn get(notes: &Notes, key: &[u8]) -> Sv {
    let note = notes.get(key);
    let is_hash = matches!(note, Some(Note::Hash(_)));
    let value = shown(note);
    if is_hash {
        notes.set(key, value.to_note());
    }
    value
}

fn shown(note: Option<Note>) -> Sv {
    note.map_or_else(Sv::undef, |note| Sv::from_note(&note))
}

fn fetch(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let held = frame.object::<Held>(0)?;
    let key = frame.key(1)?;
    frame.ret(get(&held.0, &key));
    Ok(())
}

fn store(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let held = frame.object::<Held>(0)?;
    let key = frame.key(1)?;
    held.0.set(&key, frame.sv(2).to_note());
    Ok(())
}

fn delete(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let held = frame.object::<Held>(0)?;
    let key = frame.key(1)?;
    frame.ret(shown(held.0.remove(&key)));
    Ok(())
}

fn clear(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let held = frame.object::<Held>(0)?;
    for key in held.0.keys() {
        drop(held.0.remove(&key));
    }
    Ok(())
}

fn keys(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let held = frame.object::<Held>(0)?;
    for key in held.0.keys() {
        frame.ret_bytes(&key);
    }
    Ok(())
}
