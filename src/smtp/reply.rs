//! A reply: its code, its lines, and their form on the wire. Whatever the texts contain, what is
//! written is one reply: it can neither be split nor have another one injected. What else a text may
//! have in it, and how long its lines may be, is the form's.

use std::borrow::Cow;

/// A reply of RFC 5321 section 4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<Vec<u8>>,
    form: ReplyForm,
}

/// What the text of a reply may have in it. What it may not becomes `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplyForm {
    /// Printable ASCII and TAB, in lines of 512 octets at most (RFC 5321 4.2, 4.5.3.1.5).
    #[default]
    Ascii,
    /// Printable ASCII, TAB and UTF-8 (RFC 6531 3.7.4.2), in such lines.
    Utf8,
    /// Printable ASCII, TAB and any 8-bit octets, in such lines.
    EightBit,
    /// Everything, in lines of any length.
    AsGiven,
}

/// What a line of 512 octets has room for, beside the code, what parts it from the text, and CR LF.
const LONGEST_TEXT: usize = 512 - 4 - 2;

/// A challenge of AUTH may be longer (RFC 4954 section 4), and is one line.
const CHALLENGE: u16 = 334;

impl Reply {
    /// A reply with a text, which is split at line feeds.
    pub fn new(code: u16, text: impl AsRef<[u8]>) -> Reply {
        Reply::lines(code, vec![text.as_ref().to_vec()])
    }

    /// A reply with several lines.
    pub fn lines(code: u16, lines: Vec<Vec<u8>>) -> Reply {
        Reply {
            code,
            lines,
            form: ReplyForm::default(),
        }
    }

    /// The same reply in another form.
    pub fn in_form(self, form: ReplyForm) -> Reply {
        Reply { form, ..self }
    }

    /// Appends the reply as it goes to the client. Texts without a character get the code's
    /// default text: a client always learns something.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for line in self.written() {
            out.extend_from_slice(&line);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The lines as they are written, without their ends; log lines show them.
    pub fn written(&self) -> impl Iterator<Item = Vec<u8>> {
        let texts = self.texts();
        let last = texts.len().saturating_sub(1);
        texts.into_iter().enumerate().map(move |(index, text)| {
            // Three digits whatever a plugin asked for, so that the client's parser holds.
            let digit = |unit| b'0' + (self.code / unit % 10) as u8;
            let mut line = Vec::with_capacity(4 + text.len() + 2);
            line.extend([digit(100), digit(10), digit(1)]);
            line.push(if index < last { b'-' } else { b' ' });
            line.extend_from_slice(&text);
            line
        })
    }

    /// The texts of its lines on the wire: one at least.
    fn texts(&self) -> Vec<Cow<'_, [u8]>> {
        let blank = |line: &Vec<u8>| line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if self.lines.iter().all(blank) {
            return vec![default_text(self.code).into()];
        }
        let mut texts = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            for text in line.split(|byte| *byte == b'\n') {
                self.add(self.form.allowed(text), &mut texts);
            }
        }
        texts
    }

    /// Adds a text, in pieces where it is too long.
    fn add<'a>(&self, text: Cow<'a, [u8]>, texts: &mut Vec<Cow<'a, [u8]>>) {
        if text.len() <= LONGEST_TEXT || self.code == CHALLENGE || self.form == ReplyForm::AsGiven {
            texts.push(text);
            return;
        }
        let mut rest = &text[..];
        while rest.len() > LONGEST_TEXT {
            let (piece, more) = rest.split_at(break_in(rest));
            texts.push(piece.trim_ascii_end().to_vec().into());
            rest = more.trim_ascii_start();
        }
        if !rest.is_empty() {
            texts.push(rest.to_vec().into());
        }
    }
}

/// Where a text that is too long for a line is best parted: behind a space, else anywhere, but within no
/// character of UTF-8.
fn break_in(text: &[u8]) -> usize {
    let start = &text[..LONGEST_TEXT];
    if let Some(space) = start.iter().rposition(|byte| *byte == b' ')
        && !start[..space].trim_ascii().is_empty()
    {
        return space + 1;
    }
    let begins = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let ends = LONGEST_TEXT - 3..=LONGEST_TEXT;
    ends.rev().find(begins).unwrap_or(LONGEST_TEXT)
}

impl ReplyForm {
    /// A line's text as it may be written. It loses its CRs in every form.
    fn allowed(self, text: &[u8]) -> Cow<'_, [u8]> {
        if text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return text.into();
        }
        let text = text.split(|byte| *byte == b'\r').collect::<Vec<_>>();
        let text = text.concat();
        if self == ReplyForm::AsGiven {
            return text.into();
        }
        let mut allowed = Vec::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            for char in chunk.valid().chars() {
                let passes = match self {
                    _ if char.is_ascii() => char == '\t' || !char.is_ascii_control(),
                    ReplyForm::Ascii => false,
                    // Those of C1 steer terminals, too.
                    _ => !char.is_control(),
                };
                let char = if passes { char } else { '?' };
                allowed.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            match self {
                ReplyForm::EightBit => allowed.extend_from_slice(chunk.invalid()),
                _ if chunk.invalid().is_empty() => {}
                _ => allowed.push(b'?'),
            }
        }
        allowed.into()
    }
}

/// A text for a reply that was given none.
fn default_text(code: u16) -> &'static [u8] {
    match code {
        221 => b"Closing connection",
        354 => b"Go ahead",
        421 => b"Service not available, closing connection",
        500 => b"Unrecognized command",
        501 => b"Syntax error in parameters",
        503 => b"Bad sequence of commands",
        552 => b"Message too big",
        530 | 535 => b"Authentication failed",
        200..300 => b"OK",
        300..400 => b"Go ahead",
        400..500 => b"Temporary failure, please try again later",
        _ => b"Denied",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: Reply) -> String {
        let mut out = Vec::new();
        reply.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_line_is_code_space_text() {
        assert_eq!(wire(Reply::new(250, "OK")), "250 OK\r\n");
    }

    #[test]
    fn all_lines_but_the_last_have_a_hyphen() {
        let lines = vec![
            b"mx Hi".to_vec(),
            b"PIPELINING".to_vec(),
            b"8BITMIME".to_vec(),
        ];
        assert_eq!(
            wire(Reply::lines(250, lines)),
            "250-mx Hi\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        );
    }

    #[test]
    fn a_text_with_line_feeds_becomes_a_multi_line_reply() {
        assert_eq!(wire(Reply::new(550, "a\nb\n")), "550-a\r\n550 b\r\n");
        assert_eq!(
            wire(Reply::new(550, "a\n\nb")),
            "550-a\r\n550-\r\n550 b\r\n"
        );
    }

    #[test]
    fn a_text_cannot_inject_a_second_reply() {
        assert_eq!(
            wire(Reply::new(550, "no\r\n250 yes\r\rx")),
            "550-no\r\n550 250 yesx\r\n"
        );
    }

    #[test]
    fn control_characters_become_question_marks() {
        let text = "a\0b\x1b[31mc\x7f\td\r";
        assert_eq!(wire(Reply::new(550, text)), "550 a?b?[31mc?\td\r\n");
        let given = Reply::new(550, text).in_form(ReplyForm::AsGiven);
        assert_eq!(wire(given), "550 a\0b\x1b[31mc\x7f\td\r\n");
    }

    #[test]
    fn eight_bit_characters_pass_only_where_the_form_has_them() {
        let shown = |text: &[u8], form| {
            let mut out = Vec::new();
            Reply::new(550, text).in_form(form).encode(&mut out);
            out
        };
        let text = "ungültig \u{9b}x".as_bytes();
        assert_eq!(shown(text, ReplyForm::Ascii), b"550 ung?ltig ?x\r\n");
        let utf8 = "550 ungültig ?x\r\n".as_bytes();
        assert_eq!(shown(text, ReplyForm::Utf8), utf8);
        assert_eq!(shown(b"ung\xfcltig", ReplyForm::Ascii), b"550 ung?ltig\r\n");
        assert_eq!(shown(b"ung\xfcltig", ReplyForm::Utf8), b"550 ung?ltig\r\n");
        let eight = b"550 ung\xfcltig\r\n";
        assert_eq!(shown(b"ung\xfcltig", ReplyForm::EightBit), eight);
        assert_eq!(shown(b"ung\xfcltig", ReplyForm::AsGiven), eight);
    }

    #[test]
    fn a_long_line_becomes_several_of_512_octets_at_most_and_loses_nothing() {
        let words = "word ".repeat(300);
        let reply = wire(Reply::new(550, &words));
        let lines: Vec<&str> = reply.split_inclusive("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= 512), "{lines:?}");
        assert!(lines[0].starts_with("550-word") && lines[2].starts_with("550 word"));
        let texts: Vec<&str> = lines.iter().map(|line| line[4..].trim_end()).collect();
        assert_eq!(texts.join(" "), words.trim_end());
        let endless = "x".repeat(1200);
        let reply = wire(Reply::new(550, &endless));
        assert!(reply.split_inclusive("\r\n").all(|line| line.len() <= 512));
        assert_eq!(reply.matches('x').count(), 1200);
    }

    #[test]
    fn a_line_of_exactly_512_octets_stays_whole() {
        let text = "x".repeat(506);
        assert_eq!(wire(Reply::new(550, &text)).len(), 512);
        let text = "x".repeat(507);
        assert!(wire(Reply::new(550, &text)).starts_with("550-"));
    }

    #[test]
    fn no_character_of_utf_8_is_parted() {
        let text = format!("x{}", "ü".repeat(400));
        let mut out = Vec::new();
        Reply::new(550, text)
            .in_form(ReplyForm::Utf8)
            .encode(&mut out);
        let lines = out.split_inclusive(|byte| *byte == b'\n');
        for line in lines {
            assert!(line.len() <= 512 && std::str::from_utf8(line).is_ok());
        }
    }

    #[test]
    fn a_challenge_of_auth_stays_one_line() {
        let text = "x".repeat(2000);
        assert_eq!(wire(Reply::new(334, &text)), format!("334 {text}\r\n"));
    }

    #[test]
    fn a_reply_without_text_gets_a_default_one() {
        assert_eq!(wire(Reply::lines(250, Vec::new())), "250 OK\r\n");
        assert_eq!(wire(Reply::new(550, "\r\n")), "550 Denied\r\n");
        assert_eq!(
            wire(Reply::lines(450, vec![Vec::new(), Vec::new()]))
                .lines()
                .count(),
            1
        );
    }

    #[test]
    fn a_code_is_always_three_digits() {
        assert_eq!(wire(Reply::new(7, "x")), "007 x\r\n");
        assert_eq!(wire(Reply::new(2500, "x")), "500 x\r\n");
    }
}
