//! The lists of badmailfrom and badrcptto: in each line an address, `@domain` or a pattern, and a text
//! behind it. Does not know what is compared with them.

use std::marker::PhantomData;

use regex::bytes::Regex;

use super::pattern;
use crate::plugin::{ConfigValue, LoadEnv, PluginError, WrongValue};

/// How a list's patterns are read.
pub(super) trait Kind: 'static {
    /// The pattern, and whether it counts in any case.
    fn pattern(word: &[u8]) -> (Vec<u8>, bool);
}

/// A list.
pub(super) struct List<K> {
    pub entries: Vec<Entry>,
    kind: PhantomData<K>,
}

/// A line of it.
pub(super) struct Entry {
    /// Its first word; the line counts for nothing where that is not true in Perl's sense.
    pub word: Vec<u8>,
    /// What is behind it.
    pub rest: Vec<u8>,
    /// The word as a pattern, where it is one; or why it cannot be read.
    pub pattern: Option<Result<Regex, String>>,
}

impl<K: Kind> ConfigValue for List<K> {
    fn parse(lines: &[Vec<u8>]) -> Result<Self, WrongValue> {
        Ok(List {
            entries: lines.iter().map(|line| entry::<K>(line)).collect(),
            kind: PhantomData,
        })
    }
}

fn entry<K: Kind>(line: &[u8]) -> Entry {
    let start = line.iter().position(|byte| !is_space(*byte));
    let line = &line[start.unwrap_or(line.len())..];
    let end = line.iter().position(|byte| is_space(*byte));
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    let start = rest.iter().position(|byte| !is_space(*byte));
    let rest = &rest[start.unwrap_or(rest.len())..];
    let pattern = word
        .iter()
        .any(|byte| b"/^$*+!%?\\".contains(byte))
        .then(|| {
            let (text, any_case) = K::pattern(word);
            pattern::perl(&text, any_case).map_err(|why| {
                let shown = String::from_utf8_lossy(word);
                format!("the pattern '{shown}' cannot be read: {why}")
            })
        });
    Entry {
        word: word.to_vec(),
        rest: rest.to_vec(),
        pattern,
    }
}

/// Says once which of a list's patterns cannot be read, as it is when the plugin is loaded.
pub(super) fn tell_wrong<K: Kind>(env: &LoadEnv<'_>, name: &str) -> Result<(), PluginError> {
    for line in env.config().entries(name)? {
        if let Some(Err(why)) = entry::<K>(&line.text).pattern {
            env.warn(format!("{}: {why}", line.place));
        }
    }
    Ok(())
}

/// Truth in Perl's sense.
pub(super) fn is_true(text: &[u8]) -> bool {
    !text.is_empty() && text != b"0"
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct AsItIs;

    impl Kind for AsItIs {
        fn pattern(word: &[u8]) -> (Vec<u8>, bool) {
            (word.to_vec(), false)
        }
    }

    #[test]
    fn a_line_is_a_word_and_a_text() {
        let line = entry::<AsItIs>(b"  @a.example \t go  away ");
        assert_eq!(line.word, b"@a.example");
        assert_eq!(line.rest, b"go  away ");
        assert!(line.pattern.is_none());
        let line = entry::<AsItIs>(b"^a@");
        assert!(line.pattern.unwrap().unwrap().is_match(b"a@b") && line.rest.is_empty());
        let wrong = entry::<AsItIs>(b"+++ x").pattern.unwrap().unwrap_err();
        assert_eq!(
            wrong,
            "the pattern '+++' cannot be read: + follows nothing that can be repeated"
        );
    }
}
