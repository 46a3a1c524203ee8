//! Command lines out of the received bytes: ends at LF, with or without CR before it, and is
//! bounded. Does not split a line into verb and arguments.

use super::InputBuffer;

/// The longest line that is taken outside of a message, without its line end. RFC 5321 section
/// 4.5.3.1.4 asks for 512, and RFC 4954 section 4 for 12288 where a client answers AUTH, which it may
/// do behind the verb and the mechanism. The original has no limit.
pub const MAX_COMMAND_LINE: usize = 12_288 + 512;

/// What `CommandLines::next` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEvent {
    /// A line without its line end. NUL and 8-bit bytes are passed on.
    Line(Vec<u8>),
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
    searched: usize,
    discarding: bool,
}

impl Default for CommandLines {
    fn default() -> CommandLines {
        CommandLines::new(MAX_COMMAND_LINE)
    }
}

impl CommandLines {
    pub fn new(limit: usize) -> CommandLines {
        CommandLines {
            limit,
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
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let event = if self.discarding || line.len() > self.limit {
            LineEvent::TooLong
        } else {
            LineEvent::Line(line.to_vec())
        };
        self.discarding = false;
        self.searched = 0;
        input.consume(end + 1);
        event
    }
}

/// Takes one line with a decoder of its own: for places that read now and then.
pub fn take_line(input: &mut InputBuffer, limit: usize) -> LineEvent {
    CommandLines::new(limit).next(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(limit: usize, blocks: &[&[u8]]) -> Vec<LineEvent> {
        let mut lines = CommandLines::new(limit);
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
    fn nul_and_8_bit_bytes_and_bare_cr_are_passed_on() {
        assert_eq!(all(100, &[b"a\0\xe9\rb\r\n"]), [line(b"a\0\xe9\rb")]);
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
