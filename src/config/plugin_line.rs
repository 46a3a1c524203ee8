//! A line of the files `plugins` and `logging`: a plugin's name and its arguments. Does not
//! look for the plugin.

use super::error::{ConfigError, Place};
use super::read::Entry;

/// A plugin's name (`rcpt_ok`, `queue/maildir`, `NAME:N`, `native/NAME`) and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLine {
    pub name: Vec<u8>,
    pub args: Vec<Vec<u8>>,
    /// The line as it stands in the file, but for white space around it.
    pub text: Vec<u8>,
    pub place: Place,
}

impl PluginLine {
    /// Splits a line at spaces and tabs; there is no quoting. The original refuses every byte
    /// but printable ASCII; tabs and 8-bit bytes are let through here.
    pub fn parse(entry: &Entry) -> Result<PluginLine, ConfigError> {
        let refused = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        let mut words = entry
            .text
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec);
        match words.next() {
            Some(name) if !entry.text.iter().any(refused) => Ok(PluginLine {
                name,
                args: words.collect(),
                text: entry.text.clone(),
                place: entry.place.clone(),
            }),
            _ => Err(ConfigError::PluginLine {
                place: entry.place.clone(),
                found: entry.text.escape_ascii().to_string(),
            }),
        }
    }

    /// The words of the line.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.name)
            .chain(&self.args)
            .map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<PluginLine, ConfigError> {
        let place = Place {
            file: std::path::Path::new("/etc/qpsmtpd/plugins").into(),
            line: 7,
        };
        PluginLine::parse(&Entry {
            text: text.to_vec(),
            place,
        })
    }

    #[test]
    fn a_line_is_words_between_spaces_without_quoting() {
        let line = parse(b"argp:1  a \t\"b c\" # d").unwrap();
        assert_eq!(line.name, b"argp:1");
        assert_eq!(line.args, [&b"a"[..], b"\"b", b"c\"", b"#", b"d"]);
        assert_eq!(line.text, b"argp:1  a \t\"b c\" # d");
    }

    #[test]
    fn control_characters_are_refused_with_file_and_line() {
        for text in [&b"a\0b"[..], b"a b\x01", b"a\x7f", b"a\rb"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("/etc/qpsmtpd/plugins:7: unsafe characters in config line"),
                "{error}"
            );
        }
        assert_eq!(parse(b"a \xe9").unwrap().args, [b"\xe9".to_vec()]);
    }
}
