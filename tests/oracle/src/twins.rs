//! The native plugins that stand in the place of the package's Perl plugins: with which of them a set is played,
//! and the table of docs/twins.md, which says by what each was held against the original. Plays none itself.

use crate::dialogue::ConfigSet;
use crate::known::{Known, matches};
use crate::stage::Half;

/// The mark of dialogues in which a native plugin stands in the place of a Perl plugin of the package's.
pub const NATIVE: &str = " (native)";
/// The mark of the same dialogues with the Perl plugin.
pub const IN_PERL: &str = " (in Perl)";

/// The Perl plugins in whose place native ones stand where nothing says otherwise.
const TWINS: [&str; 1] = ["tls"];
/// Those in whose place native ones stand where plugin_settings says so.
const PORTS: [&str; 16] = [
    "auth/auth_flat_file",
    "badmailfrom",
    "badrcptto",
    "count_unrecognized_commands",
    "dnsbl",
    "earlytalker",
    "greylisting",
    "headers",
    "helo",
    "hosts_allow",
    "logging/file",
    "loop",
    "queue/maildir",
    "rcpt_ok",
    "relay",
    "spamassassin",
];

/// The mark of a set's dialogues.
pub fn native_mark(set: &ConfigSet) -> &'static str {
    match named(set, &TWINS).is_empty() {
        false => NATIVE,
        true => "",
    }
}

/// The names of a set's lines that load one of these plugins.
fn named(set: &ConfigSet, of: &[&str]) -> Vec<String> {
    let text = |file: &str| {
        let found = set.files.iter().rfind(|(name, _)| name == file);
        found.map_or("", |(_, text)| text.as_str())
    };
    let lines = text("config/logging")
        .lines()
        .chain(text("config/plugins").lines());
    let first = lines.filter_map(|line| line.split_whitespace().next());
    // `dnsbl:2` is another one of the same.
    let is_one = |name: &&str| of.contains(&name.split(':').next().unwrap_or_default());
    let mut names: Vec<String> = first.filter(is_one).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// The same set with the Perl plugins.
pub fn in_perl(set: ConfigSet) -> ConfigSet {
    let twins = named(&set, &TWINS);
    set_up(set, &twins, "perl")
}

/// The package's greylisting with the method that it lacks (tests/fixtures/plugins).
const MENDED: &str = "greylisting_mended";

/// The set with lines of greylisting itself in the places of lines of the mended one, which the native plugin does
/// without: those that it serves.
fn unmended(mut set: ConfigSet) -> ConfigSet {
    let plugins = set
        .files
        .iter_mut()
        .filter(|(name, _)| name == "config/plugins");
    for (_, text) in plugins {
        let line = |line: &str| match line.contains(" nfslock ") {
            true => line.to_owned(),
            false => line.replacen(MENDED, "greylisting", 1),
        };
        *text = text.split_inclusive('\n').map(line).collect();
    }
    set
}

/// What was said in a set with the mended greylisting, as greylisting in its place says it, and without what only perl
/// says: that it shows a setting without a value, and which databases there are not.
pub fn unmended_half(half: Half, set: &ConfigSet) -> Half {
    let plugins = unmended(set.clone()).files;
    let is_gone = !plugins.iter().any(|(_, text)| text.contains(MENDED));
    let is_perl_s = |line: &String| {
        line.contains("/plugins/greylisting line ")
            && (line
                .starts_with("L: Use of uninitialized value in concatenation (.) or string at ")
                || line.starts_with("L: Can't locate package "))
    };
    let lines = |lines: Vec<String>| {
        let lines = lines.into_iter().filter(|line| !is_perl_s(line));
        let line = |line: String| match is_gone {
            true => line.replace(MENDED, "greylisting"),
            false => line,
        };
        lines.map(line).collect()
    };
    half.into_iter().map(lines).collect()
}

/// The same set with all native plugins that there are for its Perl plugins, if there is one that does not
/// stand in its place anyway.
pub fn in_rust(set: ConfigSet) -> Option<ConfigSet> {
    let set = unmended(set);
    let ports = named(&set, &PORTS);
    (!ports.is_empty()).then(|| set_up(set, &ports, "native"))
}

/// The same, but not for the many sets in which a maildir is only where the messages end: those are played in the
/// profile 0.94, and the plugin does the same in both.
pub fn in_rust_100(set: ConfigSet) -> Option<ConfigSet> {
    let set = unmended(set);
    let ends = named(&set, &PORTS) == ["queue/maildir"] && !set.name.starts_with("maildir");
    in_rust(set).filter(|_| !ends)
}

fn set_up(mut set: ConfigSet, plugins: &[String], how: &str) -> ConfigSet {
    let lines: String = plugins
        .iter()
        .map(|name| format!("{name} {how}\n"))
        .collect();
    let file = "config/plugin_settings";
    match set.files.iter_mut().find(|(name, _)| name == file) {
        Some((_, text)) => text.push_str(&lines),
        None => set.files.push((file.to_owned(), lines)),
    }
    set
}

/// The end of docs/twins.md: by how many dialogues each of them is held against the original.
pub fn table(sets: &[ConfigSet], known: &Known) -> String {
    let mut table = format!("{TABLE}\n|---|---|---|---|\n");
    let sets: Vec<ConfigSet> = sets.iter().cloned().map(unmended).collect();
    for plugin in PORTS.iter().chain(&TWINS) {
        let with = sets.iter().filter(|set| !named(set, &[plugin]).is_empty());
        let with: Vec<&ConfigSet> = with.collect();
        let names = with.iter().flat_map(|set| {
            let names = set.dialogues.iter();
            names.map(|dialogue| format!("{}/{}{NATIVE}", set.name, dialogue.name))
        });
        let names: Vec<String> = names.collect();
        let differs = |name: &&String| known.entries.iter().any(|e| matches(&e.pattern, name));
        let differing = names.iter().filter(differs).count();
        let (sets, all) = (with.len(), names.len());
        table.push_str(&format!("| {plugin} | {sets} | {all} | {differing} |\n"));
    }
    table
}

/// With what the table begins.
pub const TABLE: &str = "| plugin | sets | dialogues | of these with a difference of their own |";
