//! A line's words as serde takes them: pairs for a struct or map, all of them in order for `Words` and
//! lists, none for `()`.

use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::value::Value;
use super::{WORDS, Wrong, unknown};

/// The words behind a plugin's name.
pub(super) struct Line<'a>(pub &'a [Vec<u8>]);

impl<'a> Line<'a> {
    fn pairs<'de, V: Visitor<'de>>(
        self,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(Pairs {
            words: self.0,
            at: 0,
            known,
        })
    }
}

impl<'de> Deserializer<'de> for Line<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.pairs(&[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.pairs(fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match name {
            WORDS => self.deserialize_seq(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().map(|word| Value(word))))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.first() {
            None => visitor.visit_unit(),
            Some(word) => Err(unknown(&String::from_utf8_lossy(word), &[])),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.is_empty() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        tuple_struct map enum identifier ignored_any
    }
}

struct Pairs<'a> {
    words: &'a [Vec<u8>],
    /// How many of them were taken.
    at: usize,
    known: &'static [&'static str],
}

impl Pairs<'_> {
    fn name(&self, at: usize) -> String {
        let word = self.words.get(at).map(Vec::as_slice);
        String::from_utf8_lossy(word.unwrap_or_default()).into_owned()
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(word) = self.words.get(self.at) else {
            return Ok(None);
        };
        // Of what stands there twice a map would keep the last, and nobody would know.
        let before = self.words[..self.at].iter().step_by(2);
        if before.into_iter().any(|before| before == word) {
            return Err(Wrong::new("stands there twice").of(&self.name(self.at)));
        }
        seed.deserialize(Value(word)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let name = self.name(self.at);
        let value = self.words.get(self.at + 1);
        let value = value
            .ok_or_else(|| Wrong::new("has no value: arguments are pairs, name value").of(&name))?;
        self.at += 2;
        let pair = Pair {
            name: &name,
            known: self.known,
            value: Value(value),
        };
        seed.deserialize(pair).map_err(|wrong| wrong.of(&name))
    }
}

/// The value of an argument; who does not look at it does not know the argument.
struct Pair<'a> {
    name: &'a str,
    known: &'static [&'static str],
    value: Value<'a>,
}

macro_rules! as_value {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => { $(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Wrong> {
            self.value.$method($($arg,)* visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for Pair<'_> {
    type Error = Wrong;

    as_value! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Wrong> {
        Err(unknown(self.name, self.known))
    }
}
