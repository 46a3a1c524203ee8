//! DATA in blocks: line ends, dot transparency (RFC 5321 section 4.5.2) and the end of the
//! message. Stores lines as the original does, with LF ends, and bare CR, LF and NUL as
//! `bare_line_ends` says; knows neither headers nor limits.

use super::input::InputBuffer;
use super::lines::{BareByte, without_crs};
use crate::config::BareLineEnds;

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
    /// Inside a line, after a CR that is not passed on yet; normalized, after any number of them.
    InsideCr,
}

/// The decoder for one message.
#[derive(Debug, Clone)]
pub struct DataDecoder {
    at: At,
    policy: BareLineEnds,
    /// The first octet that is refused.
    bare: Option<BareByte>,
}

impl DataDecoder {
    /// With `Original`, LF . CR LF ends the message, too; else only CR LF . CR LF does.
    pub fn new(policy: BareLineEnds) -> DataDecoder {
        DataDecoder {
            at: At::LineStart { crlf: true },
            policy,
            bare: None,
        }
    }

    /// What the message has in it and must not, where it is to be refused for that.
    pub fn bare(&self) -> Option<BareByte> {
        self.bare
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
    /// (as in the original); a bare LF is kept; bare CRs and NULs are kept, or each becomes a space
    /// (a run of CRs becomes one, and before CR LF nothing).
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
                At::InsideCr => match first {
                    b'\n' => {
                        done += 1;
                        out.push(b'\n');
                        self.at = At::LineStart { crlf: true };
                    }
                    b'\r' => {
                        done += 1;
                        self.another_cr(out);
                    }
                    _ => {
                        self.bare_cr(out);
                        self.at = At::Inside;
                    }
                },
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
                    if crlf || self.policy == BareLineEnds::Original {
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
            let text = self.before_line_end(rest);
            self.at = if text.len() < rest.len() {
                At::InsideCr
            } else {
                At::Inside
            };
            self.pass_on(text, out);
            return rest.len();
        };
        let line = &rest[..end];
        let text = self.before_line_end(line);
        let crlf = text.len() < line.len();
        if !crlf {
            self.refuse(BareByte::Lf);
        }
        self.pass_on(text, out);
        out.push(b'\n');
        self.at = At::LineStart { crlf };
        end + 1
    }

    /// Without the CR at the end, or the CRs.
    fn before_line_end<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        match self.policy {
            BareLineEnds::Normalize => without_crs(line),
            _ => line.strip_suffix(b"\r").unwrap_or(line),
        }
    }

    /// Appends text without a line end, normalized where that is the policy.
    fn pass_on(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let bare = match self.policy {
            BareLineEnds::Original => None,
            _ => BareByte::first_in(text),
        };
        if let Some(bare) = bare {
            self.refuse(bare);
        }
        if bare.is_none() || self.policy != BareLineEnds::Normalize {
            out.extend_from_slice(text);
            return;
        }
        let mut after_cr = false;
        for byte in text {
            match byte {
                b'\r' if after_cr => {}
                b'\r' | 0 => out.push(b' '),
                byte => out.push(*byte),
            }
            after_cr = *byte == b'\r';
        }
    }

    /// A CR behind the one that is not passed on yet: what it is, the next byte says.
    fn another_cr(&mut self, out: &mut Vec<u8>) {
        if self.policy != BareLineEnds::Normalize {
            self.bare_cr(out);
        }
    }

    fn bare_cr(&mut self, out: &mut Vec<u8>) {
        self.refuse(BareByte::Cr);
        out.push(match self.policy {
            BareLineEnds::Normalize => b' ',
            _ => b'\r',
        });
    }

    fn refuse(&mut self, bare: BareByte) {
        if self.policy == BareLineEnds::Reject {
            self.bare.get_or_insert(bare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use BareLineEnds::{Normalize, Original, Reject};

    fn feed(policy: BareLineEnds, blocks: &[&[u8]]) -> (Vec<u8>, DataEvent, Vec<u8>) {
        let mut decoder = DataDecoder::new(policy);
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
        let (out, event, left) = feed(Normalize, &[text.as_bytes()]);
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
    fn as_in_the_original_a_bare_cr_is_kept_and_one_before_a_line_end_too() {
        let decoded = |text: &[u8]| feed(Original, &[text]).0;
        assert_eq!(decoded(b"a\rb\r\r\nc\r\n.\r\n"), b"a\rb\r\nc\n");
        assert_eq!(
            decoded(b"\r.\r\n.\r\r\nb\r\n.\rb\r\n.\r\n"),
            b"\r.\n.\r\nb\n.\rb\n"
        );
    }

    #[test]
    fn normalized_a_bare_cr_or_nul_is_a_space_and_crs_before_a_line_end_are_nothing() {
        assert_eq!(
            decoded("a\rb\r\r\nc\0\0d\r\r\re\r\n\r\r\n.\r\n").0,
            "a b\nc  d e\n\n"
        );
        assert_eq!(
            decoded("\r.\r\n.\r\r\nb\r\n.\rb\r\n.\0\r\n.\r\n").0,
            " .\n.\nb\n. b\n. \n"
        );
    }

    #[test]
    fn no_other_sequence_than_crlf_dot_crlf_ends_a_message() {
        let line_ends = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\0\n", "\r\0\n"];
        for before in line_ends {
            for after in line_ends {
                // CR CR LF . CR LF has the sequence in it, too.
                if before.ends_with("\r\n") && after == "\r\n" {
                    continue;
                }
                let text = format!("a{before}.{after}MAIL FROM:<x@y>\r\n.\r\n");
                for policy in [Normalize, Reject] {
                    let (_, event, left) = feed(policy, &[text.as_bytes()]);
                    // A dot before a bare LF is no end either: the session is.
                    let whole = left.is_empty() && event == DataEvent::End;
                    assert!(
                        whole || event == DataEvent::BareLfDot,
                        "{text:?} {policy:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_strict_decoder_says_what_the_message_must_not_have() {
        for (text, bare) in [
            (&b"a\r\n..b\r\n.\r\n"[..], None),
            (b"a\nb\r\n.\r\n", Some(BareByte::Lf)),
            (b"a\r\n\nb\r\n.\r\n", Some(BareByte::Lf)),
            (b"a\rb\r\n.\r\n", Some(BareByte::Cr)),
            (b"a\r\r\n.\r\n", Some(BareByte::Cr)),
            (b"a\r\n.\rb\r\n.\r\n", Some(BareByte::Cr)),
            (b"a\0b\r\n.\r\n", Some(BareByte::Nul)),
        ] {
            let single: Vec<&[u8]> = text.chunks(1).collect();
            for blocks in [vec![text], single] {
                let mut decoder = DataDecoder::new(Reject);
                let mut input = InputBuffer::new();
                for block in blocks {
                    input.push(block);
                    decoder.decode(&mut input, &mut Vec::new());
                }
                assert_eq!(decoder.bare(), bare, "{text:?}");
            }
        }
    }

    #[test]
    fn a_dot_line_after_a_bare_lf_ends_the_message_only_where_that_is_asked_for() {
        let smuggled = b"a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n";
        let (out, event, left) = feed(Normalize, &[smuggled]);
        assert_eq!(out, b"a\n.\nMAIL FROM:<x@y>\n");
        assert_eq!((event, left.len()), (DataEvent::End, 0));
        let (out, event, left) = feed(Original, &[smuggled]);
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
    fn as_in_the_original_nul_and_8_bit_bytes_are_kept() {
        let (out, event, _) = feed(Original, &[b"a\0b\xe9\r\n.\0\r\n.\r\n"]);
        assert_eq!((&out[..], event), (&b"a\0b\xe9\n.\0\n"[..], DataEvent::End));
    }

    #[test]
    fn blocks_may_be_cut_anywhere() {
        let texts: &[&[u8]] = &[
            b"..a\r\n.b\r\r\n\r\n.\r\r\n.\r.\r\n...\r\nx\n.\r\ny\r\n.\r\nQUIT\r\n",
            b"a\r\nb\n..\n\r\n.\r\n.\r\n",
            b"a\r\n.\nb\r\n.\r\n",
            b"\r\r\r\n\n\n.\r\n\r\n.\r\n",
            b"a\r\rb\0\r\r\n\r\r\0.\r\r\n\r\n.\r\n",
        ];
        for text in texts {
            for bare in [Normalize, Original, Reject] {
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
