//! Perl's regular expressions, as far as they mean the same to the regex crate: what administrators write
//! in lists of addresses. It is read piece by piece and put into the crate's words. All that Perl might
//! read in another way is refused with its name; no pattern is taken for a similar one.

use regex::bytes::{Regex, RegexBuilder};

/// A pattern as Perl reads it, or why it is none that is understood.
pub(super) fn perl(pattern: &[u8], any_case: bool) -> Result<Regex, String> {
    let mut reader = Reader {
        rest: pattern,
        out: String::new(),
        can_repeat: false,
    };
    reader.all()?;
    let mut builder = RegexBuilder::new(&reader.out);
    let built = builder.unicode(false).case_insensitive(any_case).build();
    // Its text is of many lines, of which the last says what is wrong.
    built.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

struct Reader<'a> {
    rest: &'a [u8],
    out: String,
    /// Whether there is something that can be repeated.
    can_repeat: bool,
}

/// What both understand in and out of brackets, for bytes.
const CLASSES: &[u8] = b"dDwWsS";
const NAMED: [&str; 13] = [
    "alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph",
    "cntrl", "xdigit", "word",
];

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, start: &[u8]) -> bool {
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn all(&mut self) -> Result<(), String> {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.brackets()?,
                b'(' => self.group()?,
                b')' => self.plain(")", true),
                b'|' => self.plain("|", false),
                b'.' => self.plain(".", true),
                b'^' => self.plain(r"\A", false),
                b'$' => self.plain(r"(?:\n?\z)", false),
                b'*' | b'+' | b'?' => self.repeat(&(byte as char).to_string())?,
                b'{' => self.braces()?,
                byte => self.literal(byte),
            }
        }
        Ok(())
    }

    fn plain(&mut self, text: &str, can_repeat: bool) {
        self.out.push_str(text);
        self.can_repeat = can_repeat;
    }

    fn literal(&mut self, byte: u8) {
        self.plain(&hex(byte), true);
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.next() {
            None => return Err("a backslash is the last".to_owned()),
            Some(b'b') if !self.rest.starts_with(b"{") => self.plain(r"\b", false),
            Some(b'B') if !self.rest.starts_with(b"{") => self.plain(r"\B", false),
            Some(b'A') => self.plain(r"\A", false),
            Some(b'z') => self.plain(r"\z", false),
            Some(b'Z') => self.plain(r"(?:\n?\z)", false),
            Some(class) if CLASSES.contains(&class) => {
                self.plain(&format!("\\{}", class as char), true);
            }
            Some(other) => {
                let byte = self.escaped(other)?;
                self.literal(byte);
            }
        }
        Ok(())
    }

    /// The byte that an escape stands for.
    fn escaped(&mut self, byte: u8) -> Result<u8, String> {
        Ok(match byte {
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            b'f' => 0x0c,
            b'e' => 0x1b,
            b'a' => 0x07,
            b'x' => {
                let digits = self
                    .rest
                    .get(..2)
                    .and_then(|two| std::str::from_utf8(two).ok());
                let is_hex = |two: &&str| two.bytes().all(|byte| byte.is_ascii_hexdigit());
                let digits = digits.filter(is_hex).ok_or(r"\x without two digits")?;
                let byte = u8::from_str_radix(digits, 16).map_err(|error| error.to_string())?;
                self.rest = &self.rest[2..];
                byte
            }
            letter if letter.is_ascii_alphanumeric() => {
                return Err(format!("\\{} is not understood", letter as char));
            }
            byte => byte,
        })
    }

    fn group(&mut self) -> Result<(), String> {
        if self.rest.starts_with(b"*") {
            return Err("(* is not understood".to_owned());
        }
        // What is in a group is not asked for.
        if self.skip(b"?:") || !self.rest.starts_with(b"?") {
            self.plain("(?:", false);
        } else if self.skip(b"?i:") {
            self.plain("(?i:", false);
        } else if self.skip(b"?i)") {
            self.plain("(?i)", false);
        } else {
            return Err("of (? only (?: and (?i are understood".to_owned());
        }
        Ok(())
    }

    /// `*` and its like, and what may stand behind them.
    fn repeat(&mut self, how: &str) -> Result<(), String> {
        if !self.can_repeat {
            return Err(format!("{how} follows nothing that can be repeated"));
        }
        self.plain(how, false);
        if self.rest.starts_with(b"+") {
            return Err(format!("{how}+ is not understood"));
        }
        if self.skip(b"?") {
            self.plain("?", false);
        }
        Ok(())
    }

    fn braces(&mut self) -> Result<(), String> {
        let end = self.rest.iter().position(|byte| *byte == b'}');
        let within = end.map(|end| &self.rest[..end]);
        let counts = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b',' | b' ' | b'\t');
        match within {
            // To perl the brace itself.
            None => self.literal(b'{'),
            Some(within) if !within.iter().all(counts) => self.literal(b'{'),
            Some(within) => {
                let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
                let text = String::from_utf8_lossy(within).into_owned();
                let (low, high) = text.split_once(',').unwrap_or((&text, ""));
                if low.is_empty() || !is_number(low) || !is_number(high) {
                    return Err(format!(
                        "{{{text}}} is not the same in all versions of perl"
                    ));
                }
                self.rest = &self.rest[within.len() + 1..];
                self.repeat(&format!("{{{text}}}"))?;
            }
        }
        Ok(())
    }

    fn brackets(&mut self) -> Result<(), String> {
        let mut set = String::from("[");
        if self.skip(b"^") {
            set.push('^');
        }
        let mut is_first = true;
        loop {
            let byte = self.next().ok_or("[ without ]")?;
            if byte == b']' && !is_first {
                break;
            }
            is_first = false;
            let start = match byte {
                b'[' if self.rest.first().is_some_and(|next| b":.=".contains(next)) => {
                    set.push_str(&self.named_class()?);
                    self.no_range()?;
                    continue;
                }
                b'\\' => {
                    let escape = self.next().ok_or("[ without ]")?;
                    if CLASSES.contains(&escape) {
                        set.push_str(&format!("\\{}", escape as char));
                        self.no_range()?;
                        continue;
                    }
                    self.escaped(escape)?
                }
                byte => byte,
            };
            set.push_str(&hex(start));
            let is_range = self.rest.starts_with(b"-") && !self.rest.starts_with(b"-]");
            if is_range && self.rest.len() > 1 {
                self.skip(b"-");
                let end = match self.next().ok_or("[ without ]")? {
                    b'\\' => {
                        let escape = self.next().ok_or("[ without ]")?;
                        if CLASSES.contains(&escape) {
                            return Err("a range ends in a class".to_owned());
                        }
                        self.escaped(escape)?
                    }
                    b'[' => return Err("a range ends in [".to_owned()),
                    end => end,
                };
                if end < start {
                    return Err("a range ends before it begins".to_owned());
                }
                set.push_str(&format!("-{}", hex(end)));
            }
        }
        set.push(']');
        self.plain(&set, true);
        Ok(())
    }

    /// `[:alpha:]`, of which the first bracket was taken.
    fn named_class(&mut self) -> Result<String, String> {
        let not = "a class in [ ] is not understood";
        let end = self
            .rest
            .windows(2)
            .position(|two| two == b":]")
            .ok_or(not)?;
        let name = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        let name = name.strip_prefix(':').ok_or(not)?.to_owned();
        let plain = name.strip_prefix('^').unwrap_or(&name);
        if !NAMED.contains(&plain) {
            return Err(format!("[:{name}:] is not understood"));
        }
        self.rest = &self.rest[end + 2..];
        Ok(format!("[:{name}:]"))
    }

    /// Behind a class perl takes a hyphen for itself, with a warning.
    fn no_range(&self) -> Result<(), String> {
        match self.rest.starts_with(b"-") && !self.rest.starts_with(b"-]") {
            true => Err("a range begins with a class".to_owned()),
            false => Ok(()),
        }
    }
}

fn hex(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_perl() {
        // pattern, what it finds, what it does not find
        for (pattern, found, not_found) in [
            (
                r"^bounce.*@lists\.example$",
                "bounce-1@lists.example",
                "xbounce@lists.example",
            ),
            (r"@spam\.", "a@spam.example", "a@spamx"),
            ("%", "a%b@c", "ab@c"),
            (r"^[0-9]+@", "123@x", "12a@x"),
            (r"[]a]", "]", "b"),
            (r"[^]a]", "b", "]"),
            (r"[a&&b]", "&", "c"),
            (r"[a[b]", "[", "c"),
            (r"[a-]$", "-", "b"),
            (r"[+--]", ",", "."),
            (r"^\<a\>$", "<a>", "a"),
            (r"x{2}y", "xxy", "xy"),
            (r"x{a}", "x{a}", "xa"),
            (r"^(?i:ABC)d$", "abcd", "abcD"),
            (r"^(a|b)*c$", "abac", "adc"),
            (r"\x41b", "Ab", "ab"),
            (r"^[[:alpha:]]$", "a", "1"),
            (r"\d\b", "a1", "1a"),
            ("a$", "a\n", "a\nb"),
        ] {
            let regex = perl(pattern.as_bytes(), false).unwrap();
            assert!(regex.is_match(found.as_bytes()), "{pattern} {found}");
            assert!(
                !regex.is_match(not_found.as_bytes()),
                "{pattern} {not_found}"
            );
        }
        assert!(perl(b"ABC", true).unwrap().is_match(b"xabc"));
        assert!(perl(b"^.\xe9", false).unwrap().is_match(b"\xff\xe9"));
    }

    #[test]
    fn what_perl_may_read_in_another_way_is_refused() {
        for pattern in [
            "+++",
            "*a",
            "^*",
            "a**",
            "a++",
            "(?=a)",
            "(?<n>a)",
            "(?#x)",
            r"\1",
            r"(a)\1",
            r"\Q",
            r"\K",
            r"\x{41}",
            r"\p{L}",
            "a{,2}",
            "a{ 2 }",
            "a{2,1}",
            "(",
            ")",
            "[a",
            "[z-a]",
            r"[\d-z]",
            "[[:foo:]]",
            "[[.a.]]",
            "a\\",
            "(*FAIL)",
            r"\b{wb}",
        ] {
            assert!(perl(pattern.as_bytes(), false).is_err(), "{pattern}");
        }
    }

    /// What perl itself says, where there is one.
    #[test]
    fn perl_says_the_same() {
        let patterns = [
            r"^bounce.*@lists\.example$",
            "%",
            r"[]a]",
            r"[^]a]",
            r"[a&&b]",
            r"[a[b]",
            "[a-]$",
            "[+--]",
            r"\<a\>",
            "x{2}y",
            "x{a}",
            "(a|b)*c",
            "[[:alpha:]]",
            r"\d\b",
            "a$",
            "a?",
            r"\W",
            "[^a-c]",
            "a|",
            "a}",
            r"\/",
            r"^$",
        ];
        let subjects = [
            "",
            "a",
            "b",
            "]",
            "&",
            "[",
            "-",
            ",",
            "<a>",
            "xxy",
            "x{a}",
            "abac",
            "1",
            "a1",
            "1a",
            "a\n",
            "a\nb",
            "/",
            "a}",
            "bounce@lists.example",
            "%",
            "\x0b",
        ];
        // No NUL may be in an argument.
        let script = r#"for my $p (split /\x01/, shift) {
            print join('', map { /$p/ ? 1 : 0 } split /\x01/, $ARGV[0], -1), "\n" }"#;
        let output = std::process::Command::new("perl")
            .args(["-e", script, &patterns.join("\x01"), &subjects.join("\x01")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.len(), patterns.len());
        for (pattern, said) in patterns.iter().zip(said) {
            let regex = perl(pattern.as_bytes(), false).unwrap();
            let own = subjects.iter().map(|s| {
                if regex.is_match(s.as_bytes()) {
                    '1'
                } else {
                    '0'
                }
            });
            assert_eq!(own.collect::<String>(), said, "{pattern}");
        }
    }
}
