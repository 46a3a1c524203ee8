//! What a client may have of a session: see `counts.rs`.

use super::*;
use crate::config::Limits;

fn limited(limits: Limits) -> Server {
    let mut server = mail_server();
    server.settings.limits = limits;
    server
}

fn many(n: usize, line: &str) -> Vec<&str> {
    vec![line; n]
}

const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors, closing connection";
const NO_MESSAGE: &str = "421 4.7.0 Too many commands without a message, closing connection";

#[test]
fn the_last_error_that_a_client_may_make_has_its_reply_and_a_421() {
    for error in [
        "FOO\r\n",
        "MAIL FROM:<>\r\n",
        "HELO\r\n",
        "NO\0OP\r\n",
        &"x".repeat(20_000),
    ] {
        let limits = Limits {
            errors: Some(3),
            ..Limits::default()
        };
        let line = format!("{}\r\n", error.trim_end());
        let seen = limited(limits).talk(&many(9, &line));
        assert_eq!(seen.replies.len(), 4, "{error}");
        assert_eq!(seen.replies[2].len(), 1, "{error}");
        assert_eq!(seen.replies[3].len(), 2, "{error}");
        assert_eq!(seen.replies[3][1], TOO_MANY_ERRORS);
        assert_eq!(
            (seen.count("disconnect"), seen.count("post-connection")),
            (1, 1)
        );
    }
}

#[test]
fn recipients_that_plugins_refuse_are_errors() {
    let mut server = server().on(Hook::Rcpt, Code::Deny, "no");
    server.settings.limits.errors = Some(3);
    let mut sends = after(2, &[]);
    sends.extend(many(9, "RCPT TO:<c@d>\r\n"));
    let seen = server.talk(&sends);
    assert_eq!(seen.last(), ["550 no", TOO_MANY_ERRORS]);
    assert_eq!(seen.count("rcpt"), 3);
}

#[test]
fn recipients_that_are_to_be_tried_again_are_no_errors() {
    let mut server = server().on(Hook::Rcpt, Code::DenySoft, "later");
    server.settings.limits.errors = Some(3);
    let mut sends = after(2, &[]);
    sends.extend(many(9, "RCPT TO:<c@d>\r\n"));
    let seen = server.talk(&sends);
    assert_eq!(seen.last(), ["450 later"]);
    assert_eq!(seen.count("rcpt"), 9);
}

#[test]
fn a_message_that_is_taken_makes_errors_junk_and_commands_be_forgotten() {
    let limits = Limits {
        errors: Some(3),
        junk_commands: Some(3),
        commands: Some(6),
        ..Limits::default()
    };
    let mut sends = vec!["EHLO c\r\n"];
    for _ in 0..5 {
        sends.extend(["FOO\r\n", "FOO\r\n", "RSET\r\n", "NOOP\r\n"]);
        sends.extend([ENVELOPE[1], ENVELOPE[2], ENVELOPE[3], MESSAGE]);
    }
    let seen = limited(limits).talk(&sends);
    assert_eq!(seen.replies.len(), sends.len() + 1);
    assert_eq!(seen.last(), ["250 Queued! x"]);
}

#[test]
fn a_message_that_is_refused_is_an_error() {
    let mut server = server()
        .on(Hook::Rcpt, Code::Ok, "")
        .on(Hook::DataPost, Code::Deny, "spam");
    server.settings.limits.errors = Some(2);
    let message = [ENVELOPE[1], ENVELOPE[2], ENVELOPE[3], MESSAGE];
    let mut sends = vec!["EHLO c\r\n"];
    sends.extend(message);
    sends.extend(message);
    sends.extend(message);
    let seen = server.talk(&sends);
    assert_eq!(seen.last(), ["552 spam", TOO_MANY_ERRORS]);
    assert_eq!(seen.count("data_post"), 2);
}

#[test]
fn commands_that_bring_no_message_nearer_have_a_limit() {
    for junk in ["NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "help\r\n"] {
        let limits = Limits {
            junk_commands: Some(3),
            ..Limits::default()
        };
        let seen = limited(limits).talk(&many(9, junk));
        assert_eq!(seen.replies[3].last().map(|l| &l[..1]), Some("2"), "{junk}");
        assert_eq!(seen.last().last(), Some(&NO_MESSAGE), "{junk}");
        assert_eq!(seen.replies.len(), 5, "{junk}");
    }
}

#[test]
fn commands_without_a_message_have_a_limit_and_recipients_are_none_of_them() {
    let mut server = limited(Limits {
        commands: Some(4),
        ..Limits::default()
    });
    server.settings.recipient_limit = 10;
    let mut sends = after(2, &[]);
    sends.extend(many(30, "RCPT TO:<c@d>\r\n"));
    sends.extend(many(9, "MAIL FROM:<a@b>\r\n"));
    let seen = server.talk(&sends);
    assert_eq!(seen.replies.len(), 1 + 2 + 30 + 3);
    assert_eq!(seen.last()[1], NO_MESSAGE);
}

#[test]
fn recipients_beyond_the_limit_are_no_errors_until_there_is_no_end_of_them() {
    let mut server = limited(Limits {
        errors: Some(1),
        ..Limits::default()
    });
    server.settings.recipient_limit = 1;
    let mut sends = after(3, &[]);
    sends.extend(many(2000, "RCPT TO:<c@d>\r\n"));
    let seen = server.talk(&sends);
    assert_eq!(seen.reply(1003), "452 Too many recipients");
    assert_eq!(seen.last(), ["452 Too many recipients", TOO_MANY_ERRORS]);
    assert_eq!(seen.replies.len(), 1 + 3 + 1001);
}

#[test]
fn who_fails_to_authenticate_too_often_is_sent_away() {
    let mut server = server()
        .on(Hook::AuthPlain, Code::Deny, "")
        .mechanisms(&["PLAIN"]);
    server.settings.limits.auth_failures = Some(2);
    let mut sends = vec!["EHLO x\r\n"];
    sends.extend(many(5, "AUTH PLAIN AGEAYg==\r\n"));
    let seen = server.talk(&sends);
    assert_eq!(seen.replies.len(), 4);
    let reply = "421 4.7.0 Too many failures of authentication, closing connection";
    assert_eq!(seen.last()[1], reply);
}

#[test]
fn a_header_of_the_limit_is_taken_and_a_longer_one_is_552() {
    let limits = Limits {
        header_size: Some(100),
        header_lines: Some(5),
        ..Limits::default()
    };
    let line = format!("{}\r\n", "x".repeat(200)).repeat(9);
    let fits = format!("A: {}\r\n\r\n{line}.\r\n", "y".repeat(96));
    let longer = format!("A: {}\r\n\r\n.\r\n", "y".repeat(97));
    let lines = format!("{}\r\n{line}.\r\n", "A:\r\n".repeat(5));
    let more = format!("{}\r\n.\r\n", "A:\r\n".repeat(6));
    let no_end = format!("{line}.\r\n");
    let refused = "552 Message header too big!";
    for (message, reply) in [
        (&fits, "250 Queued! x"),
        (&longer, refused),
        (&lines, "250 Queued! x"),
        (&more, refused),
        (&no_end, refused),
    ] {
        let server = || limited(limits.clone());
        let seen = server().talk(&after(4, &[message, "NOOP\r\n"]));
        assert_eq!(seen.reply(5), reply, "{message}");
        assert_eq!(seen.reply(6), "250 OK");
        // Byte by byte it is the same.
        let bytes: Vec<String> = message.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(server().talk(&after(4, &bytes)).last(), [reply]);
    }
}

#[test]
fn without_limits_there_is_no_end_of_anything() {
    let mut sends = many(3000, "FOO\r\n");
    sends.extend(many(3000, "NOOP\r\n"));
    let seen = limited(Limits::default()).talk(&sends);
    assert_eq!(seen.last(), ["250 OK"]);
}
