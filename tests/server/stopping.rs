//! The end of the service: open sessions drain, within a limit, unless somebody is in a hurry.

use std::net::TcpStream;

use rustix::process::{Pid, Signal};

use crate::daemon::{Client, Daemon, until};
use crate::life::{alive, failing};

crate::tests! {
    an_open_session_goes_on_while_the_service_drains_and_new_clients_are_refused,
    a_session_over_the_limit_of_the_drain_is_told_to_end,
    a_session_that_hangs_over_the_limit_of_the_drain_is_cut_off,
    a_client_that_waits_for_a_place_is_told_that_the_service_stops,
    a_second_signal_ends_the_drain_at_once,
    a_drain_timeout_that_is_no_number_is_refused,
}

fn an_open_session_goes_on_while_the_service_drains_and_new_clients_are_refused() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let mut idle = daemon.connect();
    daemon.signal(Signal::TERM);
    daemon.wait_for("2 open sessions may go on for 30 seconds");
    until("new clients are refused", || {
        TcpStream::connect(daemon.address.unwrap()).is_err()
    });
    for text in ["one", "two"] {
        client.send_line(text);
        assert_eq!(client.line(), format!("250 {text}\r\n"));
    }
    assert_eq!(client.end("QUIT"), "221 bye\r\n");
    idle.send_line("still here");
    assert_eq!(idle.line(), "250 still here\r\n");
    assert!(daemon.child.try_wait().unwrap().is_none());
    assert_eq!(idle.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_session_over_the_limit_of_the_drain_is_told_to_end() {
    let mut daemon = Daemon::start(&["--drain-timeout", "1"]);
    let mut client = daemon.connect();
    daemon.signal(Signal::TERM);
    daemon.wait_for("1 open sessions may go on for 1 seconds");
    client.send_line("hello");
    assert_eq!(client.line(), "250 hello\r\n");
    assert_eq!(client.rest(), "421 told to stop\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_session_that_hangs_over_the_limit_of_the_drain_is_cut_off() {
    let mut daemon = Daemon::start(&["--drain-timeout", "1"]);
    let mut client = daemon.connect();
    client.send_line("one");
    assert_eq!(client.line(), "250 one\r\n");
    client.send_line("HANG");
    daemon.signal(Signal::TERM);
    assert_eq!(
        client.rest(),
        "421 4.3.2 Service is shutting down, closing connection\r\n"
    );
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!alive(Pid::from_raw(client.pid()).unwrap()));
}

fn a_client_that_waits_for_a_place_is_told_that_the_service_stops() {
    let mut daemon = Daemon::start(&["--limit-connections", "1"]);
    let mut client = daemon.connect();
    client.send_line("one");
    assert_eq!(client.line(), "250 one\r\n");
    // Two of them: one of these may have been accepted already.
    let address = daemon.address.unwrap();
    let mut waiting = [(); 2].map(|()| Client::without_greeting(address));
    daemon.signal(Signal::TERM);
    for client in &mut waiting {
        assert_eq!(
            client.rest(),
            "421 4.3.2 Service is shutting down, closing connection\r\n"
        );
    }
    assert_eq!(client.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_second_signal_ends_the_drain_at_once() {
    let mut daemon = Daemon::start(&["--drain-timeout", "3600"]);
    let mut client = daemon.connect();
    daemon.signal(Signal::TERM);
    daemon.wait_for("1 open sessions may go on");
    daemon.signal(Signal::INT);
    assert_eq!(
        client.rest(),
        "421 4.3.2 Service is shutting down, closing connection\r\n"
    );
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_drain_timeout_that_is_no_number_is_refused() {
    let dir = crate::daemon::config(&[]);
    let (status, text) = failing(dir.path(), &["--drain-timeout", "soon"]);
    assert_eq!(status, Some(2));
    assert!(text.contains("--drain-timeout <SECONDS>"), "{text}");
}
