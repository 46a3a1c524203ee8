//! Which of the lines before the first blank one are header, in the way of the class that
//! plugins see (Mail::Header): what is no field, nor the continuation of one, is left out, and
//! a leading mbox line becomes `Mail-From`. Does no I/O.

/// The header that these lines make. Fields and their folds stay as they were received.
pub(super) fn header_of(lines: Vec<u8>) -> Vec<u8> {
    if is_clean(&lines) {
        return lines;
    }
    let mut header = Vec::with_capacity(lines.len() + 1);
    let mut in_field = false;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if line == b"\r\n" {
            // Mail::Header takes it for the blank line.
            break;
        }
        if is_continuation(line) {
            if in_field {
                header.extend_from_slice(line);
            }
        } else if let Some(rest) = line.strip_prefix(b"From ") {
            in_field = true;
            header.extend_from_slice(b"Mail-From: ");
            header.extend_from_slice(rest);
        } else {
            in_field = starts_field(line);
            if in_field {
                header.extend_from_slice(line);
            }
        }
    }
    header
}

/// Renames each field of this name (any case) in a header and moves it to the end.
pub(super) fn move_fields(header: &mut Vec<u8>, from: &str, to: &str) {
    if !has_field(header, from) {
        return;
    }
    let (mut kept, mut moved) = (Vec::with_capacity(header.len() + to.len()), Vec::new());
    let mut inside = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let begins = is_field(line, from);
        inside = begins || inside && is_continuation(line);
        match (begins, inside) {
            (true, _) => {
                moved.extend_from_slice(to.as_bytes());
                moved.extend_from_slice(&line[from.len()..]);
            }
            (false, true) => moved.extend_from_slice(line),
            (false, false) => kept.extend_from_slice(line),
        }
    }
    kept.extend_from_slice(&moved);
    *header = kept;
}

/// The unfolded values of the fields of this name.
pub(super) fn field_values(header: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut inside = false;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        if is_continuation(line) {
            if let (true, Some(value)) = (inside, values.last_mut()) {
                value.extend_from_slice(line);
            }
            continue;
        }
        inside = is_field(line, name);
        if inside {
            values.push(line[name.len() + 1..].to_vec());
        }
    }
    values
}

fn has_field(header: &[u8], name: &str) -> bool {
    let mut lines = header.split(|byte| *byte == b'\n');
    lines.any(|line| is_field(line, name))
}

fn is_field(line: &[u8], name: &str) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        && line.get(name.len()) == Some(&b':')
}

fn is_clean(lines: &[u8]) -> bool {
    let mut in_field = false;
    lines.split_inclusive(|byte| *byte == b'\n').all(|line| {
        if !is_continuation(line) {
            in_field = starts_field(line);
        }
        in_field
    })
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// A field name of visible characters, then a colon.
fn starts_field(line: &[u8]) -> bool {
    let name = line
        .iter()
        .take_while(|byte| !matches!(byte, 0..=b' ' | b':' | 0x7f..))
        .count();
    name > 0 && line.get(name) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(lines: &str) -> String {
        String::from_utf8(header_of(lines.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn fields_and_their_folds_stay_as_they_are() {
        let lines = "Subject: x\n folded\n\tmore\nT:y\nU:\n";
        assert_eq!(header(lines), lines);
    }

    #[test]
    fn lines_that_are_no_fields_are_left_out_with_what_continues_them() {
        assert_eq!(header("S: x\nbad line\n cont\nT: y\n"), "S: x\nT: y\n");
        assert_eq!(header(" leading\nS: x\n"), "S: x\n");
        assert_eq!(header("S : x\nT:y\n"), "T:y\n");
        assert_eq!(header("no header\nat all\n"), "");
        assert_eq!(header("S: x\n\r\nT: y\n"), "S: x\n");
        assert_eq!(header(">From foo\nS: x\n"), "S: x\n");
    }

    #[test]
    fn an_mbox_line_becomes_a_mail_from_field() {
        assert_eq!(
            header("From foo@bar Mon\nS: x\n"),
            "Mail-From: foo@bar Mon\nS: x\n"
        );
    }

    #[test]
    fn a_field_is_moved_in_any_case_and_wherever_it_stands() {
        let mut header = b"A: b\nfoo: 1\n 2\nFoo: 3\nFood: 4\n".to_vec();
        move_fields(&mut header, "Foo", "Old-Foo");
        assert_eq!(header, b"A: b\nFood: 4\nOld-Foo: 1\n 2\nOld-Foo: 3\n");
    }

    #[test]
    fn the_values_of_a_field_come_with_their_folds() {
        let header = b"X: 0\nS: 1\n 2\ns:3\n";
        assert_eq!(field_values(header, "S"), [&b" 1\n 2\n"[..], b"3\n"]);
    }
}
