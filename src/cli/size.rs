//! A number of bytes as the command line has it: digits, then perhaps K, M or G. Does not know what
//! it measures.

use std::fmt;
use std::str::FromStr;

/// Bytes; 0 where it limits something is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub u64);

const UNITS: [(char, u64); 3] = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || {
            "a number of bytes is wanted, as digits with or without K, M or G (1024 each): 64M"
                .to_owned()
        };
        let unit = text.chars().last().map(|last| last.to_ascii_uppercase());
        let unit = UNITS.into_iter().find(|(letter, _)| Some(*letter) == unit);
        let digits = match unit {
            Some(_) => &text[..text.len() - 1],
            None => text,
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let factor = unit.map_or(1, |(_, factor)| factor);
        number.checked_mul(factor).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(char, u64)| self.0 > 0 && self.0.is_multiple_of(*factor);
        match UNITS.iter().rev().find(whole) {
            Some((letter, factor)) => write!(f, "{}{letter}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_digits_with_or_without_a_unit_and_come_back_as_they_were() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("8K", 8192),
            ("64M", 64 << 20),
            ("1G", 1 << 30),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, text));
        }
        assert_eq!("2g".parse(), Ok(Size(2 << 30)));
        assert_eq!("1024M".parse::<Size>().unwrap().to_string(), "1G");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "1.5G",
            "1 G",
            "1MB",
            "99999999999999999999",
            "99999999999G",
            "1é",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
