//! What the SASL mechanisms PLAIN, LOGIN and CRAM-MD5 exchange with the client: base64 as
//! leniently as the original reads it, the parts of a response, the challenge. Knows neither
//! hooks nor replies.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const DECODER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes up to the first `=`. Characters that are not base64 are passed over.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let mut digits: Vec<u8> = text[..end].iter().copied().filter(in_alphabet).collect();
    // One digit more than full groups is less than a byte.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    DECODER.decode(digits).unwrap_or_default()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// User and password of a response to PLAIN, or the text that refuses it.
pub(super) fn plain(response: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Vec<u8>> {
    let mut parts = response.split(|byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default().to_vec();
    let (login_as, user, password) = (part(), part(), part());
    let another = !login_as.is_empty() && login_as != user;
    if !user.is_empty() && !another && !password.is_empty() {
        return Ok((user, password));
    }
    Err(invalid(&user, &login_as))
}

/// The text for a response that has no user or no password.
pub(super) fn invalid(user: &[u8], login_as: &[u8]) -> Vec<u8> {
    let text: &[u8] = b"Authentication invalid";
    match (user, login_as) {
        ([], []) => text.to_vec(),
        ([], login_as) => [text, b" (", &in_one_line(login_as)[..], b")"].concat(),
        (user, _) => [text, b" for ", &in_one_line(user)[..]].concat(),
    }
}

/// A line end in a client's text would look like another reply line.
pub(super) fn in_one_line(text: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| match byte {
        b'\r' | b'\n' => b' ',
        byte => *byte,
    };
    text.iter().map(shown).collect()
}

/// User and digest of a response to CRAM-MD5.
pub(super) fn cram_md5(response: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut words = response.split(|byte| *byte == b' ');
    let user = words.next().filter(|word| !word.is_empty())?;
    let digest = words.find(|word| !word.is_empty())?;
    Some((user.to_vec(), digest.to_vec()))
}

/// A challenge for CRAM-MD5 that nobody can foresee and that does not come twice.
pub(super) fn ticket(me: &[u8], now: SystemTime) -> Vec<u8> {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // The key of the hasher is random; time and process keep forked workers apart.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u128(now.as_nanos());
    hasher.write_u32(std::process::id());
    let mut ticket = format!("<{:x}.{:x}@", hasher.finish(), now.as_secs()).into_bytes();
    ticket.extend_from_slice(me);
    ticket.push(b'>');
    ticket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_up_to_the_first_equals_sign() {
        assert_eq!(decode(b"AGEAYg=="), b"\0a\0b");
        assert_eq!(decode(b"AGEAYg==x"), b"\0a\0b");
        assert_eq!(decode(b"YQ"), b"a");
        assert_eq!(decode(b"Y Q!"), b"a");
        assert_eq!(decode(b"YWJjZ"), b"abc");
        assert_eq!(decode(b"!!!"), b"");
        assert_eq!(decode(b"="), b"");
        assert_eq!(decode(b"\xff\0"), b"");
    }

    #[test]
    fn plain_has_user_and_password_and_no_other_identity() {
        let pair = |user: &[u8], password: &[u8]| Ok((user.to_vec(), password.to_vec()));
        assert_eq!(plain(b"\0a\0b"), pair(b"a", b"b"));
        assert_eq!(plain(b"a\0a\0b"), pair(b"a", b"b"));
        assert_eq!(plain(b"\0a\0b\0c"), pair(b"a", b"b"));
        for (response, text) in [
            (&b"x\0a\0b"[..], "Authentication invalid for a"),
            (b"a", "Authentication invalid (a)"),
            (b"", "Authentication invalid"),
            (b"\0\0b", "Authentication invalid"),
            (b"\0a\0", "Authentication invalid for a"),
        ] {
            assert_eq!(plain(response), Err(text.as_bytes().to_vec()));
        }
    }

    #[test]
    fn cram_md5_has_a_user_and_a_digest() {
        assert_eq!(cram_md5(b"a b c"), Some((b"a".to_vec(), b"b".to_vec())));
        assert_eq!(cram_md5(b"a"), None);
        assert_eq!(cram_md5(b" b"), None);
        assert_eq!(cram_md5(b""), None);
    }

    #[test]
    fn tickets_differ() {
        let tickets: Vec<_> = (0..100)
            .map(|_| ticket(b"mx.example", SystemTime::now()))
            .collect();
        assert!(tickets[0].ends_with(b"@mx.example>") && tickets[0].starts_with(b"<"));
        for (n, ticket) in tickets.iter().enumerate() {
            assert!(!tickets[..n].contains(ticket));
        }
    }
}
