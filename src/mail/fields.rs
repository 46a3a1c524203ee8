//! The fields of a header in native form: found, added, replaced, renamed and removed, with their folds.
//! A name counts in any case. Does not check what is put in; `check` says whether it may be.

use std::ops::Range;

use super::header::Header;

/// Why a field cannot stand in a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not what RFC 5322 section 3.6.8 allows.
    #[error("'{0}' is no name of a header field: printable ASCII without a colon is")]
    Name(String),
    /// It would end the field, or the header.
    #[error(
        "the value of header field {0} has a CR, a NUL, or a line end that nothing folds: \
         a line feed has to be followed by a space or a tab"
    )]
    Value(String),
}

/// A field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As it stands there.
    pub name: Vec<u8>,
    /// Without the white space around it; folds as they are.
    pub value: Vec<u8>,
}

impl Field {
    /// The value on one line.
    pub fn unfolded(&self) -> Vec<u8> {
        let bytes = self.value.iter();
        bytes
            .filter(|byte| !matches!(byte, b'\n' | b'\r'))
            .copied()
            .collect()
    }
}

/// Whether a field of this name and value may be put into a header.
pub fn check(name: &str, value: &[u8]) -> Result<(), FieldError> {
    let visible = |byte: u8| matches!(byte, 33..=126) && byte != b':';
    if name.is_empty() || !name.bytes().all(visible) {
        return Err(FieldError::Name(name.escape_debug().to_string()));
    }
    let bare = value.iter().enumerate().any(|(at, byte)| match byte {
        b'\r' | 0 => true,
        b'\n' => !matches!(value.get(at + 1), Some(b' ' | b'\t')),
        _ => false,
    });
    match bare {
        true => Err(FieldError::Value(name.to_owned())),
        false => Ok(()),
    }
}

impl Header {
    /// All fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.ranges().into_iter().filter_map(|range| {
            let field = &self.bytes[range];
            let colon = memchr::memchr(b':', field)?;
            Some(Field {
                name: field[..colon].to_vec(),
                value: field[colon + 1..].trim_ascii().to_vec(),
            })
        })
    }

    /// The fields of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Field> {
        let same = move |field: &Field| field.name.eq_ignore_ascii_case(name.as_bytes());
        self.fields().filter(same)
    }

    /// Puts a field at the end.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        // Whatever was there is complete lines, but for a message without a line end.
        if self.bytes.last().is_some_and(|last| *last != b'\n') {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(&line(name, value));
    }

    /// The field has this value, once: in the place of the first of this name, or at the end.
    pub fn replace(&mut self, name: &str, value: &[u8]) {
        let mut found = self.ranges_of(name);
        if found.is_empty() {
            self.add(name, value);
            return;
        }
        for range in found.drain(1..).rev() {
            self.bytes.drain(range);
        }
        if let Some(first) = found.pop() {
            self.bytes.splice(first, line(name, value));
        }
    }

    /// Gives the fields of a name another one, in their places. Says how many.
    pub fn rename(&mut self, old: &str, new: &str) -> usize {
        let found = self.ranges_of(old);
        for range in found.iter().rev() {
            let name = range.start..range.start + old.len();
            self.bytes.splice(name, new.bytes());
        }
        found.len()
    }

    /// Takes the fields of a name away. Says how many.
    pub fn remove(&mut self, name: &str) -> usize {
        let found = self.ranges_of(name);
        for range in found.iter().rev() {
            self.bytes.drain(range.clone());
        }
        found.len()
    }

    fn ranges_of(&self, name: &str) -> Vec<Range<usize>> {
        let mut ranges = self.ranges();
        ranges.retain(|range| {
            let field = &self.bytes[range.clone()];
            let start = field.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                && field.get(name.len()) == Some(&b':')
        });
        ranges
    }

    /// Where each field is, with its folds.
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let end = at + line.len();
            match ranges.last_mut() {
                Some(last) if matches!(line.first(), Some(b' ' | b'\t')) => last.end = end,
                _ => ranges.push(at..end),
            }
            at = end;
        }
        ranges
    }
}

fn line(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b": ", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(b"A: 1\nX-Spam: no\n folded\nB:2\nx-spam: yes\n".to_vec())
    }

    fn text(header: &Header) -> String {
        String::from_utf8(header.bytes.clone()).unwrap()
    }

    #[test]
    fn fields_are_found_in_any_case_with_their_folds() {
        let header = header();
        let found: Vec<Field> = header.named("X-SPAM").collect();
        let values: Vec<&[u8]> = found.iter().map(|field| &field.value[..]).collect();
        assert_eq!(values, [&b"no\n folded"[..], b"yes"]);
        assert_eq!(found[0].unfolded(), b"no folded");
        assert_eq!(header.fields().count(), 4);
        assert_eq!(header.named("X").count(), 0);
    }

    #[test]
    fn a_field_is_added_at_either_end() {
        let mut header = header();
        header.add_on_top(b"Top", b"t");
        header.add("End", b"e\n f");
        let expected = "Top: t\nA: 1\nX-Spam: no\n folded\nB:2\nx-spam: yes\nEnd: e\n f\n";
        assert_eq!(text(&header), expected);
        let mut open = Header::new(b"A: 1".to_vec());
        open.add("B", b"2");
        assert_eq!(text(&open), "A: 1\nB: 2\n");
    }

    #[test]
    fn what_is_replaced_is_there_once_where_the_first_was() {
        let mut header = header();
        header.replace("X-Spam", b"maybe");
        assert_eq!(text(&header), "A: 1\nX-Spam: maybe\nB:2\n");
        header.replace("C", b"3");
        assert_eq!(text(&header), "A: 1\nX-Spam: maybe\nB:2\nC: 3\n");
    }

    #[test]
    fn fields_are_renamed_in_their_places_and_removed_with_their_folds() {
        let mut renamed = header();
        assert_eq!(renamed.rename("x-spam", "X-Old-Spam"), 2);
        let expected = "A: 1\nX-Old-Spam: no\n folded\nB:2\nX-Old-Spam: yes\n";
        assert_eq!(text(&renamed), expected);
        let mut removed = header();
        assert_eq!(removed.remove("X-Spam"), 2);
        assert_eq!(text(&removed), "A: 1\nB:2\n");
        assert_eq!(removed.remove("X-Spam"), 0);
    }

    #[test]
    fn a_value_that_would_end_its_field_is_refused() {
        assert_eq!(check("X-A", b"one\n two\n\tthree"), Ok(()));
        for value in [&b"a\nB: c"[..], b"a\n", b"a\r\n b", b"a\0", b"a\n\n body"] {
            assert!(matches!(check("X-A", value), Err(FieldError::Value(_))));
        }
        for name in ["", "A B", "A:", "A\n", "\u{e9}"] {
            assert!(
                matches!(check(name, b"a"), Err(FieldError::Name(_))),
                "{name}"
            );
        }
    }
}
