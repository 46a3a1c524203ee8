//! What ships, under Camelpost: the config directory as `make run` starts it, and each example
//! plugin at its work. And the layout of Debian's /etc/qpsmtpd with the package's plugins.
//! Replies beside the original's are for the dialogues.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod qmqp;
mod site;

use std::fs;
use std::process::Command;

use qmqp::sink;
use site::{Daemon, PATIENCE, Site};

#[test]
fn the_shipped_config_puts_the_first_message_of_swaks_into_the_maildir() {
    let site = Site::shipped();
    let daemon = site.start();
    let swaks = Command::new("swaks")
        .args(["--server", &daemon.address.to_string()])
        .args(["--to", "test@localhost", "--from", "me@example.net"])
        .output()
        .expect("swaks (Debian package swaks)");
    let said = String::from_utf8_lossy(&swaks.stdout);
    assert!(swaks.status.success(), "{said}");
    assert!(said.contains("250 Queued!"), "{said}");

    let mail = site.mail();
    assert_eq!(mail.len(), 1, "{mail:?}");
    for part in [
        "Return-Path: <me@example.net>\n",
        "\nTo: test@localhost\n",
        "\nThis is a test mailing\n",
    ] {
        assert!(mail[0].contains(part), "no {part:?} in {}", mail[0]);
    }
    let denied = &daemon.send(&["someone@elsewhere.example"])[0];
    assert!(denied.starts_with("550 Relaying denied"), "{denied}");

    let (log, status) = daemon.stop();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains(" at compat-plugins/"), "perl warns: {log}");
}

#[test]
fn a_native_plugin_between_perl_plugins_reads_their_notes_and_sets_one_for_the_next() {
    let site = Site::shipped();
    site.config("logging", "logging/stderr LOGDEBUG\n");
    let plugins = fs::read_to_string(site.path("config/plugins")).expect("config/plugins");
    site.config(
        "plugins",
        plugins.replace("max_recipients 100", "max_recipients 2"),
    );
    let daemon = site.start();

    // Only the note counts what was refused; the transaction has no recipient at the third.
    let replies = daemon.send(&["x@elsewhere.example", "y@elsewhere.example", "z@localhost"]);
    assert!(replies[1].starts_with("550 Relaying denied"), "{replies:?}");
    assert_eq!(
        replies[2], "450 Too many recipients for one message",
        "{replies:?}"
    );
    assert!(daemon.send(&["z@localhost"])[0].starts_with("250 "));

    let (log, _) = daemon.stop();
    assert!(log.contains("recipient 3 of a public client"), "{log}");
}

#[test]
fn the_class_that_relay_sets_reaches_the_native_plugin() {
    let site = Site::with_plugins(
        "relay\nnative/count_recipients max 1\nrcpt_ok\nqueue/maildir Maildir\n",
    );
    site.config("logging", "logging/stderr LOGDEBUG\n");
    let two = ["a@localhost", "b@localhost"];
    let daemon = site.start();
    assert_eq!(daemon.send(&two)[1], "450 too many recipients");
    drop(daemon);

    site.config("relayclients", "127.0.0.1\n");
    let daemon = site.start();
    assert!(daemon.send(&two)[1].starts_with("250 "));
    let (log, _) = daemon.stop();
    assert!(log.contains("recipient 2 of a relay client"), "{log}");
}

#[test]
fn temp_disable_connection_turns_every_client_away() {
    let site = Site::with_plugins("temp_disable_connection\nrcpt_ok\nqueue/maildir Maildir\n");
    let daemon = site.start();
    assert_eq!(
        daemon.talk(&["EHLO x"]),
        ["450 Sorry, server is temporarily unavailable."]
    );
}

#[test]
fn rcpt_ok_child_closes_local_parts_and_leaves_the_rest_to_rcpt_ok() {
    let site = Site::with_plugins(
        "rcpt_ok_child closed=old-list closed=Webmaster max_recipients 2\nqueue/maildir Maildir\n",
    );
    let replies = site.start().send(&[
        "Old-List@example.org",
        "webmaster@localhost",
        "a@elsewhere.example",
        "a@example.org",
        "b@sub.example.org",
        "c@localhost",
    ]);
    for closed in &replies[..2] {
        assert!(closed.contains("is not accepted here (#5.1.1)"), "{closed}");
        assert!(closed.starts_with("550 "), "{closed}");
    }
    assert!(replies[2].starts_with("550 Relaying denied"), "{replies:?}");
    assert!(replies[3].starts_with("250 ") && replies[4].starts_with("250 "));
    assert_eq!(replies[5], "450 Too many recipients for one message");
}

#[test]
fn discard_says_queued_and_keeps_nothing_of_a_marked_message() {
    let site = Site::with_plugins("mark\nrcpt_ok\ndiscard\nqueue/maildir Maildir\n");
    site.own(
        "mark",
        "sub hook_rcpt {\n  my ($self, $transaction, $recipient) = @_;\n  \
         $transaction->notes('discard_mail', 1) if $recipient->user eq 'trap';\n  \
         return DECLINED;\n}\n",
    );
    let daemon = site.start();
    let replies = daemon.send(&["trap@localhost"]);
    assert_eq!(replies[2], "250 Queued! <1@example.net>");
    assert!(site.mail().is_empty());
    daemon.send(&["a@localhost"]);
    assert_eq!(site.mail().len(), 1);
}

#[test]
fn debug_plugin_shows_all_of_one_plugin_and_little_of_the_others() {
    let site = Site::with_plugins("chatter\nother\nrcpt_ok\nqueue/maildir Maildir\n");
    let chatter = "sub hook_mail {\n  $_[0]->log($_, 'level ' . $_) for LOGWARN, LOGDEBUG;\n  \
                   return DECLINED;\n}\n";
    site.own("chatter", chatter).own("other", chatter).config(
        "logging",
        "logging/debug_plugin chatter LOGWARN\nlogging/stderr LOGDEBUG\n",
    );
    let daemon = site.start();
    daemon.send(&["a@localhost"]);
    let (log, _) = daemon.stop();
    let of = |plugin: &str| -> Vec<&str> {
        log.lines()
            .filter(|line| line.contains(plugin))
            .filter_map(|line| Some(line.split_once("level ")?.1))
            .collect()
    };
    assert_eq!(of(" chatter: "), ["4", "7"], "{log}");
    assert_eq!(of(" other: "), ["4"], "{log}");
    assert!(!log.contains("dispatching"), "{log}");
}

#[test]
fn a_changed_config_file_counts_from_the_next_connection() {
    let site = Site::shipped();
    let daemon = site.start();
    assert!(daemon.send(&["a@new.example"])[0].starts_with("550 "));
    site.config("rcpthosts", "new.example\n");
    assert!(daemon.send(&["a@new.example"])[0].starts_with("250 "));
}

#[test]
fn a_reload_takes_new_plugins_and_a_failed_one_keeps_the_old() {
    let site = Site::shipped();
    let mut daemon = site.start();
    let hangup = |daemon: &Daemon| {
        daemon.ask_for_reload();
    };
    site.config("plugins", "no_such_plugin\n");
    hangup(&daemon);
    let line = daemon.wait_for("reload failed, what was loaded stays: ");
    assert!(
        line.contains("config/plugins:1: plugin no_such_plugin not found"),
        "{line}"
    );
    assert!(line.contains(&format!("relative to {}", site.root().display())));
    assert!(daemon.send(&["a@localhost"])[0].starts_with("250 "));

    site.config("plugins", "temp_disable_connection\n");
    hangup(&daemon);
    daemon.wait_for("reloaded");
    assert!(daemon.talk(&[])[0].starts_with("450 Sorry"));
}

#[test]
fn a_start_without_plugins_or_without_a_queue_plugin_warns() {
    for (lines, warning) in [
        ("# none\n", "config/plugins: no plugin is named"),
        (
            "rcpt_ok\n",
            " no plugin hooks queue, so messages are answered with 451",
        ),
    ] {
        let (log, _) = Site::with_plugins(lines).start().stop();
        assert!(log.contains(warning), "{log}");
    }
    let (log, _) = Site::shipped().start().stop();
    assert!(!log.contains("no plugin "), "{log}");
}

#[test]
fn a_file_that_cannot_be_included_is_logged_and_the_other_lines_count() {
    let site = Site::shipped();
    site.config("rcpthosts", "$include more\nexample.org\n");
    // Not even root can read this one.
    let fifo = site.path("config/more");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    let daemon = site.start();
    let replies = daemon.send(&["a@example.org", "b@example.org"]);
    assert!(replies[1].starts_with("250 "), "{replies:?}");
    let (log, _) = daemon.stop();
    let problem = "/config/more: it is not a file";
    assert!(log.contains(problem), "{log}");
}

#[test]
fn queue_qmqp_hands_on_the_message_and_the_server_s_answer() {
    let (port, given) = sink(vec![
        "9:Kok 12345,",
        "6:Zlater,",
        "8:Dno mail,",
        "3:Xno,",
        "nonsense",
    ]);
    let site = Site::with_plugins(&format!("rcpt_ok\nqueue/qmqp 127.0.0.1 {port}\n"));
    let daemon = site.start();
    let answer = || daemon.send(&["a@localhost", "b@example.org"])[3].clone();

    assert_eq!(answer(), "250 Queued! ok 12345");
    let package = given.recv_timeout(PATIENCE).expect("a package");
    let text = String::from_utf8_lossy(&package[0]);
    assert!(text.contains("\nSubject: hello\n"), "{text}");
    assert!(text.ends_with("\n\nHello.\n"), "{text}");
    assert_eq!(
        package[1..],
        [
            b"a@example.net".to_vec(),
            b"a@localhost".to_vec(),
            b"b@example.org".to_vec()
        ]
    );
    assert_eq!(answer(), "452 Deferred: later");
    assert_eq!(answer(), "552 Denied: no mail");
    for _ in ["unknown kind", "no netstring", "no server any more"] {
        let said = answer();
        assert!(said.starts_with("451 "), "{said}");
    }
}

/// The lines that count of Debian's /etc/qpsmtpd/plugins and the files beside it, but for
/// check_loop: that wrapper refuses every message, under the original too.
#[test]
fn a_config_as_debian_s_package_has_it_receives_a_message() {
    let site = Site::empty();
    let root = site.root().display();
    for (name, text) in [
        ("plugin_dirs", "/usr/share/qpsmtpd/plugins\n".to_owned()),
        ("spool_dir", format!("{root}/spool\n")),
        ("loglevel", "6\n".to_owned()),
        (
            "logging",
            format!("logging/file loglevel LOGINFO {root}/qpsmtpd.log\n"),
        ),
        ("relayclients", "# accept from localhost:\n".to_owned()),
        (
            "rcpthosts",
            format!("$include {root}/config/debian-rcpthosts\n"),
        ),
        ("debian-rcpthosts", "example.org\n".to_owned()),
        (
            "plugins",
            format!(
                "check_earlytalker action log\ncheck_relay\nrhsbl\ndnsbl\ncheck_spamhelo\n\
                 check_badmailfrom\ncheck_badrcptto\nloop\nrcpt_ok\n\
                 $include {root}/config/debian-queue-method\n"
            ),
        ),
        (
            "debian-queue-method",
            format!("queue/maildir {root}/Maildir\n"),
        ),
        ("badhelo", "evil.example\n".to_owned()),
        ("badmailfrom", "@evil.example\n".to_owned()),
        ("badrcptto", "closed@example.org\n".to_owned()),
    ] {
        site.config(name, &text);
    }
    for name in ["new", "cur", "tmp"] {
        fs::create_dir(site.path("Maildir").join(name)).expect("a directory");
    }
    let daemon = site.start();
    let replies = daemon.send(&["closed@example.org", "a@elsewhere.example", "a@example.org"]);
    assert!(replies[0].starts_with("550 "), "{replies:?}");
    assert!(replies[1].starts_with("550 "), "{replies:?}");
    assert_eq!(replies[4], "250 Queued! <1@example.net>", "{replies:?}");
    assert_eq!(site.mail().len(), 1);
    let refused = daemon.talk(&[
        "EHLO x",
        "MAIL FROM:<a@evil.example>",
        "RCPT TO:<a@example.org>",
    ]);
    assert!(
        refused[2..].iter().any(|reply| reply.starts_with("550 ")),
        "{refused:?}"
    );
    drop(daemon);
    let log = fs::read_to_string(site.path("qpsmtpd.log")).expect("the log");
    assert!(log.contains("250 Queued! <1@example.net>"), "{log}");
}
