//! Clients that hang up before it is their turn cost no worker, and those that have said something, or
//! find a free worker, are served.

use crate::server::{RUNNER, Server, TAKER, line, until};

const BEGUN: &str = "Connection from ";

/// Keeps its worker for a second.
const SLOW: (&str, &str) = (
    "slow",
    "sub hook_vrfy { select undef, undef, undef, 1; OK }",
);

const ONE: &[&str] = &[
    "--workers",
    "1",
    "--spare-workers",
    "0",
    "--extra-processes",
    "0",
];

#[test]
fn who_hangs_up_before_its_turn_gets_no_session_and_who_has_said_something_does() {
    let server = Server::start_with(&[RUNNER, TAKER, SLOW], ONE, &[]);
    let mut busy = server.connect();
    let worker = busy.worker();
    busy.send(b"VRFY someone\r\n");
    for _ in 0..300 {
        drop(server.connect_silently());
    }
    let mut last = server.connect_silently();
    last.send(b"QUIT\r\n");
    let mut said = server.connect_silently();
    said.send(b"NOOP\r\nQUIT\r\n");
    drop(said);
    assert_eq!(&busy.reply()[..3], "250");
    busy.expect("QUIT", "221");
    assert_eq!(&last.reply()[..3], "220");
    assert_eq!(&last.reply()[..3], "221");
    until("three sessions", || server.count(BEGUN) == 3);
    let mut next = server.connect();
    assert_eq!(next.worker(), worker);
    assert_eq!(server.count(BEGUN), 4);
}

#[test]
fn without_an_interpreter_they_get_none_either() {
    let native = [line("native/count_recipients max 5000")];
    let server = Server::start_with(&native, ONE, &[]);
    let mut busy = server.connect();
    for _ in 0..300 {
        drop(server.connect_silently());
    }
    assert_eq!(&server.connect().say("QUIT")[..3], "221");
    busy.expect("QUIT", "221");
    // The worker waits for nobody, so some may have their turn before they hang up.
    let begun = server.count(BEGUN);
    assert!(begun < 100, "{begun} sessions");
}

#[test]
fn where_a_worker_is_free_who_has_closed_its_side_still_reads_the_greeting() {
    let server = Server::start(&[RUNNER, TAKER]);
    // It may come before the spare workers.
    until("a probe reads the greeting", || {
        let mut probe = server.connect_silently();
        probe.close_own_side();
        probe.rest().starts_with("220 ")
    });
}
