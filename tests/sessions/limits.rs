//! What a client may have of a session, with Perl plugins and without an interpreter.

use crate::server::{Client, RUNNER, Server, TAKER, line};

/// With an interpreter and without.
fn both(files: &[(&str, &str)], test: impl Fn(&Server)) {
    for plugins in [
        &[RUNNER, TAKER][..],
        &[line("native/count_recipients max 5000")],
    ] {
        for compat in ["0.94\n", "1.00\n"] {
            let files = [files, &[("compat", compat)]].concat();
            test(&Server::start_configured(plugins, &[], &[], &files));
        }
    }
}

const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors, closing connection";
const NO_MESSAGE: &str = "421 4.7.0 Too many commands without a message, closing connection";

#[test]
fn by_default_the_twentieth_error_ends_the_session() {
    both(&[], |server| {
        let mut client = server.connect();
        for _ in 0..20 {
            client.expect("FOO", "500");
        }
        assert_eq!(client.reply(), TOO_MANY_ERRORS);
        assert!(client.is_closed());
        server.wait_for("Too many errors, disconnecting");
    });
}

#[test]
fn by_default_a_hundred_commands_that_lead_nowhere_end_the_session() {
    both(&[], |server| {
        let mut client = server.connect();
        for _ in 0..101 {
            client.expect("NOOP", "250");
        }
        assert_eq!(client.reply(), NO_MESSAGE);
        assert!(client.is_closed());
    });
}

#[test]
fn by_default_a_thousand_transactions_without_a_message_end_the_session() {
    both(&[], |server| {
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        for _ in 0..1000 {
            client.expect("MAIL FROM:<a@client.example>", "250");
        }
        assert_eq!(client.reply(), NO_MESSAGE);
        assert!(client.is_closed());
    });
}

#[test]
fn a_limit_that_is_set_to_zero_is_none() {
    let none = [
        ("error_limit", "0\n"),
        ("junk_command_limit", "0\n"),
        ("command_limit", "0\n"),
    ];
    both(&none, |server| {
        let mut client = server.connect();
        for _ in 0..1500 {
            client.expect("FOO", "500");
            client.expect("NOOP", "250");
        }
        client.expect("QUIT", "221");
    });
}

#[test]
fn a_client_that_does_not_say_helo_in_time_is_not_waited_for() {
    both(&[("greeting_timeout", "1\n")], |server| {
        let mut silent = server.connect();
        let mut greets = server.connect();
        greets.expect("HELO client.example", "250");
        assert_eq!(silent.reply(), "421 Connection Timed Out");
        assert!(silent.is_closed());
        greets.expect("NOOP", "250");
    });
}

#[test]
fn a_session_in_which_no_message_comes_ends() {
    both(&[("session_timeout", "1\n")], |server| {
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        assert_eq!(client.reply(), "421 Connection Timed Out");
        assert!(client.is_closed());
    });
}

/// `n` recipients with the longest path that RFC 5321 knows.
fn longest_recipients(client: &mut Client, n: usize) -> usize {
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    let domain = format!("{}.{}", "d".repeat(63), "e".repeat(125));
    let recipients = (0..n).map(|n| format!("RCPT TO:<{n:064}@{domain}>\r\n"));
    client.send(recipients.collect::<String>().as_bytes());
    let replies = (0..n).map(|_| client.reply());
    replies.filter(|reply| reply.starts_with("250")).count()
}

#[test]
fn by_default_a_thousand_recipients_fit_or_three_hundred_with_the_longest_path() {
    let server = Server::start(&[TAKER]);
    let mut client = server.connect();
    assert_eq!(longest_recipients(&mut client, 315), 313);
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    for number in 0..1002 {
        let code = if number < 1000 { "250" } else { "452" };
        client.expect(&format!("RCPT TO:<{number:067}@mx.example>"), code);
    }
    client.expect("DATA", "354");
    client.expect("Subject: x\r\n\r\n.", "250");
    // As many for the next message.
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<a@mx.example>", "250");
}

#[test]
fn the_paths_of_a_message_have_a_limit_in_bytes() {
    let files = [
        ("envelope_size_limit", "25600\n"),
        ("recipient_limit", "0\n"),
    ];
    let server = Server::start_configured(&[TAKER], &[], &[], &files);
    assert_eq!(longest_recipients(&mut server.connect(), 200), 100);
}

#[test]
fn by_default_a_header_of_more_than_2000_lines_or_100_kib_is_refused() {
    let server = Server::start(&[TAKER]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    for (header, code) in [
        ("X: 1\r\n".repeat(2000), "250"),
        ("X: 1\r\n".repeat(2001), "552 Message header too big!"),
        (format!("X: {}\r\n", "1".repeat(102_396)), "250"),
        (
            format!("X: {}\r\n", "1".repeat(102_397)),
            "552 Message header too big!",
        ),
    ] {
        client.expect("MAIL FROM:<a@client.example>", "250");
        client.expect("RCPT TO:<a@mx.example>", "250");
        client.expect("DATA", "354");
        client.expect(&format!("{header}\r\nbody\r\n."), code);
    }
}
