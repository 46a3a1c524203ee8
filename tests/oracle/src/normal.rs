//! Makes the lines of two runs comparable: times, process numbers, versions and paths get names.
//!
//! As narrow as it can be: what is replaced here can no longer be seen to differ.

use crate::daemon::{ORIGINAL, upstream};
use crate::ground::PACKAGE_PLUGINS;
use regex::{Captures, Regex};
use std::path::Path;

pub struct Normal {
    rules: Vec<(Regex, &'static str)>,
    challenge: Regex,
    insides: Regex,
    root: String,
    ports: Vec<(String, String)>,
    hostname: String,
    /// Where upstream's files are, and the package's of the same name.
    places: Vec<(String, &'static str)>,
}

impl Normal {
    pub fn new(root: &Path, sink: Option<u16>, stubs: &[(u16, String)]) -> Self {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let rule = |pattern: &str, name| Regex::new(pattern).ok().map(|regex| (regex, name));
        let receiver = format!(
            r"\) receiver=({}|unknown); identity=",
            regex::escape(hostname.trim())
        );
        let rules = [
            // The greeting and the Received header: product and version.
            rule(
                r"ESMTP (qpsmtpd|[Cc]amelpost) \S+ ready",
                "ESMTP SERVER VERSION ready",
            ),
            rule(r"\((qpsmtpd|[Cc]amelpost)/[0-9.]+\)", "(SERVER/VERSION)"),
            // The transaction's id there, which the original has not, and the space before it.
            rule(r"(with .*?) id \d+-[0-9a-z]+\.\d+; ", "$1; "),
            rule(r"(with E?SMTP[SA]*) ; ", "$1; "),
            // Dates: of Received headers, and of the log file's default form.
            rule(
                r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} \w{3} 20\d\d \d\d:\d\d:\d\d [-+]\d{4}",
                "DATE",
            ),
            rule(
                r"^> \w{3} \w{3} +\d+ \d\d:\d\d:\d\d 20\d\d HOST",
                "> DATE HOST",
            ),
            rule(r" HOST\[\d+\]: ", " HOST[PID]: "),
            // A release of Debian gets a new one now and then.
            rule(r"(by ClamAV) \d+\.\d+\.\d+ ", "${1} VERSION "),
            // Where perl itself was reading: how much a worker has read before.
            rule(r"( line \d+), <\w*> (line|chunk) \d+", "${1}"),
            rule(r"HASH\(0x[0-9a-f]+\)", "HASH"),
            // HELP's first line.
            rule(
                r"This is (qpsmtpd|[Cc]amelpost) \S+$",
                "This is SERVER VERSION",
            ),
            rule(r"This is (qpsmtpd|[Cc]amelpost) $", "This is SERVER "),
            // The same constant has two names; the original shows the one its hash has first.
            rule(
                r"returned (DENYHARD|DENY_DISCONNECT),",
                "returned DENY_DISCONNECT,",
            ),
            rule(r"Accepted connection \d+/", "Accepted connection N/"),
            // queue/qmail-queue's reply, and the log's process numbers.
            rule(r"Queued! \d{9,} qp \d+ ", "Queued! TIME qp PID "),
            rule(r"^L: \d+ ", "L: PID "),
            // Why a plugin is not loaded: Camelpost says where it is named.
            rule(r"^L: camelpost: @ROOT@/config/\w+:\d+: plugin \S+: ", "L: "),
            rule(r"\(for \d+\) Queuing", "(for PID) Queuing"),
            rule(r"\d+\.\d{3} s\.$", "N s."),
            // Which handle was read last, which perl adds to its warnings.
            rule(r"(at \S+ line \d+), <\w+> (line|chunk) \d+\.$", "$1."),
            rule(
                r"\(@INC (contains|entries checked): [^)]*\)",
                "(@INC $1: …)",
            ),
            // The first of those that it finds.
            rule(r"its variable %\w+ is tied", "its variable %NAME is tied"),
            rule(r"load too high: \d+\.\d+$", "load too high: N"),
            // quit_fortune's reply, of which no two are alike.
            rule(r"^(S:|L: PID) 221[- ]  / .*$", "$1 221 FORTUNE"),
            rule(r"finished in \d+\.\d\d sec", "finished in N sec"),
            rule(r"started at \d+(\.\d+)?$", "started at TIME"),
            // Temporary files of plugins; perl counts lines in another way under -T.
            rule(r"/tmp/[A-Za-z0-9_]{10}\b", "/tmp/FILE"),
            rule(r"(ClamAV/Client\.pm line )\d+", "${1}N"),
            // Modules that are not the package's, and libraries: of another version in another release.
            rule(r"(Mail/DMARC/Base\.pm line )\d+", "${1}N"),
            rule(r"OpenSSL error: [^)]*\)", "OpenSSL error: …)"),
            // The machine's name, or that nothing resolves it.
            rule(&receiver, ") receiver=HOST; identity="),
            // Where no directory is given, what an earlier run has left in /var/lib.
            rule(r"(greylisting: pruned 0 of )\d+ DB", "${1}N DB"),
            rule(r"Queue-Id: [0-9A-F]{10,12}\)", "Queue-Id: ID)"),
            rule(r"XCLIENT (.*)PORT=\d+", "XCLIENT ${1}PORT=N"),
            rule(r"/spool/\d+:\d+:\d+\S*", "/spool/FILE"),
        ];
        // How the original caches its config, counts its children, destroys its objects, and what
        // its Qpsmtpd::Postfix prints of each message.
        let insides = [
            r"in config\(",
            r"config\(\S+\)( returning|: hook returned)",
            "trying to get config for ",
            "setting _config_cache for ",
            "DESTROY called by ",
            "cleaning up after ",
            "Loaded Qpsmtpd",
            "Listening on ",
            r"camelpost \S+, (perl|without perl)",
            "running as root: ",
            "stopping$",
            "reload",
            "Initializing spool_dir",
            "size_threshold set to ",
            "Running as user ",
            "forked worker ",
        ];
        let insides = format!(
            r"^L: (qid=|hdr: )|^(L: PID (@ )?|> .*\[PID\]: )({})",
            insides.join("|")
        );
        Self {
            insides: Regex::new(&insides).unwrap_or_else(never),
            rules: rules.into_iter().flatten().collect(),
            challenge: Regex::new(r"334 (P[0-9A-Za-z+/]{16,}={0,2})$").unwrap_or_else(never),
            root: root.display().to_string(),
            ports: (sink.map(|port| (port, "SINK".to_owned())).into_iter())
                .chain(stubs.iter().cloned())
                .map(|(port, name)| (port.to_string(), name))
                .collect(),
            hostname: hostname.trim().to_owned(),
            places: upstream().map(|dir| places_in(&dir)).unwrap_or_default(),
        }
    }

    /// The lines of one dialogue, without the log lines that tell of the original's insides.
    pub fn lines(&self, lines: &[String]) -> Vec<String> {
        let lines = lines.iter().map(|line| self.line(line));
        let mut lines: Vec<String> = lines.filter(|line| !self.insides.is_match(line)).collect();
        lines.dedup_by(|line, last| line == last && line.ends_with(" FORTUNE"));
        sorted_headers(lines, "> X-Spam-")
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.replace(&self.root, "@ROOT@");
        for (place, name) in &self.places {
            line = line.replace(place, name);
        }
        for (port, name) in &self.ports {
            line = line.replace(port, name);
        }
        if !self.hostname.is_empty() {
            line = line.replace(&format!(" {}[", self.hostname), " HOST[");
        }
        for (regex, name) in &self.rules {
            line = regex.replace_all(&line, *name).into_owned();
        }
        if let Some(sorted) = sorted_mechanisms(&line) {
            line = sorted;
        }
        self.challenge
            .replace(&line, |found: &Captures| decoded(&found[1]))
            .into_owned()
    }
}

/// A checkout's places by the package's names: where it was does not matter to anyone.
fn places_in(checkout: &Path) -> Vec<(String, &'static str)> {
    let places = [
        ("plugins", PACKAGE_PLUGINS),
        ("lib", "/usr/share/perl5"),
        ("qpsmtpd-forkserver", ORIGINAL),
        ("config", "@CHECKOUT@/config"),
    ];
    let place = |(name, ours)| (checkout.join(name).display().to_string(), ours);
    places.map(place).to_vec()
}

/// EHLO's AUTH line: the original lists the mechanisms in the order of a hash, a new one each time.
fn sorted_mechanisms(line: &str) -> Option<String> {
    let (start, mechanisms) = line.split_once("AUTH ")?;
    let start_of_reply = start
        .trim_start_matches("S: ")
        .trim_start_matches("L: PID ");
    if start_of_reply != "250-" && start_of_reply != "250 " {
        return None;
    }
    let mut mechanisms: Vec<&str> = mechanisms.split(' ').collect();
    mechanisms.sort_unstable();
    Some(format!("{start}AUTH {}", mechanisms.join(" ")))
}

/// Adjacent header fields with names of this start, in the order of their names: spamassassin adds
/// them in the order of a hash.
fn sorted_headers(lines: Vec<String>, start: &str) -> Vec<String> {
    let mut sorted = Vec::with_capacity(lines.len());
    let mut fields: Vec<Vec<String>> = Vec::new();
    for line in lines {
        match fields.last_mut() {
            Some(field) if line.starts_with("> \\t") || line.starts_with("> \t") => {
                field.push(line)
            }
            _ if line.starts_with(start) => fields.push(vec![line]),
            _ => {
                fields.sort_unstable();
                sorted.extend(fields.drain(..).flatten());
                sorted.push(line);
            }
        }
    }
    fields.sort_unstable();
    sorted.extend(fields.into_iter().flatten());
    sorted
}

/// A CRAM-MD5 challenge as what it says, its numbers replaced.
fn decoded(text: &str) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default();
    let mut plain = String::new();
    for character in String::from_utf8_lossy(&bytes).chars() {
        match (character.is_ascii_hexdigit(), plain.ends_with('N')) {
            (true, _) if plain.contains('@') => plain.push(character),
            (true, false) => plain.push('N'),
            (true, true) => {}
            (false, _) => plain.push(character),
        }
    }
    format!("334 base64({plain})")
}

fn never<T, E: std::fmt::Display>(error: E) -> T {
    panic!("a pattern of this file is wrong: {error}")
}
