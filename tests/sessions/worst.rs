//! The worst that a client can do to the memory of its worker within the limits, each on top of a thousand
//! recipients with paths as long as that many may have: these alone take most of it, half of that perl's, which
//! has an object for each that a Perl plugin was asked about. What plugins keep comes on top, and what is spooled is in files.

use std::fs;

use crate::server::{Client, RUNNER, Server, TAKER};

/// Looks at everything that the client says, and keeps nothing.
const LOOKS: (&str, &str) = (
    "looks",
    "sub hook_rcpt { my ($self, $transaction, $rcpt) = @_; DECLINED }
     sub hook_auth_plain { DENY }",
);

const SESSIONS: usize = 10;
/// In kilobytes.
const MOST: usize = 1000;

/// What belongs to this process alone, in kilobytes.
fn private_memory(pid: &str) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let of = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines.map(of).sum()
}

/// As many recipients as there may be, with paths as long as they may be.
fn recipients(client: &mut Client) {
    client.expect("EHLO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    let domain = "d".repeat(13);
    let lines = (0..1000).map(|n| format!("RCPT TO:<{n:064}@{domain}>\r\n"));
    client.send(lines.collect::<String>().as_bytes());
    for _ in 0..1000 {
        assert_eq!(&client.reply()[..3], "250");
    }
}

/// A header that is as long as it may be, and does not end.
fn header(client: &mut Client) {
    recipients(client);
    client.expect("DATA", "354");
    let line = format!("X: {}\r\n", "x".repeat(35));
    client.send(line.repeat(2490).as_bytes());
    client.send("y".repeat(300).as_bytes());
}

/// Commands without end of which no reply is read, and a line that does not end.
fn unread(client: &mut Client) {
    recipients(client);
    client.send(
        b"RCPT TO:<one.too.many@client.example>\r\n"
            .repeat(900)
            .as_slice(),
    );
    client.send(b"NOOP\r\n".repeat(90).as_slice());
    client.send([b'x'; 12_700]);
}

/// An answer to AUTH of the length that RFC 4954 asks for, and one that does not end.
fn auth(client: &mut Client) {
    recipients(client);
    for _ in 0..5 {
        client.expect("AUTH PLAIN", "334");
        client.expect(&"A".repeat(12_288), "535");
    }
    client.expect("AUTH PLAIN", "334");
    client.send("A".repeat(12_288).as_bytes());
}

/// A message in memory up to where it would be spooled.
fn body(client: &mut Client) {
    recipients(client);
    client.expect("DATA", "354");
    client.send(b"Subject: x\r\n\r\n");
    client.send([b'x'; 2_000_000]);
}

/// Sessions that all stand where their client has left them, in one worker.
fn costs_little(plays: fn(&mut Client)) {
    let args = [
        "--workers",
        "1",
        "--spare-workers",
        "0",
        "--extra-processes",
        "0",
    ];
    let server = Server::start_with(&[RUNNER, LOOKS, TAKER], &args, &[]);
    let mut first = server.connect();
    let worker = first.worker();
    // What is there once for all sessions.
    plays(&mut first);
    let mut last = server.connect();
    assert_eq!(last.worker(), worker);
    let before = private_memory(&worker);
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = server.connect();
        plays(&mut client);
        // Another session's turn: the worker has read what this one sent.
        assert_eq!(last.worker(), worker);
        clients.push(client);
    }
    let each = private_memory(&worker).saturating_sub(before) / SESSIONS;
    assert!(each < MOST, "{each} kB for each session");
}

#[test]
fn a_header_that_does_not_end_costs_little() {
    costs_little(header);
}

#[test]
fn replies_that_are_not_read_cost_little() {
    costs_little(unread);
}

#[test]
fn long_answers_to_auth_cost_little() {
    costs_little(auth);
}

#[test]
fn a_message_that_is_spooled_costs_little() {
    costs_little(body);
}
