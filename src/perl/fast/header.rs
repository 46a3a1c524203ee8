//! What Mail::Header does to every message, as that class itself does it: its own parser and its
//! own accessor are a large part of what a message costs. Does not judge what is malformed: that
//! is left to the class, and so is whatever is no plain text. Nothing of this is in force until the trial
//! in perl/Camelpost/Header.pm, which the plain way leaves out.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use rustc_hash::FxHashMap;

use crate::perl::fast::left_to;
use crate::perl::ffi::call::{Want, call_function, stringify};
use crate::perl::ffi::frame::{Body, Frame, Raise};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

pub(crate) const XSUBS: &[(&str, Body)] = &[
    ("Camelpost::Header::_filled", filled),
    ("Camelpost::Header::_fill_from", fill_from),
    ("Camelpost::Header::_get", get),
    ("Camelpost::Header::_add", add),
    ("Camelpost::Header::_delete", delete),
    ("Camelpost::Header::_spell", spell),
];

/// Names of fields whose spelling is kept.
const KEPT_TAGS: usize = 1000;
/// A copy of an empty header has nothing that is large.
const NO_LIMIT: usize = usize::MAX;

thread_local! {
    /// Not dropped with the thread: the interpreter is gone by then.
    static KNOWN: ManuallyDrop<RefCell<Known>> = ManuallyDrop::default();
}

/// What is known of the class.
#[derive(Default)]
struct Known {
    tags: FxHashMap<Vec<u8>, Tag>,
    /// An empty header, once a trial has shown that it can be filled here.
    blank: Option<Sv>,
}

/// The name of a field as Mail::Header spells it.
#[derive(Clone)]
struct Tag {
    /// A key of its hash.
    key: Sv,
    length: usize,
    /// The class takes it to end in what follows a field's name.
    ends_in_space: bool,
}

/// The Mail::Header that is made of the text of a client's header.
pub(crate) fn of(text: &[u8]) -> Result<Sv, Raise> {
    let blank = KNOWN.with(|known| known.borrow().blank.clone());
    if let Some(blank) = blank
        && let Some(header) = fill(&blank, text, true)?
    {
        return Ok(header);
    }
    let text = Sv::tainted_bytes(text);
    let made = call_function("Camelpost::Header::parse", &[text], Want::Scalar)?;
    Ok(made.into_iter().next().unwrap_or_else(Sv::undef))
}

/// _filled(BLANK, TEXT): a copy of an empty header with the fields of the text; undef where one of
/// them is not plainly a field.
fn filled(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let header = fill(&frame.sv(0), &frame.bytes(1)?, frame.sv(1).is_tainted())?;
    frame.ret(header.unwrap_or_else(Sv::undef));
    Ok(())
}

/// _fill_from(BLANK): that is what headers are copies of from now on.
fn fill_from(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let blank = Sv::copied(frame.sv(0).raw());
    KNOWN.with(|known| known.borrow_mut().blank = Some(blank));
    Ok(())
}

fn fill(blank: &Sv, text: &[u8], tainted: bool) -> Result<Option<Sv>, Raise> {
    if !blank.is_plain_hash() {
        return Ok(None);
    }
    let mut shared = 0;
    // SAFETY: a live blessed hash; the copy is a new hash.
    let copy = Sv::own(unsafe { sys::cp_copy_contents(blank.raw(), NO_LIMIT, &mut shared) });
    let Some(header) = copy.map(|copy| copy.reference()) else {
        return Ok(None);
    };
    let (Some(list), Some(hash)) = (
        header.hash_get("mail_hdr_list"),
        header.hash_get("mail_hdr_hash"),
    ) else {
        return Ok(None);
    };
    for field in fields(text) {
        let Some(name) = name(field) else {
            return Ok(None);
        };
        let tag = tag(name)?;
        let line = with_taint(Sv::bytes(field), tainted);
        let place = line.reference();
        list.array_push(line);
        match hash.hash_find(&tag.key) {
            Some(places) => places.array_push(place),
            None => hash.hash_set(&tag.key.to_bytes(), Sv::array_of([place])),
        }
    }
    // SAFETY: a live reference to a hash; the name ends in NUL.
    unsafe { sys::cp_bless(header.raw(), c"Mail::Header".as_ptr()) }
    Ok(Some(header))
}

fn with_taint(value: Sv, tainted: bool) -> Sv {
    if tainted { value.tainted() } else { value }
}

/// get(TAG [, INDEX]): the texts of all fields of the name, or of the first.
fn get(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let Some(texts) = texts(frame)? else {
        return left_to(frame, "Camelpost::Header::own_get");
    };
    for text in texts {
        frame.ret(text);
    }
    Ok(())
}

/// `None` where the class is to do it.
fn texts(frame: &Frame<'_>) -> Result<Option<Vec<Sv>>, Raise> {
    let header = frame.sv(0);
    if frame.is_defined(2) || !header.is_plain_hash() {
        return Ok(None);
    }
    let tag = match frame.sv(1).look_at_text(tag) {
        Some(tag) => tag?,
        None => return Ok(None),
    };
    let Some(hash) = header.hash_get("mail_hdr_hash") else {
        return Ok(None);
    };
    let Some(places) = hash.hash_find(&tag.key) else {
        return Ok(Some(Vec::new()));
    };
    let after = tag.length + usize::from(!tag.ends_in_space);
    let all = frame.wants() == Want::List;
    let wanted = if all { places.array_len() } else { 1 };
    let mut texts = Vec::with_capacity(wanted);
    for index in 0..wanted {
        let field = places.array_get(index).and_then(|place| place.referent());
        let text = field.and_then(|field| {
            let text = field.look_at_text(|text| text_after(text, after))?;
            text.map(|text| with_taint(text, field.is_tainted()))
        });
        match text {
            Some(text) => texts.push(text),
            None => return Ok(None),
        }
    }
    Ok(Some(texts))
}

/// add(TAG, TEXT [, PLACE]): a new field, before all others (0) or behind them (-1).
fn add(frame: &mut Frame<'_>) -> Result<(), Raise> {
    match added(frame)? {
        Some(text) => frame.ret(text),
        None => return left_to(frame, "Camelpost::Header::own_add"),
    }
    Ok(())
}

/// `None` where the class is to do it.
fn added(frame: &Frame<'_>) -> Result<Option<Sv>, Raise> {
    let header = frame.sv(0);
    let is_plain = || {
        header
            .hash_get("mail_hdr_modify")
            .is_some_and(|is| is.is_text(b"0"))
    };
    let place = match frame.is_defined(3) {
        true => frame.int(3),
        false => -1,
    };
    if !header.is_plain_hash() || !is_plain() || !matches!(place, 0 | -1) {
        return Ok(None);
    }
    let (name, text) = (frame.sv(1), frame.sv(2));
    let tainted = name.is_tainted() || text.is_tainted();
    let name = name.look_at_text(field_name).flatten();
    let line = name.and_then(|name| {
        let line = text.look_at_text(|text| line(&name, text)).flatten();
        line.map(|line| (name, line))
    });
    let Some((name, line)) = line else {
        return Ok(None);
    };
    let tag = tag(&name)?;
    let (Some(list), Some(hash)) = (
        header.hash_get("mail_hdr_list"),
        header.hash_get("mail_hdr_hash"),
    ) else {
        return Ok(None);
    };
    let places = hash.hash_find(&tag.key);
    let may_be_changed = list.is_plain_array()
        && hash.is_plain_hash()
        && places.as_ref().is_none_or(Sv::is_plain_array);
    if !may_be_changed {
        return Ok(None);
    }
    let text = with_taint(Sv::bytes(&line[name.len() + 1..]), tainted);
    let first = place == 0 || list.array_len() == 0;
    let line = with_taint(Sv::bytes(&line), tainted);
    let reference = line.reference();
    match first {
        true => list.array_unshift(line),
        false => list.array_push(line),
    }
    match places {
        Some(places) if first => places.array_unshift(reference),
        Some(places) => places.array_push(reference),
        None => hash.hash_set(&tag.key.to_bytes(), Sv::array_of([reference])),
    }
    Ok(Some(text))
}

/// The name of a field with its colon, of a name with or without.
fn field_name(name: &[u8]) -> Option<Vec<u8>> {
    let bare = name.strip_suffix(b":").unwrap_or(name);
    let is_name = |byte: &u8| matches!(byte, b'!'..=b'9' | b';'..=b'~');
    (!bare.is_empty() && bare.iter().all(is_name)).then(|| [bare, b":"].concat())
}

/// A field's one line.
fn line(name: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let begins = text.get(..name.len());
    if begins.is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        || memchr::memchr2(b'\n', b'\r', text).is_some()
    {
        return None;
    }
    let begin = text.iter().position(|byte| !is_space(byte));
    Some([name, b" ", &text[begin.unwrap_or(text.len())..], b"\n"].concat())
}

/// delete(TAG [, INDEX]), of what is not there.
fn delete(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let header = frame.sv(0);
    let tag = frame.sv(1).look_at_text(tag).transpose()?;
    let hash = match header.is_plain_hash() {
        true => header.hash_get("mail_hdr_hash"),
        false => None,
    };
    match (tag, hash) {
        (Some(tag), Some(hash)) if hash.hash_find(&tag.key).is_none() => {
            if frame.wants() == Want::Scalar {
                frame.ret_int(0);
            }
            Ok(())
        }
        _ => left_to(frame, "Camelpost::Header::own_delete"),
    }
}

/// What Perl's expressions take for white space.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A field's text behind its name and what separates the two.
fn text_after(field: &[u8], after: usize) -> Option<Sv> {
    let text = field.get(after..)?;
    let begin = text.iter().position(|byte| !is_space(byte));
    Some(Sv::bytes(&text[begin.unwrap_or(text.len())..]))
}

/// _spell(NAME): the class spells a name anew each time it is asked for it, some forty times a
/// message.
fn spell(frame: &mut Frame<'_>) -> Result<(), Raise> {
    let known = match frame.len() {
        1 => frame.sv(0).look_at_text(tag).transpose()?,
        _ => None,
    };
    match known {
        Some(tag) => frame.ret(Sv::copied(tag.key.raw())),
        None => return left_to(frame, "Camelpost::Header::own_spell"),
    }
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

fn tag(name: &[u8]) -> Result<Tag, Raise> {
    if let Some(known) = KNOWN.with(|known| known.borrow().tags.get(name).cloned()) {
        return Ok(known);
    }
    // The class's own code could do something to what the name is a look at.
    let name = name.to_vec();
    let spelt = call_function(
        "Camelpost::Header::own_spell",
        &[Sv::bytes(&name)],
        Want::Scalar,
    )?;
    let spelt = match spelt.first() {
        Some(tag) => stringify(tag)?,
        None => Vec::new(),
    };
    let tag = Tag {
        key: Sv::bytes(&spelt).copied_as_key(),
        length: spelt.len(),
        ends_in_space: matches!(spelt[..], [.., b' '] | [.., b' ', b'\n']),
    };
    KNOWN.with(|known| {
        let tags = &mut known.borrow_mut().tags;
        if tags.len() >= KEPT_TAGS {
            tags.clear();
        }
        tags.insert(name, tag.clone());
    });
    Ok(tag)
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
