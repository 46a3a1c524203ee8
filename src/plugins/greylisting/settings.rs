//! The settings of greylisting: what it has without a word, under what config `denysoft_greylist` has, under what the
//! line has. Values are words, as in Perl: true or not, and the number that they begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::triplet::Times;
use crate::config::Profile;
use crate::plugins::list::{is_space, is_true};
use crate::plugins::pairs;

/// The config file.
pub(super) const FILE: &str = "denysoft_greylist";

const DEFAULTS: [(&str, Option<&str>); 9] = [
    ("remote_ip", Some("1")),
    ("sender", Some("0")),
    ("recipient", Some("0")),
    ("reject", Some("1")),
    ("black_timeout", Some("3000")),
    ("grey_timeout", Some("12000")),
    ("white_timeout", Some("3110400")),
    ("nfslock", Some("0")),
    ("p0f", None),
];
const KNOWN: [&str; 15] = [
    "per_recipient",
    "remote_ip",
    "sender",
    "recipient",
    "black_timeout",
    "grey_timeout",
    "white_timeout",
    "deny_late",
    "db_dir",
    "nfslock",
    "p0f",
    "reject",
    "loglevel",
    "geoip",
    "upgrade",
];
/// What asks for a database that is not config `store`'s.
const ELSEWHERE: [&str; 3] = ["nfslock", "redis", "per_recipient_db"];

/// The arguments of a line `native/greylisting`.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(in crate::plugins) struct Args {
    per_recipient: Option<bool>,
    remote_ip: Option<bool>,
    sender: Option<bool>,
    recipient: Option<bool>,
    deny_late: Option<bool>,
    reject: Option<bool>,
    black_timeout: Option<Duration>,
    grey_timeout: Option<Duration>,
    white_timeout: Option<Duration>,
    p0f: Option<String>,
    geoip: Option<String>,
    /// The store is where config `store` has it.
    db_dir: Option<String>,
    /// There is nothing to convert in it.
    upgrade: Option<bool>,
    /// A Perl plugin's line as it is.
    #[serde(skip)]
    words: Vec<Vec<u8>>,
}

impl Args {
    /// Of a Perl plugin's line.
    pub(super) fn of_perl(words: &[Vec<u8>]) -> Args {
        Args {
            words: words.to_vec(),
            ..Args::default()
        }
    }

    /// As words of a Perl plugin's line.
    pub(super) fn words(&self) -> Vec<Vec<u8>> {
        let mut words = self.words.clone();
        let is_on = |on: bool| if on { "1" } else { "0" }.to_owned();
        let seconds = |time: Duration| time.as_secs_f64().to_string();
        for (name, value) in [
            ("per_recipient", self.per_recipient.map(is_on)),
            ("remote_ip", self.remote_ip.map(is_on)),
            ("sender", self.sender.map(is_on)),
            ("recipient", self.recipient.map(is_on)),
            ("deny_late", self.deny_late.map(is_on)),
            ("reject", self.reject.map(is_on)),
            ("black_timeout", self.black_timeout.map(seconds)),
            ("grey_timeout", self.grey_timeout.map(seconds)),
            ("white_timeout", self.white_timeout.map(seconds)),
            ("p0f", self.p0f.clone()),
            ("geoip", self.geoip.clone()),
            ("db_dir", self.db_dir.clone()),
            ("upgrade", self.upgrade.map(is_on)),
        ] {
            words.extend(
                value
                    .map(|value| [name.into(), value.into_bytes()])
                    .into_iter()
                    .flatten(),
            );
        }
        words
    }
}

/// Names and values; some have none.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    of: Profile,
}

impl Settings {
    /// Without a word.
    pub(super) fn new(of: Profile) -> Settings {
        let known = DEFAULTS.iter().filter(|(name, _)| has(of, name));
        let pair = |(name, value): &(&str, Option<&str>)| {
            let value = value.map(|value| value.as_bytes().to_vec());
            (name.as_bytes().to_vec(), value)
        };
        Settings {
            values: known.map(pair).collect(),
            of,
        }
    }

    /// With these lines of the file in their places.
    pub(super) fn with_lines(mut self, lines: &[Vec<u8>]) -> Settings {
        for line in lines {
            let end = line.iter().position(|byte| is_space(*byte));
            let (name, rest) = line.split_at(end.unwrap_or(line.len()));
            let start = rest.iter().position(|byte| !is_space(*byte));
            let value = start.map(|start| rest[start..].to_vec());
            self.values.insert(name.to_vec(), value);
        }
        self
    }

    /// With the words of a line.
    pub(super) fn with_words(mut self, words: &[Vec<u8>]) -> Settings {
        for pair in words.chunks(2) {
            self.values.insert(pair[0].clone(), pair.get(1).cloned());
        }
        self
    }

    /// A value; none where it is not defined.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name.as_bytes())?.as_deref()
    }

    /// A value that is true in Perl's sense.
    pub(super) fn get_true(&self, name: &str) -> Option<&[u8]> {
        self.get(name).filter(|value| is_true(value))
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get_true(name).is_some()
    }

    /// Whether a client that comes too early is told to come again.
    pub(super) fn rejects(&self) -> bool {
        self.get("reject").is_none_or(is_true)
    }

    pub(super) fn times(&self) -> Times {
        let time = |name| self.get(name).map_or(0.0, pairs::number);
        Times {
            black: time("black_timeout"),
            grey: (self.of == Profile::V094).then(|| time("grey_timeout")),
            white: time("white_timeout"),
        }
    }

    /// The names that the plugin does not know.
    pub(super) fn unknown(&self) -> Vec<Vec<u8>> {
        let is_known = |name: &[u8]| {
            let has = KNOWN.iter().any(|known| known.as_bytes() == name);
            has || self.of == Profile::V100 && name == b"redis"
        };
        let names = self.values.keys();
        names.filter(|name| !is_known(name)).cloned().collect()
    }

    /// The names that ask for a database that is not the store.
    pub(super) fn elsewhere(&self) -> Vec<&'static str> {
        let names = ELSEWHERE.into_iter();
        names.filter(|name| self.is_on(name)).collect()
    }

    /// As the log has them.
    pub(super) fn shown(&self) -> Vec<u8> {
        let pair = |(name, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            [name, &b"="[..], value.as_deref().unwrap_or_default()].concat()
        };
        let pairs: Vec<Vec<u8>> = self.values.iter().map(pair).collect();
        pairs.join(&b',')
    }
}

/// 1.00 has no grey time, and takes the word for one that counts for nothing.
fn has(of: Profile, name: &str) -> bool {
    of == Profile::V094 || name != "grey_timeout"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn the_line_counts_before_the_file_and_the_file_before_the_usual() {
        let settings = Settings::new(Profile::V094)
            .with_lines(&lines("black_timeout 60\nsender  1 \nwhite_timeout 5x"))
            .with_words(&words("black_timeout 30"));
        let times = settings.times();
        assert_eq!(
            (times.black, times.white, times.grey),
            (30.0, 5.0, Some(12_000.0))
        );
        assert!(
            settings.is_on("remote_ip") && settings.is_on("sender") && !settings.is_on("recipient")
        );
        assert!(settings.rejects() && settings.unknown().is_empty());
        let start = "black_timeout=30,grey_timeout=12000,nfslock=0,p0f=,recipient=0,reject=1,";
        assert!(settings.shown().starts_with(start.as_bytes()));
    }

    #[test]
    fn a_name_without_a_value_is_not_defined() {
        let settings = Settings::new(Profile::V094)
            .with_lines(&lines("remote_ip"))
            .with_words(&words("reject 0 deny_late"));
        assert!(!settings.is_on("remote_ip") && !settings.is_on("deny_late"));
        assert!(!settings.rejects());
        assert!(settings.with_words(&words("reject")).rejects());
    }

    #[test]
    fn what_the_versions_know_differs() {
        let said = |of| {
            let settings =
                Settings::new(of).with_words(&words("redis x nonsense 1 grey_timeout 9"));
            (settings.unknown(), settings.times().grey)
        };
        assert_eq!(said(Profile::V094), (words("nonsense redis"), Some(9.0)));
        assert_eq!(said(Profile::V100), (words("nonsense"), None));
    }

    #[test]
    fn what_is_to_be_elsewhere_than_in_the_store_is_known() {
        let settings = Settings::new(Profile::V100);
        assert!(settings.elsewhere().is_empty());
        let settings = settings.with_words(&words("nfslock 1 redis host per_recipient_db 0"));
        assert_eq!(settings.elsewhere(), ["nfslock", "redis"]);
    }
}
