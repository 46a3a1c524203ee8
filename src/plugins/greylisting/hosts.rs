//! Whom greylisting of 1.00 leaves alone by address or name: the files that config `greylist_exclude_files` names, with an
//! address, a name or a `/pattern/` of names in each line. They are read when the plugin is loaded.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use regex::bytes::Regex;

use crate::config::reason;
use crate::plugin::{Cx, Failure, LoadEnv, PluginError};
use crate::plugins::list::is_space;
use crate::plugins::pattern;

/// The config file.
const FILES: &str = "greylist_exclude_files";

#[derive(Default)]
pub(super) struct Hosts {
    /// Addresses and names.
    words: HashSet<Vec<u8>>,
    /// Of names. One that cannot be read is a failure where it is come to.
    patterns: Vec<Result<Regex, String>>,
}

impl Hosts {
    pub(super) fn load(env: &LoadEnv<'_>) -> Result<Hosts, PluginError> {
        let mut hosts = Hosts::default();
        for path in env.lines(FILES)? {
            let path = Path::new(OsStr::from_bytes(&path));
            let shown = path.display();
            match std::fs::read(path) {
                Ok(text) => {
                    let wrong = hosts.add(&text);
                    let tell = |(line, why)| env.warn(format!("{shown}:{line}: {why}"));
                    wrong.into_iter().for_each(tell);
                }
                Err(error) => env.warn(format!(
                    "{shown} ({FILES}) cannot be read, so that nobody in it is left alone: {}",
                    reason(&error)
                )),
            }
        }
        Ok(hosts)
    }

    /// Takes a file's lines, and gives the numbers of those that cannot be read, with the reasons.
    fn add(&mut self, text: &[u8]) -> Vec<(usize, String)> {
        let mut wrong = Vec::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let end = line.iter().position(|byte| *byte == b'#');
            let line = &line[..end.unwrap_or(line.len())];
            let word: Vec<u8> = line
                .iter()
                .copied()
                .filter(|byte| !is_space(*byte))
                .collect();
            let inner = word
                .strip_prefix(b"/")
                .and_then(|rest| rest.strip_suffix(b"/"));
            match inner {
                Some(inner) => {
                    let pattern = pattern::perl(inner, false).map_err(|why| {
                        let shown = String::from_utf8_lossy(inner);
                        format!("the pattern '{shown}' cannot be read: {why}")
                    });
                    let why = pattern.as_ref().err().cloned();
                    wrong.extend(why.map(|why| (at + 1, why)));
                    self.patterns.push(pattern);
                }
                None if word.is_empty() || word == b"0" => {}
                None => {
                    self.words.insert(word);
                }
            }
        }
        wrong
    }

    pub(super) fn have(&self, cx: &Cx<'_>) -> Result<bool, Failure> {
        let client = cx.client();
        self.are(&client.ip_text(), &client.host())
    }

    fn are(&self, ip: &str, host: &str) -> Result<bool, Failure> {
        if self.words.contains(ip.as_bytes()) {
            return Ok(true);
        }
        if host.is_empty() || host == "0" {
            return Ok(false);
        }
        if self.words.contains(host.as_bytes()) {
            return Ok(true);
        }
        for pattern in &self.patterns {
            let pattern = pattern.as_ref().map_err(Failure::new)?;
            if pattern.is_match(host.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_address_by_name_or_by_a_pattern() {
        let mut hosts = Hosts::default();
        let text = b"# who retries\n192.0.2.1 # one\n mx.example \n/\\.big\\.example$/\n\n0\n";
        assert!(hosts.add(text).is_empty());
        let are = |ip: &str, host: &str| hosts.are(ip, host).unwrap();
        assert!(are("192.0.2.1", "Unknown"));
        assert!(are("192.0.2.2", "mx.example"));
        assert!(are("192.0.2.2", "out.big.example"));
        assert!(!are("192.0.2.2", "big.example.org") && !are("192.0.2.2", ""));
        assert!(!are("192.0.2.2", "0"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_told_of_and_fails_where_it_is_come_to() {
        let mut hosts = Hosts::default();
        let wrong = hosts.add(b"mx.example\n/(?=x)/\n");
        let why = "the pattern '(?=x)' cannot be read: of (? only (?: and (?i are understood";
        assert_eq!(wrong, [(2, why.to_owned())]);
        assert!(hosts.are("192.0.2.1", "mx.example").unwrap());
        assert_eq!(
            hosts.are("192.0.2.1", "other").unwrap_err().to_string(),
            why
        );
    }
}
