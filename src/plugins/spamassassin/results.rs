//! What spamd's answer says: the fields that a message gets, and the results in X-Spam-Status. Decides nothing.

use crate::log::{LOGDEBUG, LOGERROR};
use crate::mail::Note;
use crate::plugin::Cx;

/// The transaction's note with the results, a hash for Perl plugins.
pub(super) const NOTE: &str = "spamassassin";

/// The results of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Results {
    /// `Yes` or `No`.
    pub(super) is_spam: Vec<u8>,
    /// What else there is: names, and values where there are some.
    pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Results {
    /// Of the text of an X-Spam-Status field, `Yes, score=7.5 required=5.0`. Versions before 3 have `hits`.
    pub(super) fn of(status: &[u8]) -> Results {
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let mut words = status.split(is_space).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        let is_spam = first[..first.len().saturating_sub(1)].to_vec();
        let mut pairs: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for word in words {
            let mut parts = word.split(|byte| *byte == b'=');
            let name = parts.next().unwrap_or_default().to_vec();
            let value = parts.next().map(<[u8]>::to_vec);
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => pairs.push((name, value)),
            }
        }
        let has_score = pairs
            .iter()
            .any(|(name, value)| name == b"score" && value.is_some());
        let hits = pairs
            .iter_mut()
            .find(|(name, value)| name == b"hits" && value.is_some());
        if let Some((name, _)) = hits.filter(|_| !has_score) {
            *name = b"score".to_vec();
        }
        Results { is_spam, pairs }
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .pairs
            .iter()
            .find(|(known, _)| known == name.as_bytes());
        found?.1.as_deref()
    }

    pub(super) fn note(&self) -> Note {
        let value = |value: &Option<Vec<u8>>| value.clone().map_or(Note::Undef, Note::from);
        let pairs = self
            .pairs
            .iter()
            .map(|(name, known)| (name.clone(), value(known)));
        let mut pairs: Vec<(Vec<u8>, Note)> = pairs.collect();
        pairs.push((b"is_spam".to_vec(), self.is_spam.clone().into()));
        Note::Hash(pairs)
    }

    /// None of what is Perl's own.
    pub(super) fn of_note(note: &Note) -> Option<Results> {
        let Note::Hash(pairs) = note else {
            return None;
        };
        let mut is_spam = Vec::new();
        let mut rest = Vec::new();
        for (name, value) in pairs {
            match &name[..] {
                b"is_spam" => is_spam = value.bytes().unwrap_or_default(),
                _ => rest.push((name.clone(), value.bytes())),
            }
        }
        Some(Results {
            is_spam,
            pairs: rest,
        })
    }
}

/// The X-Spam fields of an answer, names and values, folds in them as CRLF and a tab. None of an answer that is none.
pub(super) fn fields(cx: &Cx<'_>, answer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines = answer.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if !first.windows(5).any(|part| part == b"EX_OK") {
        cx.log(LOGERROR, [b"invalid response from spamd: ", first].concat());
        return Vec::new();
    }
    let fields = of_lines(lines);
    cx.log(LOGDEBUG, "finished reading from spamd");
    fields
}

fn of_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut last = None;
    for line in lines {
        let line: Vec<u8> = line
            .iter()
            .copied()
            .filter(|byte| !b"\r\n".contains(byte))
            .collect();
        let colon = line.windows(2).position(|two| two == b": ");
        let colon = colon.filter(|at| line.starts_with(b"X-Spam-") && *at >= 7);
        if let Some(at) = colon {
            let name = String::from_utf8_lossy(&line[..at]).into_owned();
            let value = match &line[at + 2..] {
                b"0" => Vec::new(),
                value => value.to_vec(),
            };
            let known = fields.iter().position(|(known, _)| *known == name);
            last = Some(known.unwrap_or(fields.len()));
            match known {
                Some(at) => fields[at].1 = value,
                None => fields.push((name, value)),
            }
            continue;
        }
        let is_fold = line.first().is_some_and(u8::is_ascii_whitespace);
        match last.filter(|_| is_fold) {
            Some(at) => fields[at]
                .1
                .extend_from_slice(&[b"\r\n\t", &line[..]].concat()),
            None => last = None,
        }
    }
    fields
}

/// A field's value for a header, whose lines end in LF.
pub(super) fn field_lines(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .copied()
        .filter(|byte| *byte != b'\r')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_word_and_pairs() {
        let results = Results::of(b"Yes, score=7.5 required=5.0 tests=A,B\n\t\tautolearn=spam");
        assert_eq!(results.is_spam, b"Yes");
        assert_eq!(results.get("score"), Some(&b"7.5"[..]));
        assert_eq!(results.get("autolearn"), Some(&b"spam"[..]));
        let old = Results::of(b"No, hits=1 odd");
        assert_eq!((old.get("score"), old.get("odd")), (Some(&b"1"[..]), None));
        assert_eq!(Results::of_note(&old.note()), Some(old));
        assert_eq!(Results::of(b"").is_spam, b"");
    }

    #[test]
    fn fields_are_those_that_begin_with_x_spam() {
        let text = "Spam: maybe\r\n\r\nX-Spam-Status: No, score=1\r\n\ttests=A\r\nX-Spam-Flag: 0\r\nSubject: x\r\n\tfold\r\n";
        let fields = of_lines(text.as_bytes().split_inclusive(|byte| *byte == b'\n'));
        let status = b"No, score=1\r\n\t\ttests=A".to_vec();
        assert_eq!(fields[0], ("X-Spam-Status".to_owned(), status));
        assert_eq!(fields[1], ("X-Spam-Flag".to_owned(), Vec::new()));
        assert_eq!(fields.len(), 2);
        assert_eq!(field_lines(b"a\r\n\tb"), b"a\n\tb");
    }
}
