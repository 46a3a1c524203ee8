//! The value of one argument as serde takes it: a text, a number, a time, a size, yes or no, one of
//! several words, or a list with commas.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{SIZE, WORDS, Wrong};

/// The word.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(pub &'a [u8]);

impl<'a> Value<'a> {
    fn text(self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.0).map_err(|_| {
            let shown = self.0.escape_ascii();
            Wrong::new(format!("takes a text in UTF-8, not '{shown}'"))
        })
    }

    fn refused(self, allowed: impl Display) -> Wrong {
        let shown = String::from_utf8_lossy(self.0);
        Wrong::new(format!("takes {allowed}, not '{shown}'"))
    }

    fn number<N: FromStr>(self, min: impl Display, max: impl Display) -> Result<N, Wrong> {
        let text = self.text()?;
        let refused = || self.refused(format!("a whole number from {min} to {max}"));
        // `parse` takes a sign.
        if text.starts_with('+') {
            return Err(refused());
        }
        text.parse().map_err(|_| refused())
    }

    /// Digits and one of these units, which may be left out.
    fn with_unit(self, units: &[(&str, u64)], allowed: &str) -> Result<u64, Wrong> {
        let text = self.text()?;
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = &text[digits.len()..];
        let known = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let found = units.iter().find(known).filter(|_| plain);
        let number = found.and_then(|(_, factor)| digits.parse::<u64>().ok()?.checked_mul(*factor));
        number.ok_or_else(|| self.refused(allowed))
    }

    fn milliseconds(self) -> Result<u64, Wrong> {
        const SECOND: u64 = 1000;
        let units = [
            ("", SECOND),
            ("ms", 1),
            ("s", SECOND),
            ("m", 60 * SECOND),
            ("h", 3600 * SECOND),
            ("d", 86_400 * SECOND),
        ];
        let allowed = "a time in seconds, or with a unit (ms, s, m, h, d) such as 90s or 2h";
        self.with_unit(&units, allowed)
    }

    fn bytes(self) -> Result<u64, Wrong> {
        let units = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
        let allowed = "a number of bytes, with or without K, M or G (1024 each) such as 64M";
        self.with_unit(&units, allowed)
    }

    fn is_on(self) -> Result<bool, Wrong> {
        match &self.0.to_ascii_lowercase()[..] {
            b"yes" | b"on" | b"true" | b"1" => Ok(true),
            b"no" | b"off" | b"false" | b"0" => Ok(false),
            _ => Err(self.refused("yes or no (or on, off, true, false, 1, 0)")),
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ident;)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            visitor.$visit(self.number::<$type>($type::MIN, $type::MAX)?)
        }
    )* };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.text()?)
    }

    numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = self.text()?.parse::<f64>().ok();
        let number = number.filter(|number| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| self.refused("a number"))?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bool(self.is_on()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match name {
            SIZE => visitor.visit_u64(self.bytes()?),
            WORDS => self.deserialize_seq(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// A list with commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let words = self.0.split(|byte| *byte == b',');
        let words = words.filter(|word| !word.is_empty()).map(Value);
        visitor.visit_seq(SeqDeserializer::new(words))
    }

    /// std's Duration, which serde takes for a struct.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if (name, fields) != ("Duration", &["secs", "nanos"]) {
            return self.deserialize_any(visitor);
        }
        let time = self.milliseconds()?;
        let parts = [time / 1000, time % 1000 * 1_000_000];
        visitor.visit_seq(SeqDeserializer::<_, Wrong>::new(parts.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let word: StrDeserializer<'_, Wrong> = self.text()?.into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string unit unit_struct tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Wrong> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
