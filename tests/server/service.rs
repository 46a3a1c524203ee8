//! Sessions: who runs them, the limits, and what clients are told when a worker dies.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::{Client, Daemon, config, until};

crate::tests! {
    a_session_knows_its_addresses_and_the_socket_is_blocking,
    an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client,
    workers_are_reused,
    a_worker_is_replaced_after_its_sessions,
    a_worker_that_is_not_to_be_reused_is_replaced,
    with_one_session_per_worker_each_open_one_has_its_own,
    workers_beyond_those_kept_end_when_idle,
    a_killed_worker_gives_its_client_421,
    a_crashed_worker_gives_its_client_421_and_the_others_nothing,
    the_421_reaches_a_client_that_was_still_sending,
    a_killed_worker_writes_nothing_in_clear_into_a_tls_session,
    an_idle_worker_that_is_killed_is_replaced,
    workers_that_die_at_once_are_not_forked_in_a_storm,
    one_address_over_its_limit_gets_421_and_is_welcome_again_later,
    the_limit_per_address_is_left_to_a_plugin_that_hooks_pre_connection,
    connections_over_the_total_limit_wait_for_a_place,
    a_burst_is_served_completely,
}

fn a_session_knows_its_addresses_and_the_socket_is_blocking() {
    let daemon = Daemon::start(&["--limit-connections", "7", "--max-from-ip", "4"]);
    let client = daemon.connect();
    assert!(client.greeted("peer").starts_with("127.0.0.1:"));
    assert_eq!(client.greeted("local"), daemon.address.unwrap().to_string());
    assert_eq!(client.greeted("open"), "0/7");
    assert_eq!(client.greeted("from_ip"), "4");
    assert_eq!(client.greeted("blocking"), "true");
    assert_eq!(daemon.connect().greeted("open"), "1/7");
}

fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
    if std::net::TcpListener::bind("[::]:0").is_err() {
        println!("no IPv6 on this machine");
        return;
    }
    let daemon = Daemon::start(&["--listen-address", "[::]:0"]);
    let address = SocketAddr::new([127, 0, 0, 1].into(), daemon.address.unwrap().port());
    let client = Client::connect(address);
    assert!(client.greeted("peer").starts_with("127.0.0.1:"));
    assert_eq!(client.greeted("local"), address.to_string());
}

fn workers_are_reused() {
    let daemon = Daemon::start(&[]);
    let mut pids = HashSet::new();
    for _ in 0..40 {
        let mut client = daemon.connect();
        pids.insert(client.pid());
        assert_eq!(client.end("QUIT"), "221 bye\r\n");
    }
    // The two spare ones, and some that took their place while the first was still busy.
    assert!(
        pids.len() <= 10,
        "{} workers for 40 sessions in turn",
        pids.len()
    );
}

fn a_worker_is_replaced_after_its_sessions() {
    let daemon = Daemon::start(&["--sessions-per-life", "2", "--spare-workers", "1"]);
    let mut served = Vec::new();
    for _ in 0..6 {
        let mut client = daemon.connect();
        served.push(client.pid());
        client.end("QUIT");
    }
    for pid in &served {
        assert!(
            served.iter().filter(|other| *other == pid).count() <= 2,
            "{served:?}"
        );
    }
}

fn a_worker_that_is_not_to_be_reused_is_replaced() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let pid = client.pid();
    assert_eq!(client.end("LAST"), "221 bye\r\n");
    daemon.wait_for(&format!("cleaning up after {pid}"));
    assert_ne!(daemon.connect().pid(), pid);
}

fn with_one_session_per_worker_each_open_one_has_its_own() {
    let daemon = Daemon::start(&["--max-from-ip", "0", "--sessions-per-worker", "1"]);
    let clients: Vec<Client> = (0..10).map(|_| daemon.connect()).collect();
    let pids: HashSet<i32> = clients.iter().map(Client::pid).collect();
    assert_eq!(pids.len(), 10);
}

fn workers_beyond_those_kept_end_when_idle() {
    let mut daemon = Daemon::start(&[
        "--max-from-ip",
        "0",
        "--workers",
        "3",
        "--sessions-per-worker",
        "1",
    ]);
    let clients: Vec<Client> = (0..8).map(|_| daemon.connect()).collect();
    drop(clients);
    // Ten with the two spare ones, which may come when two others are idle already.
    for _ in 0..6 {
        daemon.wait_for("cleaning up after ");
    }
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn a_killed_worker_gives_its_client_421() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    kill_process(Pid::from_raw(client.pid()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(
        client.rest(),
        "421 4.3.0 Internal error, closing connection\r\n"
    );
    let line = daemon.wait_for(&format!("worker {} was killed by signal 9", client.pid()));
    assert!(line.contains(&client.local_ip().to_string()));
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn a_crashed_worker_gives_its_client_421_and_the_others_nothing() {
    let mut daemon = Daemon::start(&[]);
    let mut other = daemon.connect();
    for (command, how) in [
        ("ABORT", "was killed by signal 6"),
        ("EXIT", "ended with status 9"),
    ] {
        let mut client = daemon.connect();
        assert_eq!(
            client.end(command),
            "421 4.3.0 Internal error, closing connection\r\n"
        );
        daemon.wait_for(&format!("worker {} {how}", client.pid()));
    }
    other.send_line("hello");
    assert_eq!(other.line(), "250 hello\r\n");
}

fn the_421_reaches_a_client_that_was_still_sending() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    kill_process(Pid::from_raw(client.pid()).unwrap(), Signal::STOP).unwrap();
    client.send_line(&"unread ".repeat(1000));
    kill_process(Pid::from_raw(client.pid()).unwrap(), Signal::KILL).unwrap();
    daemon.wait_for("got a 421");
    // Still sending when the reply is there already.
    client.send_line("more");
    assert_eq!(
        client.rest(),
        "421 4.3.0 Internal error, closing connection\r\n"
    );
}

fn a_killed_worker_writes_nothing_in_clear_into_a_tls_session() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send_line("TLS");
    assert_eq!(client.line(), "220 go\r\n");
    assert_eq!(client.end("ABORT"), "");
    daemon.wait_for("in the TLS session of 127.0.0.1");
}

fn an_idle_worker_that_is_killed_is_replaced() {
    let mut daemon = Daemon::start(&["--spare-workers", "1"]);
    let line = daemon.wait_for("forked worker ");
    let (_, pid) = line.split_once("forked worker ").unwrap();
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    daemon.wait_for(&format!("idle worker {pid} was killed by signal 9"));
    daemon.wait_for("forked worker ");
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn workers_that_die_at_once_are_not_forked_in_a_storm() {
    let mut daemon = Daemon::start_with(config(&[("die", "")]), &[]);
    daemon.wait_for("died at once");
    std::thread::sleep(Duration::from_millis(1000));
    let deaths = daemon.log().matches("died at once").count();
    assert!(deaths <= 20, "{deaths} workers died in a second");
    // The clients that came meanwhile are served once workers live again.
    let mut client = Client::without_greeting(daemon.address.unwrap());
    std::fs::remove_file(daemon.path("config/die")).unwrap();
    assert!(client.line().starts_with("220 "));
}

fn one_address_over_its_limit_gets_421_and_is_welcome_again_later() {
    let mut daemon = Daemon::start(&["--max-from-ip", "2"]);
    let mut first = daemon.connect();
    let _second = daemon.connect();
    let mut third = daemon.connect();
    assert_eq!(
        third.greeting,
        "421 4.7.0 Too many connections from your address, try again later\r\n"
    );
    assert_eq!(third.rest(), "");
    daemon.wait_for("too many connections from 127.0.0.1");
    first.end("QUIT");
    until("the first session is over", || {
        daemon.connect().greeting.starts_with("220 ")
    });
}

fn the_limit_per_address_is_left_to_a_plugin_that_hooks_pre_connection() {
    let daemon = Daemon::start_with(config(&[("pre", "")]), &["--max-from-ip", "2"]);
    let clients: Vec<Client> = (0..4).map(|_| daemon.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.greeted("addrs"), number.to_string());
        assert_eq!(client.greeted("from_ip"), "2");
    }
}

fn connections_over_the_total_limit_wait_for_a_place() {
    let mut daemon = Daemon::start(&["--limit-connections", "2"]);
    let mut first = daemon.connect();
    let _second = daemon.connect();
    let mut third = Client::without_greeting(daemon.address.unwrap());
    assert!(third.is_silent_for(Duration::from_millis(200)));
    daemon.wait_for("Too many connections: 2 >= 2.  Waiting one second.");
    first.end("QUIT");
    assert!(third.line().starts_with("220 "));
}

fn a_burst_is_served_completely() {
    let daemon = Daemon::start(&["--max-from-ip", "0", "--limit-connections", "30"]);
    let mut clients: Vec<Client> = (0..100)
        .map(|_| Client::without_greeting(daemon.address.unwrap()))
        .collect();
    for client in &mut clients {
        assert!(client.line().starts_with("220 "));
        assert_eq!(client.end("QUIT"), "221 bye\r\n");
    }
}
