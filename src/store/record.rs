//! How names, keys and values lie in the embedded store. Opens nothing, and knows no clock.
//!
//! A key there is: the name's length (one byte), the name, 0, the key; or 1 and the SHA-256 of the key where
//! LMDB has no room for that, and the whole key stands before the value. A value is: when it expires (8 bytes, in
//! ms since 1970, 0: never), and the value.

use std::time::Duration;

/// What LMDB takes.
const LONGEST: usize = 511;
const PLAIN: u8 = 0;
const HASHED: u8 = 1;

/// Where a key of a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub bytes: Vec<u8>,
    hashed: bool,
}

/// What all keys of a name begin with.
pub(super) fn prefix(name: &[u8]) -> Vec<u8> {
    // It has 100 bytes at most.
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name].concat()
}

impl Place {
    pub(super) fn of(name: &[u8], key: &[u8]) -> Place {
        let mut bytes = prefix(name);
        let hashed = bytes.len() + 1 + key.len() > LONGEST;
        match hashed {
            false => {
                bytes.push(PLAIN);
                bytes.extend_from_slice(key);
            }
            true => {
                bytes.push(HASHED);
                bytes.extend_from_slice(&openssl::sha::sha256(key));
            }
        }
        Place { bytes, hashed }
    }

    /// What is put there.
    pub(super) fn record(&self, key: &[u8], value: &[u8], expires: u64) -> Vec<u8> {
        let mut record = expires.to_be_bytes().to_vec();
        if self.hashed {
            let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
            record.extend_from_slice(&length.to_be_bytes());
            record.extend_from_slice(key);
        }
        record.extend_from_slice(value);
        record
    }
}

/// What stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    expires: u64,
}

impl<'a> Record<'a> {
    /// Reads it. None where something else stands there, which is nobody's.
    pub(super) fn read(place: &'a [u8], record: &'a [u8]) -> Option<Record<'a>> {
        let (expires, rest) = record.split_first_chunk::<8>()?;
        let (length, behind) = place.split_first()?;
        let (kind, key) = behind.get(usize::from(*length)..)?.split_first()?;
        let (key, value) = match *kind {
            PLAIN => (key, rest),
            _ => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                rest.split_at_checked(u32::from_be_bytes(*length) as usize)?
            }
        };
        Some(Record {
            key,
            value,
            expires: u64::from_be_bytes(*expires),
        })
    }

    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }
}

/// When something expires that is to live for so long from now on.
pub(super) fn end(now: u64, lives: Option<Duration>) -> u64 {
    let Some(lives) = lives else { return 0 };
    let lives = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
    now.saturating_add(lives).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 400, 505, 506, 507, 600, 70_000] {
            let key = vec![b'k'; length];
            let place = Place::of(b"name", &key);
            assert!(place.bytes.len() <= LONGEST, "{length}");
            assert!(place.bytes.starts_with(&prefix(b"name")));
            let record = place.record(&key, b"value", 7);
            let read = Record::read(&place.bytes, &record).unwrap();
            assert_eq!((read.key, read.value), (&key[..], &b"value"[..]));
            assert!(read.is_expired(7) && !read.is_expired(6));
        }
    }

    #[test]
    fn names_are_spaces_of_their_own() {
        assert_ne!(Place::of(b"ab", b"c").bytes, Place::of(b"a", b"bc").bytes);
        assert!(!Place::of(b"ab", b"c").bytes.starts_with(&prefix(b"a")));
    }

    #[test]
    fn what_was_not_written_here_is_nobody_s() {
        for (place, record) in [
            (&b""[..], &b"12345678"[..]),
            (b"\x04name\0k", b"1234567"),
            (b"\x09name\0k", b"12345678"),
            (b"\x04name", b"12345678"),
            (b"\x04name\x01hash", b"12345678\0\0\0\x09short"),
        ] {
            assert_eq!(Record::read(place, record), None);
        }
    }

    #[test]
    fn what_does_not_expire_stays() {
        let place = Place::of(b"n", b"k");
        let record = place.record(b"k", b"", end(5, None));
        let read = Record::read(&place.bytes, &record).unwrap();
        assert!(!read.is_expired(u64::MAX));
        assert_eq!(end(5, Some(Duration::from_millis(3))), 8);
        assert_eq!(end(5, Some(Duration::MAX)), u64::MAX);
    }
}
