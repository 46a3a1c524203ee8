//! DATA in blocks: line ends, dot transparency (RFC 5321 section 4.5.2) and the end of the
//! message. Stores lines as the original does, with LF ends; knows neither headers nor limits.

use super::InputBuffer;

/// What stopped `DataDecoder::decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataEvent {
    /// All input is consumed and the message goes on: read more.
    More,
    /// The end of the message was consumed; later bytes are still in the input.
    End,
    /// A line was exactly `.` LF, which the original answers with a 421 and a close. Later
    /// bytes are still in the input.
    BareLfDot,
}

/// Where the decoder is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first byte of a line; whether the line before ended in CR LF.
    LineStart { crlf: bool },
    /// After a dot at the start of a line.
    Dot { crlf: bool },
    /// After a dot and a CR at the start of a line.
    DotCr { crlf: bool },
    /// Inside a line.
    Inside,
    /// Inside a line, after a CR that is not passed on yet.
    InsideCr,
}

/// The decoder for one message.
#[derive(Debug, Clone)]
pub struct DataDecoder {
    at: At,
    accept_bare_lf: bool,
}

impl DataDecoder {
    /// With `accept_bare_lf`, LF . CR LF ends the message as under the original; without it
    /// only CR LF . CR LF does.
    pub fn new(accept_bare_lf: bool) -> DataDecoder {
        DataDecoder {
            at: At::LineStart { crlf: true },
            accept_bare_lf,
        }
    }

    /// Whether the last line is incomplete (only between blocks; never after `End`).
    pub fn inside_line(&self) -> bool {
        !matches!(self.at, At::LineStart { .. })
    }

    /// Bytes that are consumed but not given out, as their meaning depends on what follows.
    pub fn unfinished(&self) -> &'static [u8] {
        match self.at {
            At::Dot { .. } => b".",
            At::DotCr { .. } => b".\r",
            At::InsideCr => b"\r",
            At::LineStart { .. } | At::Inside => b"",
        }
    }

    /// Consumes `input` up to the end of the message and appends what it stands for to `out`:
    /// CR LF becomes LF; of two dots at the start of a line the first goes, a single one stays
    /// (as in the original); a bare CR and a bare LF are kept.
    pub fn decode(&mut self, input: &mut InputBuffer, out: &mut Vec<u8>) -> DataEvent {
        let bytes = input.as_slice();
        out.reserve(bytes.len() + 2);
        let mut done = 0;
        let event = loop {
            let rest = &bytes[done..];
            let Some(&first) = rest.first() else {
                break DataEvent::More;
            };
            match self.at {
                At::LineStart { crlf } if first == b'.' => {
                    done += 1;
                    self.at = At::Dot { crlf };
                }
                At::LineStart { .. } | At::Inside => done += self.rest_of_line(rest, out),
                At::InsideCr => {
                    if first == b'\n' {
                        done += 1;
                        out.push(b'\n');
                        self.at = At::LineStart { crlf: true };
                    } else {
                        out.push(b'\r');
                        self.at = At::Inside;
                    }
                }
                At::Dot { crlf } => match first {
                    b'\n' => {
                        done += 1;
                        self.at = At::LineStart { crlf: false };
                        break DataEvent::BareLfDot;
                    }
                    b'\r' => {
                        done += 1;
                        self.at = At::DotCr { crlf };
                    }
                    // The first of two dots stands for nothing.
                    b'.' => self.at = At::Inside,
                    _ => {
                        out.push(b'.');
                        self.at = At::Inside;
                    }
                },
                At::DotCr { crlf } => {
                    if first != b'\n' {
                        out.push(b'.');
                        self.at = At::InsideCr;
                        continue;
                    }
                    done += 1;
                    self.at = At::LineStart { crlf: true };
                    if crlf || self.accept_bare_lf {
                        break DataEvent::End;
                    }
                    out.extend_from_slice(b".\n");
                }
            }
        };
        input.consume(done);
        event
    }

    /// Appends what there is of a line that does not start with a dot; gives its length.
    fn rest_of_line(&mut self, rest: &[u8], out: &mut Vec<u8>) -> usize {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            let whole = rest.strip_suffix(b"\r");
            self.at = if whole.is_some() {
                At::InsideCr
            } else {
                At::Inside
            };
            out.extend_from_slice(whole.unwrap_or(rest));
            return rest.len();
        };
        match rest[..end].strip_suffix(b"\r") {
            Some(line) => {
                out.extend_from_slice(line);
                out.push(b'\n');
                self.at = At::LineStart { crlf: true };
            }
            None => {
                out.extend_from_slice(&rest[..=end]);
                self.at = At::LineStart { crlf: false };
            }
        }
        end + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(accept_bare_lf: bool, blocks: &[&[u8]]) -> (Vec<u8>, DataEvent, Vec<u8>) {
        let mut decoder = DataDecoder::new(accept_bare_lf);
        let mut input = InputBuffer::new();
        let mut out = Vec::new();
        let mut event = DataEvent::More;
        for block in blocks {
            input.push(block);
            if event == DataEvent::More {
                event = decoder.decode(&mut input, &mut out);
                assert!(event != DataEvent::More || input.is_empty());
            }
        }
        (out, event, input.take())
    }

    fn decoded(text: &str) -> (String, DataEvent, String) {
        let (out, event, left) = feed(false, &[text.as_bytes()]);
        (
            String::from_utf8(out).unwrap(),
            event,
            String::from_utf8(left).unwrap(),
        )
    }

    #[test]
    fn the_end_leaves_pipelined_commands_in_the_input() {
        assert_eq!(
            decoded("a\r\nb\r\n.\r\nQUIT\r\n"),
            ("a\nb\n".into(), DataEvent::End, "QUIT\r\n".into())
        );
        assert_eq!(
            decoded(".\r\n"),
            (String::new(), DataEvent::End, String::new())
        );
    }

    #[test]
    fn a_dot_goes_only_where_two_start_a_line() {
        assert_eq!(
            decoded("..a\r\n.b\r\n...\r\n.. \r\n. \r\na..b\r\n.\r\n").0,
            ".a\n.b\n..\n. \n. \na..b\n"
        );
    }

    #[test]
    fn a_bare_cr_is_kept_and_one_before_a_line_end_too() {
        assert_eq!(decoded("a\rb\r\r\nc\r\n.\r\n").0, "a\rb\r\nc\n");
        assert_eq!(
            decoded("\r.\r\n.\r\r\nb\r\n.\rb\r\n.\r\n").0,
            "\r.\n.\r\nb\n.\rb\n"
        );
    }

    #[test]
    fn a_dot_line_after_a_bare_lf_ends_the_message_only_where_that_is_asked_for() {
        let smuggled = b"a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n";
        let (out, event, left) = feed(false, &[smuggled]);
        assert_eq!(out, b"a\n.\nMAIL FROM:<x@y>\n");
        assert_eq!((event, left.len()), (DataEvent::End, 0));
        let (out, event, left) = feed(true, &[smuggled]);
        assert_eq!((&out[..], event), (&b"a\n"[..], DataEvent::End));
        assert!(left.starts_with(b"MAIL"));
    }

    #[test]
    fn a_line_of_dot_and_bare_lf_is_reported() {
        for text in ["a\n.\nb\r\n.\r\n", "a\r\n.\nb\r\n.\r\n"] {
            let (out, event, _) = decoded(text);
            assert_eq!((&out[..], event), ("a\n", DataEvent::BareLfDot));
        }
        assert_eq!(decoded(".\n").1, DataEvent::BareLfDot);
    }

    #[test]
    fn nul_and_8_bit_bytes_are_kept() {
        let (out, event, _) = feed(false, &[b"a\0b\xe9\r\n.\0\r\n.\r\n"]);
        assert_eq!((&out[..], event), (&b"a\0b\xe9\n.\0\n"[..], DataEvent::End));
    }

    #[test]
    fn blocks_may_be_cut_anywhere() {
        let texts: &[&[u8]] = &[
            b"..a\r\n.b\r\r\n\r\n.\r\r\n.\r.\r\n...\r\nx\n.\r\ny\r\n.\r\nQUIT\r\n",
            b"a\r\nb\n..\n\r\n.\r\n.\r\n",
            b"a\r\n.\nb\r\n.\r\n",
            b"\r\r\r\n\n\n.\r\n\r\n.\r\n",
        ];
        for text in texts {
            for bare in [false, true] {
                let whole = feed(bare, &[text]);
                for first in 0..=text.len() {
                    for second in first..=text.len() {
                        let blocks = [&text[..first], &text[first..second], &text[second..]];
                        assert_eq!(feed(bare, &blocks), whole, "cut at {first} and {second}");
                    }
                }
                let single: Vec<&[u8]> = text.chunks(1).collect();
                assert_eq!(feed(bare, &single), whole);
            }
        }
    }
}
