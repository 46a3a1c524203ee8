//! Policy, as Qpsmtpd::Plugin has it for Perl plugins: what the arguments `loglevel`, `reject` and
//! `reject_type` of a plugin's line make of a finding, who is left alone, and the notes by which plugins
//! tell each other (`naughty`, `karma`, `authentication_results`).

use super::cx::Cx;
use super::failure::{HookResult, PluginError, declined};
use crate::hook::{Code, Verdict};
use crate::log::{LOGDEBUG, LOGINFO};
use crate::mail::Note;

/// What a plugin's line says of its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// `loglevel`
    level: Option<Level>,
    /// `reject`; they do where nothing is said.
    pub(super) reject: Option<Reject>,
    /// `reject_type`: the word, and what it stands for.
    pub(super) reject_type: Option<(&'static str, Code)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Is(u8),
    MovedBy(i8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reject {
    Yes,
    No,
    Naughty,
}

/// The arguments that every plugin with named arguments takes.
pub(super) const OF_ALL: &[&str] = &["loglevel"];
/// Those of plugins that reject.
pub(super) const OF_REJECTING: &[&str] = &["loglevel", "reject", "reject_type"];

const REJECT_TYPES: [(&str, Code); 6] = [
    ("temp", Code::DenySoft),
    ("soft", Code::DenySoft),
    ("perm", Code::Deny),
    ("hard", Code::Deny),
    ("disconnect", Code::DenyDisconnect),
    ("temp_disconnect", Code::DenySoftDisconnect),
];

impl Policy {
    /// Takes the pairs with these names out of a line's words. What is left is the plugin's.
    pub(super) fn take(
        words: &[Vec<u8>],
        names: &[&str],
        reject_words: &[&str],
    ) -> Result<(Policy, Vec<Vec<u8>>), PluginError> {
        let mut policy = Policy::default();
        let mut rest = Vec::with_capacity(words.len());
        let mut taken: Vec<&str> = Vec::new();
        for pair in words.chunks(2) {
            let name = names.iter().find(|name| name.as_bytes() == pair[0]);
            let (Some(name), Some(value)) = (name, pair.get(1)) else {
                rest.extend_from_slice(pair);
                continue;
            };
            if taken.contains(name) {
                return Err(PluginError::argument(*name, "stands there twice"));
            }
            taken.push(name);
            policy.set(name, &String::from_utf8_lossy(value), reject_words)?;
        }
        Ok((policy, rest))
    }

    fn set(&mut self, name: &str, value: &str, reject_words: &[&str]) -> Result<(), PluginError> {
        let refused = |allowed: &str| {
            let problem = format!("takes {allowed}, not '{value}'");
            Err(PluginError::argument(name, problem))
        };
        match name {
            "loglevel" => match level(value) {
                Some(level) => self.level = Some(level),
                None => {
                    return refused("N, +N or -N (N from 0 to 7) or a name such as LOGINFO");
                }
            },
            "reject" => {
                self.reject = Some(match value.to_ascii_lowercase().as_str() {
                    "1" | "yes" | "on" | "true" => Reject::Yes,
                    "0" | "no" | "off" | "false" => Reject::No,
                    "naughty" => Reject::Naughty,
                    word if reject_words.contains(&word) => Reject::Yes,
                    _ if reject_words.is_empty() => return refused("yes, no or naughty (or 1, 0)"),
                    _ => {
                        let more = reject_words.join(", ");
                        return refused(&format!("yes, no, naughty or {more} (or 1, 0)"));
                    }
                });
            }
            _ => {
                self.reject_type = reject_type(value);
                match self.reject_type {
                    Some(_) => {}
                    None => {
                        let allowed =
                            "temp (or soft), perm (or hard), disconnect or temp_disconnect";
                        return refused(allowed);
                    }
                }
            }
        }
        Ok(())
    }

    /// What Qpsmtpd::Plugin makes of a Perl plugin's arguments: a word that it does not know is as good as
    /// none, of two the last counts. Only a `loglevel` with which no plugin of Perl's can log is refused.
    pub(super) fn of_perl(words: &[Vec<u8>]) -> Result<Policy, PluginError> {
        let mut policy = Policy::default();
        for pair in words.chunks(2) {
            let value = pair.get(1).map_or(&b""[..], Vec::as_slice);
            let is_true = !value.is_empty() && value != b"0";
            match pair[0].as_slice() {
                b"loglevel" if is_true => {
                    let level = match value {
                        [b'+' | b'-', b'0'..=b'9'] | [b'0'..=b'7'] => {
                            level(&String::from_utf8_lossy(value))
                        }
                        _ => None,
                    };
                    let shown = String::from_utf8_lossy(value);
                    let refused = || {
                        let problem = format!("takes N, +N or -N (N from 0 to 7), not '{shown}'");
                        PluginError::argument("loglevel", problem)
                    };
                    policy.level = Some(level.ok_or_else(refused)?);
                }
                b"loglevel" => policy.level = None,
                b"reject" => {
                    policy.reject = match value {
                        b"naughty" => Some(Reject::Naughty),
                        _ if is_true => Some(Reject::Yes),
                        // Without a value it is undefined, and the default of those that reject holds.
                        _ if pair.len() == 1 => None,
                        _ => Some(Reject::No),
                    }
                }
                b"reject_type" => {
                    let exact = |word: &str| word.contains("disconnect");
                    let known = |(word, _): &&(&str, Code)| match exact(word) {
                        true => word.as_bytes() == value,
                        false => word.as_bytes().eq_ignore_ascii_case(value),
                    };
                    let known = REJECT_TYPES.iter().find(known);
                    policy.reject_type = known.map(|(word, code)| (*word, code.clone()));
                }
                _ => {}
            }
        }
        Ok(policy)
    }

    /// With these where the line says nothing.
    pub(super) fn or(self, usual: Policy) -> Policy {
        Policy {
            level: self.level.or(usual.level),
            reject: self.reject.or(usual.reject),
            reject_type: self.reject_type.or(usual.reject_type),
        }
    }

    /// The level of a line of the plugin's.
    pub(super) fn level(&self, said: u8) -> u8 {
        match self.level {
            None => said,
            Some(Level::Is(level)) => level,
            Some(Level::MovedBy(by)) => said.saturating_add_signed(by).min(7),
        }
    }
}

/// What a word of `reject_type` stands for, with the word.
pub(super) fn reject_type(value: &str) -> Option<(&'static str, Code)> {
    let known = |(word, _): &&(&str, Code)| word.eq_ignore_ascii_case(value);
    let known = REJECT_TYPES.iter().find(known);
    known.map(|(word, code)| (*word, code.clone()))
}

fn level(value: &str) -> Option<Level> {
    const NAMES: [&str; 8] = [
        "LOGEMERG",
        "LOGALERT",
        "LOGCRIT",
        "LOGERROR",
        "LOGWARN",
        "LOGNOTICE",
        "LOGINFO",
        "LOGDEBUG",
    ];
    let digit = |text: &str| text.parse::<u8>().ok().filter(|_| text.len() == 1);
    if let Some(by) = value.strip_prefix('+') {
        return digit(by).map(|by| Level::MovedBy(by as i8));
    }
    if let Some(by) = value.strip_prefix('-') {
        return digit(by).map(|by| Level::MovedBy(-(by as i8)));
    }
    if value.eq_ignore_ascii_case("LOGRADAR") {
        return Some(Level::Is(0));
    }
    let named = NAMES
        .iter()
        .position(|name| name.eq_ignore_ascii_case(value));
    let level = named.and_then(|level| u8::try_from(level).ok());
    level
        .or_else(|| digit(value).filter(|level| *level <= 7))
        .map(Level::Is)
}

impl Cx<'_> {
    /// The verdict on what the plugin has found to be wrong, as `reject` and `reject_type` of its line ask
    /// for it: refused, or only told in the log, or left to the plugin `naughty`. `why` goes into the log.
    pub fn get_reject(&self, message: impl AsRef<[u8]>, why: &str) -> HookResult {
        let message = match message.as_ref() {
            b"" => b"unspecified error",
            message => message,
        };
        let why = match why.is_empty() {
            true => String::new(),
            false => format!(", {why}"),
        };
        let policy = &self.plugin.policy;
        match policy.reject.unwrap_or(Reject::Yes) {
            Reject::No => {
                self.log(LOGINFO, format!("fail, tolerated{why}"));
                declined()
            }
            Reject::Naughty => {
                self.log(LOGINFO, format!("fail, NAUGHTY{why}"));
                // 1.00 says whose word it is, as the client hears it much later.
                match self.session.is_1_00() {
                    true => {
                        let name = self.plugin_name().as_bytes();
                        self.store_deferred_reject([b"(", name, b") ", message].concat())
                    }
                    false => self.store_deferred_reject(message),
                }
            }
            Reject::Yes => {
                self.log(LOGINFO, format!("fail{why}"));
                Ok(Verdict::with_text(
                    self.get_reject_type(Code::Deny),
                    message,
                ))
            }
        }
    }

    /// The verdict that `reject_type` of the plugin's line stands for, else this one.
    pub fn get_reject_type(&self, default: Code) -> Code {
        let named = self.plugin.policy.reject_type.as_ref();
        named.map_or(default, |(_, code)| code.clone())
    }

    /// Leaves the rejection to the plugin `naughty`; the first plugin's `reject_type` counts.
    pub fn store_deferred_reject(&self, message: impl AsRef<[u8]>) -> HookResult {
        let (notes, message) = (self.notes(), message.as_ref());
        match notes.bytes("naughty").filter(|_| notes.is_true("naughty")) {
            Some(earlier) => notes.set("naughty", [&earlier, &b"\r\n"[..], message].concat()),
            None => notes.set("naughty", message.to_vec()),
        }
        if !notes.is_true("naughty_reject_type") {
            let named = self.plugin.policy.reject_type.as_ref();
            let named = named.map_or(Note::Undef, |(word, _)| Note::from(*word));
            notes.set("naughty_reject_type", named);
        }
        declined()
    }

    /// Whether no policy shall touch the client or the sender: one that may relay, or that a plugin has put
    /// on a white list. The log says why.
    pub fn is_immune(&self) -> bool {
        let (client, envelope) = (self.client(), self.envelope());
        let why = if client.may_relay() {
            "relay client"
        } else if client.notes().is_true("whitelisthost") {
            "whitelisted host"
        } else if envelope.notes().is_true("whitelistsender") {
            "whitelisted sender"
        } else {
            return false;
        };
        self.log(LOGINFO, format!("skip, {why}"));
        true
    }

    /// Whether a plugin has left the client's rejection to the plugin `naughty`.
    pub fn is_naughty(&self) -> bool {
        self.notes().is_true("naughty")
    }

    /// The client is rejected by the plugin `naughty`, with this text; or is not, where it is empty.
    pub fn set_naughty(&self, text: &str) {
        let notes = self.notes();
        notes.set("naughty", text);
        notes.set("rejected", text);
        if notes.is_true("naughty") {
            self.log(LOGINFO, "skip, naughty");
        }
    }

    /// Adds to the client's karma, and gives what it comes to.
    pub fn adjust_karma(&self, value: i64) -> i64 {
        let notes = self.notes();
        let karma = notes.int("karma").unwrap_or_default().saturating_add(value);
        self.log(LOGINFO, format!("karma {value} ({karma})"));
        notes.set("karma", karma);
        karma
    }

    /// A result for the field Authentication-Results.
    pub fn store_auth_results(&self, result: &str) {
        let notes = self.notes();
        let key = "authentication_results";
        let earlier = notes.text(key).filter(|_| notes.is_true(key));
        match earlier {
            None => notes.set(key, result),
            Some(earlier) => {
                let all = format!("{earlier}; {result}");
                self.log(LOGDEBUG, format!("auth-results: {all}"));
                notes.set(key, all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &str) -> Result<(Policy, usize), String> {
        let words = line.split(' ').map(|word| word.as_bytes().to_vec());
        let taken = Policy::take(&words.collect::<Vec<_>>(), OF_REJECTING, &[]);
        taken
            .map(|(policy, rest)| (policy, rest.len()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_common_arguments_are_taken_wherever_they_stand() {
        let (policy, rest) = take("max 5 loglevel -2 reject naughty zone reject_type").unwrap();
        assert_eq!((policy.reject, rest), (Some(Reject::Naughty), 4));
        let levels = [0, 1, 5, 7].map(|level| policy.level(level));
        assert_eq!(levels, [0, 0, 3, 5]);
        let (policy, _) = take("loglevel LOGNOTICE reject_type temp_disconnect").unwrap();
        assert_eq!(policy.level(7), 5);
        let (word, code) = policy.reject_type.unwrap();
        assert_eq!((word, code), ("temp_disconnect", Code::DenySoftDisconnect));
    }

    #[test]
    fn a_perl_plugin_s_line_is_taken_as_perl_takes_it() {
        let of = |line: &str| {
            let words = line.split(' ').map(|word| word.as_bytes().to_vec());
            Policy::of_perl(&words.collect::<Vec<_>>())
        };
        for (line, reject) in [
            ("reject 0", Some(Reject::No)),
            ("reject no", Some(Reject::Yes)),
            ("reject", None),
            ("reject naughty", Some(Reject::Naughty)),
            ("reject Naughty", Some(Reject::Yes)),
            ("reject 1 reject 0", Some(Reject::No)),
            ("whatever", None),
        ] {
            assert_eq!(of(line).unwrap().reject, reject, "{line}");
        }
        for (line, code) in [
            ("reject_type SOFT", Code::DenySoft),
            ("reject_type disconnect", Code::DenyDisconnect),
            ("reject_type Disconnect", Code::Ok),
            ("reject_type soon", Code::Ok),
        ] {
            let named = of(line).unwrap().reject_type;
            assert_eq!(named.map_or(Code::Ok, |(_, code)| code), code, "{line}");
        }
        let levels = ["loglevel 0", "loglevel -1", "loglevel 3"].map(|l| of(l).unwrap().level(6));
        assert_eq!(levels, [6, 5, 3]);
        assert!(of("loglevel LOGINFO").is_err());
    }

    #[test]
    fn a_wrong_one_is_told_what_is_allowed() {
        for (line, said) in [
            (
                "loglevel loud",
                "argument 'loglevel' takes N, +N or -N (N from 0 to 7) or a name such as LOGINFO, not 'loud'",
            ),
            (
                "loglevel 9",
                "argument 'loglevel' takes N, +N or -N (N from 0 to 7) or a name such as LOGINFO, not '9'",
            ),
            (
                "reject maybe",
                "argument 'reject' takes yes, no or naughty (or 1, 0), not 'maybe'",
            ),
            (
                "reject_type soon",
                "argument 'reject_type' takes temp (or soft), perm (or hard), disconnect or temp_disconnect, not 'soon'",
            ),
            ("reject 0 reject 1", "argument 'reject' stands there twice"),
        ] {
            assert_eq!(take(line).map(|_| ()), Err(said.to_owned()), "{line}");
        }
    }
}
