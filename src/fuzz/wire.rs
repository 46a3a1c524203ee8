//! The wire form of SMTP: lines, commands, addresses, DATA, replies.

use super::{choice, chunks};
use crate::config::BareLineEnds;
use crate::smtp::{
    Address, CommandLines, DataDecoder, DataEvent, InputBuffer, LineEvent, Reply,
    parse_mail_or_rcpt, split_arguments, split_command,
};

/// Lines are the same however they arrive, have no line feed, are no longer than the limit, and what is
/// kept meanwhile is bounded. The first byte chooses limit and cuts.
pub fn lines(bytes: &[u8]) {
    let (seed, text) = choice(bytes);
    let limit = 4 + usize::from(seed % 64);
    for policy in POLICIES {
        let events = |blocks: &[&[u8]]| line_events(limit, policy, blocks);
        let whole = events(&[text]);
        for event in &whole {
            if let LineEvent::Line(line) = event {
                assert!(line.len() <= limit, "a line of {} bytes", line.len());
                assert!(!line.contains(&b'\n'), "a line feed in a line");
                let odd = memchr::memchr2(b'\r', 0, line);
                let kept = policy == BareLineEnds::Original;
                assert!(kept || odd.is_none(), "CR or NUL in a line: {policy:?}");
            }
        }
        let ends = memchr::memchr_iter(b'\n', text).count();
        assert_eq!(whole.len(), ends, "an event for each line end");
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(events(&single), whole, "byte by byte");
        assert_eq!(events(&chunks(seed, text)), whole, "in chunks");
    }
}

const POLICIES: [BareLineEnds; 3] = [
    BareLineEnds::Reject,
    BareLineEnds::Normalize,
    BareLineEnds::Original,
];

fn line_events(limit: usize, policy: BareLineEnds, blocks: &[&[u8]]) -> Vec<LineEvent> {
    let mut lines = CommandLines::new(limit, policy);
    let mut input = InputBuffer::new();
    let mut events = Vec::new();
    for block in blocks {
        input.push(block);
        loop {
            match lines.next(&mut input) {
                LineEvent::Incomplete => break,
                event => events.push(event),
            }
        }
        assert!(input.len() <= limit + 1, "{} bytes are kept", input.len());
    }
    events
}

/// A verb is a word in lower case; of MAIL and RCPT a path is left, and each parameter is one word with
/// its keyword once.
pub fn command(line: &[u8]) {
    let (verb, rest) = split_command(line);
    assert!(!verb.contains(&b' '), "a space in a verb");
    assert_eq!(verb, verb.to_ascii_lowercase());
    let rest = rest.unwrap_or_default();
    assert!(!rest.starts_with(b" "));
    let words = split_arguments(&rest);
    assert!(words.iter().all(|word| !word.contains(&b' ')));
    for verb in [&b"mail"[..], b"RCPT"] {
        match parse_mail_or_rcpt(verb, &rest) {
            Ok((path, parameters)) => {
                assert!(!path.is_empty(), "a path is never empty");
                for (at, (keyword, value)) in parameters.iter().enumerate() {
                    assert_eq!(*keyword, keyword.to_ascii_lowercase());
                    let earlier = parameters.iter().take(at);
                    assert!(!earlier.clone().any(|(known, _)| known == keyword));
                    let value = value.as_deref().unwrap_or_default();
                    let is_visible = |byte: &u8| *byte > b' ';
                    assert!(keyword.iter().chain(value).all(is_visible));
                }
            }
            Err(text) => assert!(text.is_ascii() && !text.is_empty()),
        }
    }
}

/// An address that was taken has a form that is taken again and means the same. As in the original, any
/// byte but a line feed may part the labels of a domain.
pub fn address(text: &[u8]) {
    for parsed in [Address::parse(text), parse_bracketed(text)] {
        let Some(address) = parsed else { continue };
        let written = address.format();
        assert!(written.starts_with(b"<") && written.ends_with(b">"));
    }
    let Some((user, host)) = Address::canonify(text) else {
        return;
    };
    let parts = [&user[..], host.as_deref().unwrap_or_default()];
    assert!(!parts.iter().any(|part| part.contains(&b'\n')));
    // What the grammar takes as an unquoted local part and would not take quoted is left out.
    let is_plain = |byte: &u8| matches!(byte, 1..=9 | 11 | 12 | 14..=127);
    let begins = user.first().is_some_and(|byte| *byte != b'.');
    if host.is_some() && begins && user.iter().all(is_plain) {
        let written = Address::from_parts(Some(user.clone()), host.clone()).format();
        let again = Address::canonify(&written);
        let shown = written.escape_ascii();
        assert_eq!(again, Some((user, host)), "by way of {shown}");
    }
}

fn parse_bracketed(text: &[u8]) -> Option<Address> {
    Address::parse(&[b"<", text, b">"].concat())
}

/// DATA is the same however it is cut into chunks, and what a plain reading of its lines makes it, except
/// where a policy changes octets. The first byte chooses the cuts.
pub fn data(bytes: &[u8]) {
    let (seed, text) = choice(bytes);
    for policy in POLICIES {
        let is_original = policy == BareLineEnds::Original;
        let whole = decode(policy, &[text]);
        if is_original || !has_bare_octets(text) {
            let expected = read_plainly(is_original, text);
            assert_eq!(whole, expected, "read plainly: {policy:?}");
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(decode(policy, &single), whole, "byte by byte: {policy:?}");
        let cut = chunks(seed, text);
        assert_eq!(decode(policy, &cut), whole, "in chunks: {policy:?}");
    }
}

/// A CR without a LF behind it, or a NUL.
fn has_bare_octets(text: &[u8]) -> bool {
    let bare_cr = |pair: &[u8]| pair[0] == b'\r' && pair.get(1) != Some(&b'\n');
    text.contains(&0) || text.ends_with(b"\r") || text.windows(2).any(bare_cr)
}

/// What was decoded, how it ended, and what is left.
type Decoded = (Vec<u8>, DataEvent, Vec<u8>);

fn decode(policy: BareLineEnds, blocks: &[&[u8]]) -> Decoded {
    let mut decoder = DataDecoder::new(policy);
    let mut input = InputBuffer::new();
    let mut out = Vec::new();
    let mut event = DataEvent::More;
    for block in blocks {
        input.push(block);
        if event == DataEvent::More {
            event = decoder.decode(&mut input, &mut out);
        }
    }
    let odd = memchr::memchr2(b'\r', 0, &out);
    let changed = policy == BareLineEnds::Normalize;
    assert!(!changed || odd.is_none(), "CR or NUL in a message");
    if event == DataEvent::More {
        out.extend_from_slice(decoder.unfinished());
    }
    (out, event, input.take())
}

fn read_plainly(ends_after_bare_lf: bool, text: &[u8]) -> Decoded {
    let (mut out, mut rest, mut after_crlf) = (Vec::new(), text, true);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        match line {
            b"." => return (out, DataEvent::BareLfDot, rest.to_vec()),
            b".\r" if after_crlf || ends_after_bare_lf => {
                return (out, DataEvent::End, rest.to_vec());
            }
            _ => {}
        }
        after_crlf = line.ends_with(b"\r");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        out.extend_from_slice(without_stuffing(line));
        out.push(b'\n');
    }
    out.extend_from_slice(without_stuffing(rest));
    (out, DataEvent::More, Vec::new())
}

fn without_stuffing(line: &[u8]) -> &[u8] {
    match line.starts_with(b"..") {
        true => &line[1..],
        false => line,
    }
}

/// Whatever code and texts are, one reply is written: lines with the same three digits, of which only the
/// last has no hyphen. The first two bytes are the code, NUL parts the texts.
pub fn reply(bytes: &[u8]) {
    let (high, rest) = choice(bytes);
    let (low, texts) = choice(rest);
    let texts = texts.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let reply = Reply::lines(u16::from_be_bytes([high, low]), texts.collect());
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    assert_eq!(replies(&wire).len(), 1);
}

/// The codes of the replies on the wire, each of which is well-formed.
pub(super) fn replies(wire: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut open: Option<u16> = None;
    let mut rest = wire;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let line = &rest[..end];
        rest = &rest[end + 2..];
        assert!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
        let (Some(code), Some(mark)) = (line.get(..3), line.get(3)) else {
            panic!("no reply: {:?}", line.escape_ascii().to_string());
        };
        assert!(code.iter().all(u8::is_ascii_digit));
        let code = code
            .iter()
            .fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
        assert!(
            open.is_none_or(|begun| begun == code),
            "two codes in a reply"
        );
        match mark {
            b'-' => open = Some(code),
            b' ' => {
                open = None;
                codes.push(code);
            }
            _ => panic!("no reply: {:?}", line.escape_ascii().to_string()),
        }
    }
    assert!(rest.is_empty(), "a reply without its end");
    assert!(open.is_none(), "a reply without its last line");
    codes
}

/// What a Redis server answers: what is read has the bytes that it says, and they alone give the same.
pub fn redis(bytes: &[u8]) {
    if let Ok(Some((answer, length))) = crate::store::redis::wire::read(bytes) {
        assert!((1..=bytes.len()).contains(&length));
        let again = crate::store::redis::wire::read(&bytes[..length]);
        assert_eq!(again, Ok(Some((answer, length))));
        let less = crate::store::redis::wire::read(&bytes[..length - 1]);
        assert_eq!(less, Ok(None));
    }
}
