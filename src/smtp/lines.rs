//! Command lines out of the received bytes: bounded, and ended at LF, with or without CR before it, as far
//! as `bare_line_ends` allows. Does not split a line into verb and arguments.

use super::input::InputBuffer;
use crate::config::BareLineEnds;

/// The longest line that is taken outside of a message, without its line end. RFC 5321 section
/// 4.5.3.1.4 asks for 512, and RFC 4954 section 4 for 12288 where a client answers AUTH, which it may
/// do behind the verb and the mechanism. The original has no limit.
pub const MAX_COMMAND_LINE: usize = 12_288 + 512;

/// An octet where RFC 5321 (2.3.8, 4.1.1.4) has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareByte {
    /// Without a CR before it.
    Lf,
    /// Without a LF behind it.
    Cr,
    Nul,
}

impl BareByte {
    pub fn name(self) -> &'static str {
        match self {
            BareByte::Lf => "LF",
            BareByte::Cr => "CR",
            BareByte::Nul => "NUL",
        }
    }

    /// The first CR or NUL in what has no line end of its own.
    pub(super) fn first_in(text: &[u8]) -> Option<BareByte> {
        let at = memchr::memchr2(b'\r', 0, text)?;
        Some(match text.get(at) {
            Some(b'\r') => BareByte::Cr,
            _ => BareByte::Nul,
        })
    }
}

/// What `CommandLines::next` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEvent {
    /// A line without its line end. 8-bit bytes are passed on, and NUL where `bare_line_ends` is original.
    Line(Vec<u8>),
    /// A line had this in it, which `bare_line_ends` does not allow; all of it is gone.
    Bare(BareByte),
    /// A line was longer than the limit; all of it is gone.
    TooLong,
    /// No complete line yet: read more.
    Incomplete,
}

/// The line decoder of a session. It remembers how far it has looked, so that a line that
/// comes byte by byte is searched once, and whether it is discarding an overlong line.
#[derive(Debug, Clone)]
pub struct CommandLines {
    limit: usize,
    bare_line_ends: BareLineEnds,
    searched: usize,
    discarding: bool,
}

impl Default for CommandLines {
    fn default() -> CommandLines {
        CommandLines::new(MAX_COMMAND_LINE, BareLineEnds::default())
    }
}

impl CommandLines {
    pub fn new(limit: usize, bare_line_ends: BareLineEnds) -> CommandLines {
        CommandLines {
            limit,
            bare_line_ends,
            searched: 0,
            discarding: false,
        }
    }

    /// Takes the next line out of `input`. Of a line above the limit no more than the limit is
    /// ever kept; `TooLong` is given once its end has come.
    pub fn next(&mut self, input: &mut InputBuffer) -> LineEvent {
        let bytes = input.as_slice();
        // DATA or AUTH may have taken bytes out of the buffer meanwhile.
        let from = self.searched.min(bytes.len());
        let Some(end) = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at) else {
            if self.discarding || bytes.len() > self.limit + 1 {
                self.discarding = true;
                self.searched = 0;
                input.clear();
            } else {
                self.searched = bytes.len();
            }
            return LineEvent::Incomplete;
        };
        let line = &bytes[..end];
        let before_cr = line.strip_suffix(b"\r");
        let event = if self.discarding || before_cr.unwrap_or(line).len() > self.limit {
            LineEvent::TooLong
        } else if before_cr.is_none() && self.bare_line_ends == BareLineEnds::Reject {
            LineEvent::Bare(BareByte::Lf)
        } else {
            self.judge(before_cr.unwrap_or(line))
        };
        self.discarding = false;
        self.searched = 0;
        input.consume(end + 1);
        event
    }

    /// A line that has lost its line end, or never had one, at the end of what the client sends.
    pub fn judge(&self, line: &[u8]) -> LineEvent {
        let line = match self.bare_line_ends {
            BareLineEnds::Original => return LineEvent::Line(line.to_vec()),
            BareLineEnds::Reject => line,
            // Clients that make CR LF of the LF in a CR LF exist.
            BareLineEnds::Normalize => without_crs(line),
        };
        match BareByte::first_in(line) {
            Some(bare) => LineEvent::Bare(bare),
            None => LineEvent::Line(line.to_vec()),
        }
    }
}

/// Without the CRs at its end.
pub(super) fn without_crs(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|byte| *byte != b'\r');
    &line[..kept.map_or(0, |at| at + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(limit: usize, blocks: &[&[u8]]) -> Vec<LineEvent> {
        all_under(BareLineEnds::Original, limit, blocks)
    }

    fn all_under(policy: BareLineEnds, limit: usize, blocks: &[&[u8]]) -> Vec<LineEvent> {
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
        }
        events
    }

    fn line(text: &[u8]) -> LineEvent {
        LineEvent::Line(text.to_vec())
    }

    #[test]
    fn a_line_ends_at_lf_with_or_without_one_cr() {
        assert_eq!(
            all(100, &[b"A\r\nB\nC\r\r\n\r\nD"]),
            [line(b"A"), line(b"B"), line(b"C\r"), line(b"")]
        );
    }

    #[test]
    fn as_in_the_original_nul_and_8_bit_bytes_and_bare_cr_are_passed_on() {
        assert_eq!(all(100, &[b"a\0\xe9\rb\r\n"]), [line(b"a\0\xe9\rb")]);
    }

    #[test]
    fn normalized_a_line_ends_at_lf_after_any_cr_and_has_neither_cr_nor_nul() {
        let text: &[u8] = b"A\r\nB\nC\r\r\n\r\r\nd\re\r\nf\0\r\n\xe9\r\n";
        let expected = [
            line(b"A"),
            line(b"B"),
            line(b"C"),
            line(b""),
            LineEvent::Bare(BareByte::Cr),
            LineEvent::Bare(BareByte::Nul),
            line(b"\xe9"),
        ];
        assert_eq!(all_under(BareLineEnds::Normalize, 100, &[text]), expected);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all_under(BareLineEnds::Normalize, 100, &single), expected);
    }

    #[test]
    fn a_strict_line_ends_at_one_cr_lf() {
        let text: &[u8] = b"A\r\nB\nC\r\r\nd\0\r\nE\r\n";
        let expected = [
            line(b"A"),
            LineEvent::Bare(BareByte::Lf),
            LineEvent::Bare(BareByte::Cr),
            LineEvent::Bare(BareByte::Nul),
            line(b"E"),
        ];
        assert_eq!(all_under(BareLineEnds::Reject, 100, &[text]), expected);
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let text = b"NOOP a\r\nQUIT\nx\r\n";
        let expected = all(100, &[text]);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(100, &single), expected);
    }

    #[test]
    fn an_overlong_line_is_discarded_and_the_next_one_is_taken() {
        let expected = [LineEvent::TooLong, line(b"NOOP")];
        assert_eq!(all(4, &[b"12345\r\nNOOP\r\n"]), expected);
        let long = vec![b'x'; 10_000];
        assert_eq!(all(4, &[&long, &long, b"\nNOOP\r\n"]), expected);
        let single: Vec<&[u8]> = b"12345\r\nNOOP\r\n".chunks(1).collect();
        assert_eq!(all(4, &single), expected);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_taken_also_with_cr() {
        let single: Vec<&[u8]> = b"1234\r\n".chunks(1).collect();
        assert_eq!(all(4, &single), [line(b"1234")]);
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        let mut lines = CommandLines::default();
        let mut input = InputBuffer::new();
        for _ in 0..1000 {
            input.push(&[b'x'; 1000]);
            assert_eq!(lines.next(&mut input), LineEvent::Incomplete);
            assert!(input.len() <= MAX_COMMAND_LINE + 1000);
        }
        input.push(b"\n");
        assert_eq!(lines.next(&mut input), LineEvent::TooLong);
    }
}
