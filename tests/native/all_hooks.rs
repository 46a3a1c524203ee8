//! Every hook of the table in a native plugin, with an interpreter and without: what it has seen, and
//! what the session makes of its verdicts.

use camelpost_support::Site;

use super::both_ways::{compare_with, owned, play_on};
use super::wrong::Daemon;

pub const TESTS: &[super::Test] = &[
    ("the_hooks_of_a_message_see_the_same_both_ways", a_message),
    ("a_native_parser_reads_lines_in_its_way", parsers),
    ("a_native_plugin_lets_clients_authenticate", auth),
    ("a_native_config_hook_s_values_count_everywhere", config),
    ("a_native_plugin_makes_the_received_line", received),
    ("a_native_plugin_refuses_at_the_header_s_end", headers_end),
    ("a_body_is_read_wherever_it_is_kept", bodies),
    ("other_plugins_verdicts_are_told_to_ok_and_deny", verdicts),
    ("a_native_logger_has_every_line", logger),
    (
        "a_native_logger_beside_a_perl_plugin_has_every_line",
        logger_beside_perl,
    ),
    ("a_native_logger_has_every_line_the_plain_way", plain_logger),
    ("post_fork_runs_once_in_each_worker", post_fork),
    ("a_plugin_s_warning_names_its_line", warning),
    ("notes_are_shared_with_perl_plugins", notes),
];

const PARTS: &str = "native/parts\n";

fn a_message() {
    compare_with(
        PARTS,
        &owned(&[
            "EHLO x",
            "MAIL FROM:<a@example.net> SIZE=100",
            "RCPT TO:<relay@example.com> NOTIFY=NEVER",
            "RCPT TO:<both@example.com>",
            "RCPT TO:<one@example.com>",
            "NOOP",
            "DATA",
            "From: a@example.net\r\nSubject: one\r\n\r\nbody\r\nof two lines\r\n.",
            "MAIL FROM:<>",
            "MAIL FROM:<b@example.net>",
            "RCPT TO:<c@example.com>",
            "DATA",
            "no header\r\n.",
            "HELP me please",
            "VRFY x",
            "FOO bar baz",
        ]),
    );
}

fn parsers() {
    compare_with(
        PARTS,
        &owned(&[
            "HELO parsed host and more",
            "HELO panics",
            "MAIL refuse",
            "MAIL panics",
            "MAIL nothing",
            "MAIL FROM:<short> SIZE=5",
            "RCPT anything: <b@example.com>",
            "RCPT TO:<refuse>",
            "AUTH",
        ]),
    );
}

fn auth() {
    // \0user\0secret, \0user\0wrong, \0user\0other
    compare_with(
        PARTS,
        &owned(&[
            "EHLO x",
            "AUTH refuse",
            "AUTH PLAIN AHVzZXIAd3Jvbmc=",
            "AUTH PLAIN AHVzZXIAb3RoZXI=",
            "AUTH CRAM-MD5",
            "dXNlciAwMTIz",
            "AUTH PLAIN AHVzZXIAc2VjcmV0",
            "AUTH PLAIN AHVzZXIAc2VjcmV0",
            "MAIL FROM:<a@example.net>",
        ]),
    );
}

fn config() {
    for plugins in [PARTS.to_owned(), format!("{PARTS}idle\n")] {
        for profile in ["0.94\n", "1.00\n"] {
            let site = Site::new(&plugins);
            site.put("config/of_both", "from the file\n");
            let said = play_on(
                &site,
                profile,
                &owned(&["EHLO x", "CONFIG of_both", "CONFIG fails", "CONFIG none"]),
            );
            assert!(said[2].contains("250-SIZE 5432100"), "{said:?}");
            assert!(
                said[4].contains("500 from the file from the hook"),
                "{said:?}"
            );
            let failure = "FATAL PLUGIN ERROR [parts]:  invalid digit found in string";
            let failures = said.iter().filter(|line| line.contains(failure)).count();
            assert_eq!(failures, 1, "{said:?}");
        }
    }
}

fn received() {
    compare_with(
        PARTS,
        &owned(&[
            "HELO mine",
            "MAIL FROM:<a@example.net>",
            "RCPT TO:<b@example.com>",
            "DATA",
            "Subject: x\r\n\r\nbody\r\n.",
        ]),
    );
}

fn headers_end() {
    compare_with(
        PARTS,
        &owned(&[
            "HELO x",
            "MAIL FROM:<long@example.net>",
            "RCPT TO:<b@example.com>",
            "DATA",
            "Subject: x\r\n\r\nbody\r\n.",
        ]),
    );
}

fn bodies() {
    for (threshold, in_file) in [("100", "true"), ("1000000", "false")] {
        for plugins in [PARTS.to_owned(), format!("{PARTS}idle\n")] {
            let site = Site::new(&plugins);
            site.put("config/size_threshold", threshold);
            let body = "a line of forty bytes, its end included\r\n".repeat(5000);
            let lines = [
                "HELO x",
                "MAIL FROM:<a@example.net>",
                "RCPT TO:<b@example.com>",
                "DATA",
                &format!("Subject: large\r\n\r\n{body}the last\r\n."),
            ];
            let said = play_on(&site, "1.00\n", &owned(&lines));
            let expected = format!(
                "large: 5001 lines, 200009 of 200009 bytes, last \"the last\\n\", in a file: {in_file}"
            );
            // The blank line is the body's first, as in the original.
            let expected = expected.replace("5001", "5002").replace("200009", "200010");
            let seen = said.iter().filter(|line| line.contains(" lines, "));
            let seen: Vec<_> = seen.collect();
            assert!(
                seen.iter().any(|line| line.ends_with(&expected)),
                "{expected}: {seen:?}"
            );
        }
    }
}

fn verdicts() {
    compare_with(
        "native/tester\nnative/parts\n",
        &owned(&["NOOP deny", "NOOP panics", "NOOP ok", "NOOP fails"]),
    );
}

fn kept(plugins: &str) -> (String, String) {
    let site = Site::new(plugins);
    let file = site.path("run/kept");
    let logging = format!("native/keeper {} 6\n", file.display());
    site.put("config/logging", &logging);
    let said = play_on(
        &site,
        "1.00\n",
        &owned(&["HELO x", "NOOP panics in a logger", "NOOP"]),
    );
    (site.read("run/kept"), said.join("\n"))
}

/// The line of a logger that stands in the chain the plain way.
fn plain_logger() {
    let site = Site::new("native/parts\nidle\n");
    let file = site.path("run/kept");
    site.put(
        "config/logging",
        &format!("native/keeper {} 6\n", file.display()),
    );
    let plain = [("CAMELPOST_PLAIN", "1".to_owned())];
    let daemon = Daemon::start_with(&site, &plain);
    let mut client = daemon.connect();
    client.reply();
    client.say("NOOP");
    drop(client);
    daemon.stop();
    let kept = site.read("run/kept");
    assert!(kept.contains("6 noop parts seen in noop"), "{kept}");
    assert!(!site.read("run/log").contains("seen in noop"));
}

fn check_kept(kept: &str, log: &str) {
    for line in [
        "6 - - Loaded native/keeper ",
        "5 - - Connection from ",
        "6 helo parts hello of x with []",
        "6 noop parts seen in noop",
        "6 - - 250 mx.example.org Hi ",
    ] {
        assert!(kept.contains(line), "{line}: {kept}");
    }
    assert!(!kept.contains("goes nowhere"), "{kept}");
    // Of lines at 7 it is no matter of the logger's; nothing goes to stderr.
    assert!(!log.contains("seen in noop"), "{log}");
}

fn logger() {
    let (kept, log) = kept(PARTS);
    check_kept(&kept, &log);
}

fn logger_beside_perl() {
    let (kept, log) = kept("native/parts\nidle\n");
    check_kept(&kept, &log);
}

fn post_fork() {
    for rest in ["", "idle\n"] {
        let site = Site::new(&format!("{PARTS}{rest}"));
        site.put("config/loglevel", "6\n");
        let daemon = Daemon::start(&site);
        daemon.connect().reply();
        daemon.stop();
        let log = site.read("run/log");
        let said = "(post-fork) parts: seen in post-fork";
        assert_eq!(log.matches(said).count(), 1, "{log}");
    }
}

fn warning() {
    for rest in ["", "idle\n"] {
        let site = Site::new(&format!("# first\n{PARTS}{rest}"));
        let daemon = Daemon::start(&site);
        daemon.stop();
        let log = site.read("run/log");
        assert!(log.contains("plugins:2: native/parts: it is here"), "{log}");
    }
}

const READER: &str = "
sub hook_rcpt {
    my ($self, $transaction) = @_;
    my $seen = $transaction->sender->notes('seen_by');
    $self->log(LOGINFO, 'sender seen by ' . $seen);
    $self->log(LOGINFO, 'sender was ' . $self->connection->notes('last_sender'));
    $self->log(LOGINFO, 'relay is ' . ($self->connection->relay_client // 'undefined'));
    $self->log(LOGINFO, 'values ' . join ', ', $self->qp->config('of_both'));
    my @values = $self->qp->run_hooks_no_respond('user_config', $transaction->sender, 'quota');
    $self->log(LOGINFO, \"user has $values[1]\");
    return DECLINED;
}
";

fn notes() {
    let site = Site::new("reader\nnative/parts\n");
    site.put("plugins/reader", READER);
    let lines = [
        "HELO x",
        "MAIL FROM:<a@example.net>",
        "RCPT TO:<relay@example.com>",
        "RCPT TO:<b@example.com>",
    ];
    let said = play_on(&site, "1.00\n", &owned(&lines));
    for line in [
        "sender seen by parts",
        "sender was <a@example.net>",
        "relay is undefined",
        "relay is 1",
        "values from the hook",
        "user has quota of Some(\"<a@example.net>\")",
    ] {
        let line = format!("(rcpt) reader: {line}");
        assert!(said.contains(&line), "{line}: {said:?}");
    }
}
