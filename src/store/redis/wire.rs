//! The words of Redis' protocol (RESP 2): commands as bytes, and bytes as answers. Reads and writes nothing.

/// What is longer is no answer of a store of small values.
const LONGEST: usize = 64 << 20;
const MOST: usize = 1 << 20;
const DEEPEST: usize = 8;

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `OK` and its like.
    Status(Vec<u8>),
    Error(Vec<u8>),
    Int(i64),
    Text(Vec<u8>),
    /// There is none.
    Nothing,
    List(Vec<Answer>),
}

/// It is not the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what answers there does not speak Redis' protocol")]
pub struct NotRedis;

/// Adds a command.
pub fn write(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The first answer, and how many bytes it has; none where more must come.
pub fn read(bytes: &[u8]) -> Result<Option<(Answer, usize)>, NotRedis> {
    let mut reader = Reader { bytes, at: 0 };
    let answer = reader.answer(0)?;
    Ok(answer.map(|answer| (answer, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn answer(&mut self, depth: usize) -> Result<Option<Answer>, NotRedis> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (kind, rest) = line.split_first().ok_or(NotRedis)?;
        Ok(Some(match kind {
            b'+' => Answer::Status(rest.to_vec()),
            b'-' => Answer::Error(rest.to_vec()),
            b':' => Answer::Int(number(rest)?),
            b'$' => match number(rest)? {
                -1 => Answer::Nothing,
                length => {
                    let length = within(length, LONGEST)?;
                    match self.text(length)? {
                        Some(text) => Answer::Text(text),
                        None => return Ok(None),
                    }
                }
            },
            b'*' => match number(rest)? {
                -1 => Answer::Nothing,
                count => {
                    let count = within(count, MOST)?;
                    if depth == DEEPEST {
                        return Err(NotRedis);
                    }
                    let mut list = Vec::new();
                    for _ in 0..count {
                        match self.answer(depth + 1)? {
                            Some(answer) => list.push(answer),
                            None => return Ok(None),
                        }
                    }
                    Answer::List(list)
                }
            },
            _ => return Err(NotRedis),
        }))
    }

    /// Up to the line's end.
    fn line(&mut self) -> Result<Option<&'a [u8]>, NotRedis> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            // Such as a server that says nothing but text.
            return match rest.len() > 4096 {
                true => Err(NotRedis),
                false => Ok(None),
            };
        };
        self.at += end + 1;
        let line = rest[..end].strip_suffix(b"\r");
        line.map(Some).ok_or(NotRedis)
    }

    fn text(&mut self, length: usize) -> Result<Option<Vec<u8>>, NotRedis> {
        let rest = &self.bytes[self.at..];
        let Some(whole) = rest.get(..length + 2) else {
            return Ok(None);
        };
        let text = whole.strip_suffix(b"\r\n").ok_or(NotRedis)?;
        self.at += whole.len();
        Ok(Some(text.to_vec()))
    }
}

fn number(text: &[u8]) -> Result<i64, NotRedis> {
    let text = std::str::from_utf8(text).map_err(|_| NotRedis)?;
    text.parse().map_err(|_| NotRedis)
}

fn within(number: i64, most: usize) -> Result<usize, NotRedis> {
    let number = usize::try_from(number).map_err(|_| NotRedis)?;
    (number <= most).then_some(number).ok_or(NotRedis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Answer {
        Answer::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn a_command_is_its_words_with_their_lengths() {
        let mut out = Vec::new();
        write(&mut out, &[b"SET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn an_answer_is_read_when_all_of_it_is_there() {
        let whole = b"*4\r\n:-5\r\n$-1\r\n$4\r\na\r\nb\r\n*1\r\n-ERR no\r\n+OK\r\n";
        let list = Answer::List(vec![
            Answer::Int(-5),
            Answer::Nothing,
            text("a\r\nb"),
            Answer::List(vec![Answer::Error(b"ERR no".to_vec())]),
        ]);
        let length = whole.len() - 5;
        for end in 0..length {
            assert_eq!(read(&whole[..end]), Ok(None), "{end}");
        }
        assert_eq!(read(whole), Ok(Some((list, length))));
        assert_eq!(
            read(&whole[length..]),
            Ok(Some((Answer::Status(b"OK".to_vec()), 5)))
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for wrong in [
            &b"220 mx.example.org ESMTP\r\n"[..],
            b"\r\n",
            b"+OK\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"*99999999\r\n",
            b"$1\r\nabc",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        ] {
            assert_eq!(read(wrong), Err(NotRedis), "{}", wrong.escape_ascii());
        }
        assert_eq!(read(&[b'x'; 5000]), Err(NotRedis));
    }
}
