//! The same dialogues with native plugins alone, where no interpreter is built, and with a Perl plugin
//! beside them that does nothing: what is said and what is logged is the same.

use camelpost_support::Site;

use super::wrong::{Daemon, Kind};

pub const TESTS: &[super::Test] = &[
    ("every_verdict_means_the_same_both_ways", every_verdict),
    ("a_message_is_taken_the_same_both_ways", a_message),
    ("a_panic_means_the_same_both_ways", a_panic),
    ("a_plugin_that_waits_is_waited_for_both_ways", waits),
];

const CODES: [&str; 11] = [
    "declined",
    "ok",
    "deny",
    "denysoft",
    "denydisconnect",
    "denysoftdisconnect",
    "done",
    "yield",
    "odd",
    "panics",
    "fails",
];

/// What a session says and logs on a site of its own.
fn play(plugins: &str, profile: &str, lines: &[String]) -> Vec<String> {
    play_on(&Site::new(plugins), profile, lines)
}

/// What a session says and logs.
pub fn play_on(site: &Site, profile: &str, lines: &[String]) -> Vec<String> {
    site.put("config/compat", profile);
    site.put("config/loglevel", "7\n");
    // No two are alike.
    site.put("config/show_id", "none\n");
    let daemon = Daemon::start(site);
    let mut client = daemon.connect();
    let mut seen = vec![client.reply()];
    for line in lines {
        seen.push(format!("C: {line}"));
        let reply = client.say(line);
        if reply.is_empty() {
            seen.push("closed".to_owned());
            break;
        }
        // Each challenge is another one.
        seen.push(match reply.starts_with("334 P") {
            true => "334 a challenge".to_owned(),
            false => reply,
        });
    }
    client.send_line("QUIT");
    seen.push(client.rest());
    daemon.stop();
    let log = site.read("run/log");
    // The first word is the session's number; the one before has asked whether the daemon is ready.
    let lines = || log.lines().filter_map(|line| line.split_once(' '));
    let begins = |(_, text): &(&str, &str)| text.starts_with("Connection from");
    let number = lines().rfind(begins).map(|(number, _)| number);
    let own = lines().filter(|(first, _)| Some(*first) == number);
    // That one may still be counted there.
    let own = own.filter(|(_, text)| !text.starts_with("Accepted connection"));
    let own = own.filter(|(_, text)| !text.starts_with("334 P"));
    let session: Vec<String> = own.map(|(_, text)| text.to_owned()).collect();
    let elsewhere = site.path("config/logging").exists();
    assert!(
        elsewhere || session.len() > 5,
        "the log is there: {session:?}"
    );
    seen.extend(session);
    seen
}

fn compare(lines: &[String]) {
    compare_with(Kind::Alone.plugins(), lines);
}

/// Plays it with native plugins alone, and with a Perl plugin beside them.
pub fn compare_with(natives: &str, lines: &[String]) {
    for profile in ["0.94\n", "1.00\n"] {
        let perl = play(&format!("{natives}idle\n"), profile, lines);
        let alone = play(natives, profile, lines);
        for (alone, perl) in alone.iter().zip(&perl) {
            assert_eq!(alone, perl, "{profile}{lines:?}");
        }
        assert_eq!(alone.len(), perl.len(), "{profile}{lines:?}");
    }
}

pub fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}

fn every_verdict() {
    for code in CODES {
        compare(&[
            format!("FOO {code}"),
            format!("NOOP {code}"),
            format!("HELP {code}"),
            format!("EHLO {code}"),
            "EHLO x".to_owned(),
            format!("MAIL FROM:<{code}@example.net>"),
            "MAIL FROM:<a@example.net>".to_owned(),
            format!("RCPT TO:<{code}@example.com>"),
            "RSET".to_owned(),
        ]);
    }
}

fn a_message() {
    compare(&owned(&[
        "HELO x",
        "MAIL FROM:<a@example.net> SIZE=100",
        "RCPT TO:<ok@example.com>",
        "DATA",
        "From: a@example.net\r\nSubject: x\r\n\r\nbody\r\n.",
        "MAIL FROM:<>",
        "RCPT TO:<deny@example.com>",
        "DATA",
    ]));
}

fn a_panic() {
    compare(&owned(&[
        "HELO x",
        "MAIL FROM:<a@example.net>",
        "RCPT TO:<panics@example.com>",
        "RCPT TO:<ok@example.com>",
        "DATA",
        "Subject: panics\r\n\r\nbody\r\n.",
        "NOOP panics",
    ]));
}

fn waits() {
    compare(&owned(&["HELO waits", "NOOP waits", "FOO waits"]));
}
