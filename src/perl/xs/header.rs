//! Fills the fields of a message into a Mail::Header, where that class itself would put them: its
//! own parser is a large part of what a message costs. Does not judge what is malformed: that is
//! left to the class.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::{Body, Frame, Raise};
use crate::perl::call::{Want, call_function, stringify};
use crate::perl::value::Sv;

pub const XSUBS: &[(&str, Body)] = &[("Qpsmtpd::Transaction::_fill_header", fill)];

/// Names of fields whose spelling is kept.
const KEPT_TAGS: usize = 1000;

thread_local! {
    static TAGS: RefCell<FxHashMap<Vec<u8>, String>> = RefCell::default();
}

/// _fill_header(LIST, HASH, TEXT): false where a field is not plainly one; what was filled in by
/// then is of no use.
fn fill(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let (list, hash, text) = (frame.sv(0), frame.sv(1), frame.bytes(2)?);
    for field in fields(&text) {
        let Some(name) = name(field) else {
            frame.ret_bool(false);
            return Ok(());
        };
        let tag = tag(name)?;
        let line = Sv::bytes(field);
        let place = line.reference();
        list.array_push(line);
        match hash.hash_get(&tag) {
            Some(places) => places.array_push(place),
            None => hash.hash_set(tag.as_bytes(), Sv::array_of([place])),
        }
    }
    frame.ret_bool(true);
    Ok(())
}

/// The text cut before each line that does not go on with the one before it.
fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr_iter(b'\n', rest)
            .map(|at| at + 1)
            .find(|end| !matches!(rest.get(*end), Some(b' ' | b'\t')))
            .unwrap_or(rest.len());
        let (field, after) = rest.split_at(end);
        rest = after;
        Some(field)
    })
}

/// The name of a well-formed field with its colon.
fn name(field: &[u8]) -> Option<&[u8]> {
    let ends_well = matches!(field, [.., last, b'\n'] if *last != b'\n');
    if !ends_well || memchr::memchr(b'\r', field).is_some() {
        return None;
    }
    let end = field
        .iter()
        .position(|byte| !matches!(byte, b'!'..=b'9' | b';'..=b'~'))?;
    (end > 0 && field[end] == b':').then(|| &field[..=end])
}

/// The name as Mail::Header spells it.
fn tag(name: &[u8]) -> Result<String, Raise> {
    if let Some(known) = TAGS.with_borrow(|tags| tags.get(name).cloned()) {
        return Ok(known);
    }
    let spelt = call_function("Mail::Header::_tag_case", &[Sv::bytes(name)], Want::Scalar)?;
    let spelt = match spelt.first() {
        Some(tag) => stringify(tag)?,
        None => Vec::new(),
    };
    let spelt = String::from_utf8_lossy(&spelt).into_owned();
    TAGS.with_borrow_mut(|tags| {
        if tags.len() >= KEPT_TAGS {
            tags.clear();
        }
        tags.insert(name.to_vec(), spelt.clone());
    });
    Ok(spelt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_on_over_lines_that_begin_with_space() {
        let text = b"A: 1\n 2\n\t3\nB: 4\n";
        let cut: Vec<&[u8]> = fields(text).collect();
        assert_eq!(cut, [&b"A: 1\n 2\n\t3\n"[..], b"B: 4\n"]);
    }

    #[test]
    fn only_a_plain_field_has_a_name() {
        assert_eq!(name(b"Subject: x\n"), Some(&b"Subject:"[..]));
        assert_eq!(name(b"X;y: x\n"), Some(&b"X;y:"[..]));
        for odd in [
            &b": x\n"[..],
            b"A b: x\n",
            b"A: x",
            b"A:\n\n",
            b"A: x\r\n",
            b"A",
            b"\n",
            b"\xc3: x\n",
        ] {
            assert_eq!(name(odd), None, "{odd:?}");
        }
    }
}
