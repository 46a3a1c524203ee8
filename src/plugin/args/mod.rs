//! The arguments of a native plugin's line: `name value` pairs for a struct with serde's Deserialize,
//! or words where their places count. An error names the argument and what is allowed; file and line
//! are who loads the plugin's to say.

mod line;
mod value;

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, SeqAccess, Visitor};

use super::failure::PluginError;

/// The words behind the plugin's name, for plugins whose arguments have no names:
/// `type Args = Words`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Vec<Vec<u8>>);

/// What `Words` are to the deserializer of a line.
const WORDS: &str = "$camelpost::Words";

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Words, D::Error> {
        struct Take;

        impl<'de> Visitor<'de> for Take {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("words")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<Words, A::Error> {
                let mut all = Vec::new();
                while let Some(word) = words.next_element::<Bytes>()? {
                    all.push(word.0);
                }
                Ok(Words(all))
            }
        }

        from.deserialize_newtype_struct(WORDS, Take)
    }
}

/// A word as it stands in the file, whatever its bytes.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        struct Take;

        impl Visitor<'_> for Take {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }

        from.deserialize_bytes(Take)
    }
}

/// A number of bytes: digits, then perhaps K, M or G (1024 each).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// What a `Size` is to the deserializer of a value.
const SIZE: &str = "$camelpost::Size";

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Size, D::Error> {
        struct Take;

        impl Visitor<'_> for Take {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes")
            }

            fn visit_u64<E>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
        }

        from.deserialize_newtype_struct(SIZE, Take)
    }
}

/// The arguments that these words make.
pub(super) fn read<T: DeserializeOwned>(
    words: &[Vec<u8>],
    common: &[&'static str],
) -> Result<T, PluginError> {
    T::deserialize(line::Line(words)).map_err(|wrong| wrong.told(common))
}

/// What is wrong with a line, or with the value of one of its arguments.
#[derive(Debug)]
struct Wrong {
    argument: Option<String>,
    text: String,
    /// There is no such argument; there are these.
    known: Option<Vec<&'static str>>,
}

impl Wrong {
    fn new(text: impl Into<String>) -> Wrong {
        Wrong {
            argument: None,
            text: text.into(),
            known: None,
        }
    }

    /// For whoever has written the line; `common` are arguments besides the plugin's own.
    fn told(self, common: &[&'static str]) -> PluginError {
        match (self.argument, self.known) {
            (Some(name), Some(mut known)) => {
                known.extend(common);
                PluginError::new(match known.is_empty() {
                    true => format!("unknown argument '{name}': there are none"),
                    false => format!("unknown argument '{name}'; there are: {}", known.join(", ")),
                })
            }
            (Some(name), None) => PluginError::argument(name, self.text),
            (None, _) => PluginError::new(self.text),
        }
    }

    /// It is about the argument with this name, unless it is about another one already.
    fn of(mut self, argument: &str) -> Wrong {
        self.argument.get_or_insert_with(|| argument.to_owned());
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Wrong {
        Wrong::new(text.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Wrong {
        unknown(field, expected)
    }

    fn missing_field(field: &'static str) -> Wrong {
        Wrong::new("is missing").of(field)
    }

    fn duplicate_field(field: &'static str) -> Wrong {
        Wrong::new("stands there twice").of(field)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Wrong {
        Wrong::new(format!(
            "takes {}, not '{variant}'",
            listed(expected, " or ")
        ))
    }
}

fn unknown(field: &str, known: &[&'static str]) -> Wrong {
    Wrong {
        argument: Some(field.to_owned()),
        text: "is unknown".to_owned(),
        known: Some(known.to_vec()),
    }
}

/// `a, b or c`.
fn listed(names: &[&str], last: &str) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., end] => format!("{}{last}{end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
