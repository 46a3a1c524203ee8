//! A reply: its code, its lines, and their form on the wire. Whatever the texts contain, what is
//! written is one reply: it can neither be split nor have another one injected.

/// A reply of RFC 5321 section 4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// A reply with a text, which is split at line feeds.
    pub fn new(code: u16, text: impl AsRef<[u8]>) -> Reply {
        Reply::lines(code, vec![text.as_ref().to_vec()])
    }

    /// A reply with several lines.
    pub fn lines(code: u16, lines: Vec<Vec<u8>>) -> Reply {
        Reply { code, lines }
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
        let mut lines = self.wire_lines().peekable();
        std::iter::from_fn(move || {
            let text = lines.next()?;
            // Three digits whatever a plugin asked for, so that the client's parser holds.
            let digit = |unit| b'0' + (self.code / unit % 10) as u8;
            let mut line = Vec::with_capacity(4 + text.len());
            line.extend([digit(100), digit(10), digit(1)]);
            line.push(if lines.peek().is_some() { b'-' } else { b' ' });
            for part in text.split(|byte| *byte == b'\r') {
                line.extend_from_slice(part);
            }
            Some(line)
        })
    }

    fn wire_lines(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        let blank = |line: &Vec<u8>| line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if self.lines.iter().all(blank) {
            return Box::new(std::iter::once(default_text(self.code)));
        }
        Box::new(self.lines.iter().flat_map(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            line.split(|byte| *byte == b'\n')
        }))
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
