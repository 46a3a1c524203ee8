//! What a name in a greeting says by itself: whether config `badhelo` has it, whether it is localhost's, an address or
//! no name of a host. Asks nobody.

use regex::bytes::Regex;

use super::{Wrong, wrong};
use crate::config::Profile;
use crate::log::LOGDEBUG;
use crate::plugin::{ConfigValue, Cx, Failure, LoadEnv, PluginError, WrongValue};
use crate::plugins::pattern;

pub(super) const LIST: &str = "badhelo";

/// Names, and patterns that the name in lower case has, or with `!` has not.
pub(super) struct BadHelo(Vec<Entry>);

enum Entry {
    Name(Vec<u8>),
    Pattern {
        text: Vec<u8>,
        is_bad: bool,
        regex: Result<Regex, String>,
    },
}

impl ConfigValue for BadHelo {
    fn parse(lines: &[Vec<u8>]) -> Result<BadHelo, WrongValue> {
        Ok(BadHelo(lines.iter().map(|line| Entry::of(line)).collect()))
    }
}

impl Entry {
    fn of(line: &[u8]) -> Entry {
        if !line.iter().any(|byte| b"{}[]()^$|*+?\\!".contains(byte)) {
            return Entry::Name(line.to_ascii_lowercase());
        }
        let (text, is_bad) = match line.strip_prefix(b"!") {
            Some(text) => (text, false),
            None => (line, true),
        };
        let shown = String::from_utf8_lossy(text);
        let regex = pattern::perl(text, false)
            .map_err(|why| format!("the pattern '{shown}' cannot be read: {why}"));
        Entry::Pattern {
            text: text.to_vec(),
            is_bad,
            regex,
        }
    }
}

/// Says once which patterns cannot be read, as they are when the plugin is loaded.
pub(super) fn tell_wrong(env: &LoadEnv<'_>) -> Result<(), PluginError> {
    for line in env.config().entries(LIST)? {
        if let Entry::Pattern {
            regex: Err(why), ..
        } = Entry::of(&line.text)
        {
            env.warn(format!("{}: {why}", line.place));
        }
    }
    Ok(())
}

impl BadHelo {
    /// In 0.94 the first pattern decides, whatever stands behind it.
    pub(super) fn check(&self, host: &[u8], of: Profile) -> Result<Option<Wrong>, Failure> {
        let lower = host.to_ascii_lowercase();
        let usual = || [b"I do not believe you are ", host, b"."].concat();
        for entry in &self.0 {
            match entry {
                Entry::Name(name) if *name == lower => {
                    return Ok(Some((usual(), "in badhelo".to_owned())));
                }
                Entry::Name(_) => {}
                Entry::Pattern {
                    text,
                    is_bad,
                    regex,
                } => {
                    let regex = regex.as_ref().map_err(|why| Failure::new(why.clone()))?;
                    let is_hit = regex.is_match(&lower) == *is_bad;
                    let shown = String::from_utf8_lossy(text);
                    match (is_hit, of) {
                        (true, Profile::V094) => {
                            let log = format!("badhelo pattern match ({shown})");
                            return Ok(wrong("Your HELO hostname is not allowed", &log));
                        }
                        (true, Profile::V100) => {
                            return Ok(Some((usual(), "in badhelo".to_owned())));
                        }
                        (false, Profile::V094) => return Ok(None),
                        (false, Profile::V100) => {}
                    }
                }
            }
        }
        Ok(None)
    }
}

/// The checks of one name.
pub(super) struct Checks<'a> {
    pub(super) cx: &'a Cx<'a>,
    pub(super) host: &'a [u8],
    pub(super) of: Profile,
}

impl Checks<'_> {
    /// Who says that it is localhost has to be. 1.00 looks at the address first.
    pub(super) fn localhost(&self) -> Option<Wrong> {
        let (ip, debug) = (self.cx.client().ip_text(), |text: &str| {
            self.cx.log(LOGDEBUG, text);
            None
        });
        let says_so = self.host.eq_ignore_ascii_case(b"localhost");
        match self.of {
            Profile::V094 if !says_so => None,
            Profile::V094 if ip == "127.0.0.1" => debug("pass, is localhost"),
            Profile::V100 if is_localhost(&ip) => debug("pass, is localhost"),
            Profile::V100 if !says_so => debug("pass, host is localhost"),
            _ => wrong("You are not localhost", "invalid localhost"),
        }
    }

    /// An address in brackets has to be the client's. 1.00 finds it without brackets, and then always forged.
    pub(super) fn forged_literal(&self) -> Option<Wrong> {
        let is_forged = match self.of {
            Profile::V094 => {
                let ip = self.cx.client().ip_text();
                bracketed(self.host).is_some_and(|literal| literal != ip.as_bytes())
            }
            Profile::V100 => is_valid_ip(self.host),
        };
        is_forged
            .then(|| wrong("Forged IPs not accepted here", "forged IP literal"))
            .flatten()
    }

    pub(super) fn plain_ip(&self) -> Option<Wrong> {
        let is_ip = match self.of {
            Profile::V094 => is_dotted(self.host),
            Profile::V100 => is_valid_ip(self.host),
        };
        if !is_ip {
            return None;
        }
        self.cx.log(LOGDEBUG, "fail, plain IP");
        wrong("Plain IP is invalid HELO hostname (RFC 2821)", "plain IP")
    }

    pub(super) fn literal(&self) -> Option<Wrong> {
        let is_literal = match self.of {
            Profile::V094 => bracketed(self.host).is_some(),
            Profile::V100 => {
                let inner = self.host.strip_prefix(b"[");
                let end = inner.and_then(|inner| inner.iter().rposition(|byte| *byte == b']'));
                let inner = inner.zip(end).map(|(inner, end)| &inner[..end]);
                inner.is_some_and(is_valid_ip)
            }
        };
        if !is_literal {
            return None;
        }
        self.cx.log(LOGDEBUG, "fail, bracketed IP");
        wrong(
            "RFC 2821 allows an address literal, but we do not",
            "bracketed IP",
        )
    }

    pub(super) fn not_fqdn(&self) -> Option<Wrong> {
        let host = self.host;
        if bracketed(host).is_some() {
            return None;
        }
        if !host.contains(&b'.') {
            return wrong(
                "HELO name is not fully qualified. Read RFC 2821",
                "not FQDN",
            );
        }
        let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
        if !host.iter().all(is_usual) {
            return wrong(
                "HELO name contains invalid FQDN characters. Read RFC 1035",
                "invalid FQDN chars",
            );
        }
        None
    }
}

fn is_localhost(ip: &str) -> bool {
    ip.starts_with("127.") || ip.contains(":127.") || ip == "::1"
}

/// Four numbers of up to three digits.
fn is_dotted(host: &[u8]) -> bool {
    let parts: Vec<&[u8]> = host.split(|byte| *byte == b'.').collect();
    let is_number =
        |part: &&[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    parts.len() == 4 && parts.iter().all(is_number)
}

/// What is in the brackets of `[192.0.2.1]`.
fn bracketed(host: &[u8]) -> Option<&[u8]> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    is_dotted(inner).then_some(inner)
}

/// What 1.00 takes for an address: one to four numbers, none with 255 in it, or an IPv6 address.
fn is_valid_ip(host: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(host) else {
        return false;
    };
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        let numbers: Vec<Option<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        let fit = |number: &Option<u32>| number.is_some_and(|number| number < 256);
        return numbers.len() <= 4 && numbers.iter().all(fit) && !text.contains("255");
    }
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(lines: &[&str], host: &str, of: Profile) -> Option<String> {
        let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let list = BadHelo::parse(&lines).unwrap();
        let found = list.check(host.as_bytes(), of).unwrap();
        found.map(|(reply, _)| String::from_utf8(reply).unwrap())
    }

    #[test]
    fn names_and_patterns_are_in_badhelo() {
        use Profile::{V094, V100};
        let list = ["LIAR.example", "^x", "other.example"];
        let usual = |host: &str| Some(format!("I do not believe you are {host}."));
        let pattern = Some("Your HELO hostname is not allowed".to_owned());
        assert_eq!(bad(&list, "Liar.Example", V094), usual("Liar.Example"));
        assert_eq!(bad(&list, "X.example", V094), pattern);
        assert_eq!(bad(&list, "X.example", V100), usual("X.example"));
        // Behind a pattern 0.94 does not look.
        assert_eq!(bad(&list, "other.example", V094), None);
        assert_eq!(bad(&list, "other.example", V100), usual("other.example"));
        assert_eq!(bad(&["!^[a-z.]+$"], "a1", V094), pattern);
        assert_eq!(bad(&["!^[a-z.]+$"], "a.b", V094), None);
    }

    #[test]
    fn addresses_are_told_from_names() {
        assert!(is_dotted(b"192.0.2.1") && is_dotted(b"999.0.2.1"));
        assert!(!is_dotted(b"1.2.3") && !is_dotted(b"1.2.3.4.5") && !is_dotted(b"a.2.3.4"));
        assert_eq!(bracketed(b"[192.0.2.1]"), Some(&b"192.0.2.1"[..]));
        assert!(is_valid_ip(b"1.2.3") && is_valid_ip(b"::1") && is_valid_ip(b"192.0.2.1"));
        assert!(!is_valid_ip(b"1.2.3.255") && !is_valid_ip(b"a.example") && !is_valid_ip(b"1..2"));
    }
}
