//! A command line's verb and arguments, and the arguments of MAIL and RCPT (RFC 5321 section
//! 4.1.2, as leniently as the original reads them). Does not parse the address itself.

/// A parameter of MAIL or RCPT: the keyword in lower case, and its value where it has one.
pub type Parameter = (Vec<u8>, Option<Vec<u8>>);

/// Parts of a command line.
pub(super) type Words = Vec<Vec<u8>>;

/// The word a line starts with, in lower case, and what follows the spaces after it: `None`
/// where there is no space. A line that starts with a space has an empty verb, and so has `0`.
pub fn split_command(line: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let (verb, rest) = match memchr::memchr(b' ', line) {
        None => (line, None),
        Some(at) => {
            let spaces = line[at..].iter().take_while(|byte| **byte == b' ').count();
            (&line[..at], Some(line[at + spaces..].to_vec()))
        }
    };
    if verb == b"0" {
        return (Vec::new(), rest);
    }
    (verb.to_ascii_lowercase(), rest)
}

/// The arguments of a command other than MAIL and RCPT: split at spaces. Leading spaces give
/// an empty first argument, trailing ones none.
pub fn split_arguments(rest: &[u8]) -> Words {
    let mut words = Words::new();
    let mut at = 0;
    while at < rest.len() {
        let end = memchr::memchr(b' ', &rest[at..]).map_or(rest.len(), |found| at + found);
        words.push(rest[at..end].to_vec());
        let spaces = rest[end..].iter().take_while(|byte| **byte == b' ').count();
        at = end + spaces;
    }
    if words.iter().all(|word| word.is_empty()) {
        words.clear();
    }
    words
}

/// The path and the raw parameters (`SIZE=10`) of `FROM:` or `TO:`, or the text for a 501.
///
/// The path is what is left when every word at the end that can be a parameter is taken off;
/// so it may have spaces in it, and no angle brackets. An empty one is `<>` for MAIL.
pub fn split_path(verb: &[u8], rest: &[u8]) -> Result<(Vec<u8>, Words), Vec<u8>> {
    let keyword: &[u8] = if verb.eq_ignore_ascii_case(b"mail") {
        b"from:"
    } else {
        b"to:"
    };
    let Some((found, rest)) = rest.split_at_checked(keyword.len()) else {
        return Err(b"Syntax error in command".to_vec());
    };
    if !found.eq_ignore_ascii_case(keyword) {
        return Err(b"Syntax error in command".to_vec());
    }
    let mut path = trim(rest);
    let mut parameters = Vec::new();
    while let Some(space) = path.iter().rposition(|byte| is_space(*byte)) {
        let word = &path[space + 1..];
        if !is_parameter(word) {
            break;
        }
        parameters.push(word.to_vec());
        path = trim(&path[..space]);
    }
    parameters.reverse();

    if is_false(path) {
        return path_from_words(keyword == b"from:", parameters);
    }
    let domain = memchr::memchr(b'@', path).map(|at| &path[at..]);
    if domain.is_some_and(|domain| domain.iter().any(|byte| is_space(*byte))) {
        return Err(b"Syntax error in parameters".to_vec());
    }
    Ok((path.to_vec(), parameters))
}

/// Without a path: the word behind a path of `0` takes its place; for RCPT only one that looks
/// like an address. Else it is `<>` for MAIL and an error for RCPT.
fn path_from_words(mail: bool, mut words: Words) -> Result<(Vec<u8>, Words), Vec<u8>> {
    let is_path = |word: &[u8]| {
        mail && !is_false(word)
            || word.contains(&b'@')
            || word.eq_ignore_ascii_case(b"postmaster")
            || word.eq_ignore_ascii_case(b"abuse")
    };
    match words.first() {
        Some(first) if is_path(first) => Ok((words.remove(0), words)),
        _ if mail => Ok((b"<>".to_vec(), Words::new())),
        _ => Err(b"Syntax error in address".to_vec()),
    }
}

/// Perl's falsehood, which the original's test for an address is: `0` is none either.
fn is_false(text: &[u8]) -> bool {
    matches!(text, b"" | b"0")
}

/// The path and the parameters as plugins get them: keywords in lower case, and of a repeated
/// one the last value.
pub fn parse_mail_or_rcpt(verb: &[u8], rest: &[u8]) -> Result<(Vec<u8>, Vec<Parameter>), Vec<u8>> {
    let (path, words) = split_path(verb, rest)?;
    Ok((path, parameters(&words)))
}

/// Raw parameters (`SIZE=10`) as keyword and value.
pub fn parameters(words: &[Vec<u8>]) -> Vec<Parameter> {
    let mut found: Vec<Parameter> = Vec::with_capacity(words.len());
    for word in words {
        let mut halves = word.splitn(2, |byte| *byte == b'=');
        let keyword = halves.next().unwrap_or_default().to_ascii_lowercase();
        let value = halves.next().map(<[u8]>::to_vec);
        match found.iter_mut().find(|(known, _)| *known == keyword) {
            Some(known) => known.1 = value,
            None => found.push((keyword, value)),
        }
    }
    found
}

/// esmtp-param of RFC 5321; a value may have 8-bit bytes.
fn is_parameter(word: &[u8]) -> bool {
    let mut halves = word.splitn(2, |byte| *byte == b'=');
    let keyword = halves.next().unwrap_or_default();
    let is_keyword = keyword.first().is_some_and(u8::is_ascii_alphanumeric)
        && keyword
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let is_value =
        |value: &[u8]| !value.is_empty() && value.iter().all(|byte| *byte > b' ' && *byte != b'=');
    is_keyword && halves.next().is_none_or(is_value)
}

/// What `\s` matches in Perl on bytes.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> (String, Option<String>) {
        let (verb, rest) = split_command(line.as_bytes());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(verb), rest.map(text))
    }

    fn split(verb: &str, rest: &str) -> Result<Vec<String>, String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match split_path(verb.as_bytes(), rest.as_bytes()) {
            Ok((path, words)) => Ok(std::iter::once(path).chain(words).map(text).collect()),
            Err(error) => Err(text(error)),
        }
    }

    #[test]
    fn a_verb_ends_at_a_space_only() {
        let some = |text: &str| Some(text.to_string());
        assert_eq!(command("QUIT"), ("quit".into(), None));
        assert_eq!(command("MAIL "), ("mail".into(), some("")));
        assert_eq!(command("Foo  bar  baz "), ("foo".into(), some("bar  baz ")));
        assert_eq!(command(" FOO bar"), (String::new(), some("FOO bar")));
        assert_eq!(command("FOO\ta b"), ("foo\ta".into(), some("b")));
        assert_eq!(command(""), (String::new(), None));
        assert_eq!(command("0"), (String::new(), None));
    }

    #[test]
    fn arguments_are_split_at_spaces_only() {
        let words = |rest: &str| {
            let split = split_arguments(rest.as_bytes());
            split
                .into_iter()
                .map(|word| String::from_utf8(word).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(words("a b  c "), ["a", "b", "c"]);
        assert_eq!(words("a\tb"), ["a\tb"]);
        assert_eq!(words("  a"), ["", "a"]);
        assert!(words("").is_empty() && words("  ").is_empty());
    }

    #[test]
    fn mail_and_rcpt_arguments_are_read_as_by_the_original() {
        let ok = |words: &[&str]| Ok(words.iter().map(|word| word.to_string()).collect());
        let error = |text: &str| Err(text.to_string());
        type Expected = Result<Vec<String>, String>;
        let table: &[(&str, &str, Expected)] = &[
            ("mail", "FROM:<a@b>", ok(&["<a@b>"])),
            ("mail", "from: \t<a@b> ", ok(&["<a@b>"])),
            ("mail", "FROM :<a@b>", error("Syntax error in command")),
            ("mail", " FROM:<a@b>", error("Syntax error in command")),
            ("mail", "FROM", error("Syntax error in command")),
            ("mail", "TO:<a@b>", error("Syntax error in command")),
            ("mail", "FROM:", ok(&["<>"])),
            ("mail", "FROM: ", ok(&["<>"])),
            ("mail", "FROM:0", ok(&["<>"])),
            ("mail", "FROM:0 x y", ok(&["x", "y"])),
            ("mail", "FROM:0 0 x", ok(&["<>"])),
            ("rcpt", "TO:0 x", error("Syntax error in address")),
            ("rcpt", "TO:", error("Syntax error in address")),
            ("rcpt", "TO:0", error("Syntax error in address")),
            (
                "mail",
                "FROM:<a@b>\tSIZE=1  BODY=8BITMIME",
                ok(&["<a@b>", "SIZE=1", "BODY=8BITMIME"]),
            ),
            ("mail", "FROM:<a@b>SIZE=1", ok(&["<a@b>SIZE=1"])),
            (
                "mail",
                "FROM:<a@b> SIZE=",
                error("Syntax error in parameters"),
            ),
            (
                "mail",
                "FROM:<a@b> SIZE=1=2",
                error("Syntax error in parameters"),
            ),
            (
                "mail",
                "FROM:<a@b> foo_bar=1",
                error("Syntax error in parameters"),
            ),
            (
                "mail",
                "FROM:<a@b> -a=1",
                error("Syntax error in parameters"),
            ),
            (
                "mail",
                "FROM:<a@b> <c@d>",
                error("Syntax error in parameters"),
            ),
            (
                "mail",
                "FROM:<a b@c> X-1 AUTH=<>",
                ok(&["<a b@c>", "X-1", "AUTH=<>"]),
            ),
            ("mail", "FROM:<\"a>b\"@c> x", ok(&["<\"a>b\"@c>", "x"])),
            ("mail", "FROM:a b", ok(&["a", "b"])),
            ("mail", "FROM: SIZE=10", ok(&["SIZE=10"])),
            ("mail", "FROM:a =", ok(&["a ="])),
            ("rcpt", "TO:user y@z w", ok(&["user y@z", "w"])),
            ("rcpt", "TO:user@x y@z", error("Syntax error in parameters")),
            ("rcpt", "to:postmaster", ok(&["postmaster"])),
        ];
        for (verb, rest, expected) in table {
            assert_eq!(split(verb, rest), *expected, "{verb} {rest}");
        }
    }

    #[test]
    fn of_a_repeated_parameter_the_last_value_counts() {
        let (path, found) = parse_mail_or_rcpt(b"mail", b"FROM:<a@b> SIZE=10 foo X=y x=z").unwrap();
        assert_eq!(path, b"<a@b>");
        assert_eq!(
            found,
            [
                (b"size".to_vec(), Some(b"10".to_vec())),
                (b"foo".to_vec(), None),
                (b"x".to_vec(), Some(b"z".to_vec())),
            ]
        );
    }
}
