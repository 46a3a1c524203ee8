//! `camelpost ping` and `/healthz`: whether a daemon takes connections, for monitors; and what a daemon that
//! hangs keeps waiting (nobody).

use rustix::process::Signal;

use crate::control::{ask, assert_refused, socket, told};
use crate::daemon::{Daemon, config, until};
use crate::metrics::{http, start};

crate::tests! {
    a_daemon_that_takes_connections_is_well,
    a_daemon_that_loads_or_drains_answers_and_is_not_well,
    a_daemon_that_does_not_answer_keeps_no_command_waiting,
}

fn a_daemon_that_takes_connections_is_well() {
    let (daemon, address) = start(&[]);
    let said = told(&daemon, &["ping"]);
    assert!(said.starts_with("ok: camelpost "), "{said}");
    assert!(said.contains(&daemon.address.unwrap().to_string()));
    assert_eq!(said.lines().count(), 1);
    let response = http(address, b"GET /healthz HTTP/1.1\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nok\n"), "{response}");
    // A reload that fails is no reason to take a server out of service.
    std::fs::write(daemon.path("config/fail"), "no\n").unwrap();
    ask(daemon.dir.path(), &["reload"]);
    told(&daemon, &["ping"]);
    for wrong in ["0", "-1", "soon", "1e99"] {
        let output = ask(daemon.dir.path(), &["ping", &format!("--timeout={wrong}")]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

fn a_daemon_that_loads_or_drains_answers_and_is_not_well() {
    let daemon = Daemon::begin(config(&[("wait", "")]), &[]);
    until("the socket is there", || socket(&daemon).exists());
    assert_refused(
        &ask(daemon.dir.path(), &["ping"]),
        1,
        &["answers", "loading"],
    );
    let (daemon, address) = start(&[]);
    let mut client = daemon.connect();
    told(&daemon, &["drain", "--no-wait"]);
    assert_refused(
        &ask(daemon.dir.path(), &["ping"]),
        1,
        &["answers", "stopping"],
    );
    let response = http(address, b"GET /healthz HTTP/1.1\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(response.contains("\r\n\r\nstopping"), "{response}");
    client.end("QUIT");
}

fn a_daemon_that_does_not_answer_keeps_no_command_waiting() {
    let daemon = Daemon::start(&[]);
    daemon.signal(Signal::STOP);
    let output = ask(daemon.dir.path(), &["ping", "--timeout", "0.2"]);
    let path = socket(&daemon).display().to_string();
    assert_refused(&output, 2, &[&path, "does not answer within 0.2 seconds"]);
    // Its queue of callers is full, too.
    let callers: Vec<_> = std::iter::from_fn(|| {
        let flags = rustix::net::SocketFlags::NONBLOCK;
        let kind = rustix::net::SocketType::STREAM;
        let family = rustix::net::AddressFamily::UNIX;
        let caller = rustix::net::socket_with(family, kind, flags, None).unwrap();
        let address = rustix::net::SocketAddrUnix::new(&*path).unwrap();
        rustix::net::connect(&caller, &address)
            .ok()
            .map(|()| caller)
    })
    .collect();
    assert!(callers.len() > 100);
    let output = ask(daemon.dir.path(), &["ping", "--timeout", "0.2"]);
    assert_refused(&output, 2, &["does not answer within 0.2 seconds"]);
    daemon.signal(Signal::CONT);
}
