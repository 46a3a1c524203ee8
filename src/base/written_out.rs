//! Control characters of a text, written out so that they reach no terminal.

/// A text of the log with its control characters written out; none where it has none.
pub fn shown(text: &[u8]) -> Option<Vec<u8>> {
    let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t');
    let has_some =
        text.iter().any(control) || memchr::memchr_iter(0xc2, text).any(|at| is_c1(text, at));
    has_some.then(|| without_controls(text))
}

/// Whether a control character of C1 begins here: two bytes of UTF-8, by which terminals can be steered, too.
fn is_c1(line: &[u8], at: usize) -> bool {
    line.get(at) == Some(&0xc2) && matches!(line.get(at + 1), Some(0x80..=0x9f))
}

pub(super) fn without_controls(line: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(line.len() + 16);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'\n' | b'\t' => shown.push(*byte),
            b'\r' if line.get(at + 1) == Some(&b'\n') => shown.push(*byte),
            _ if byte.is_ascii_control() || is_c1(line, at) || at > 0 && is_c1(line, at - 1) => {
                shown.extend_from_slice(format!("\\x{byte:02x}").as_bytes())
            }
            _ => shown.push(*byte),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        let shown = |text: &[u8]| without_controls(text);
        assert_eq!(
            shown(b"a\x1b[31m\0b\tc\r\nd\re"),
            b"a\\x1b[31m\\x00b\tc\r\nd\\x0de"
        );
        assert_eq!(
            shown("a\u{9b}31m ü".as_bytes()),
            "a\\xc2\\x9b31m ü".as_bytes()
        );
    }
}
