//! A worker that takes too much memory is replaced, and one that takes ever more is killed.

use crate::server::{RUNNER, Server, TAKER, until};

/// Grows without end in the hook of VRFY, and by 48 MiB that it keeps in that of HELP.
const GROWS: &str = r#"
    my @kept;
    sub hook_vrfy { my @all; push @all, 'x' x 1_000_000 while 1 }
    sub hook_help { push @kept, 'x' x (48 << 20); return (OK, 'grown') }
"#;

fn start(args: &[&str]) -> Server {
    let all = [&["--workers", "1", "--spare-workers", "0"], args].concat();
    Server::start_with(&[RUNNER, ("grows", GROWS), TAKER], &all, &[])
}

#[test]
fn a_worker_that_has_grown_is_replaced_when_its_session_has_ended() {
    let server = start(&["--worker-memory", "32M"]);
    let mut client = server.connect();
    let worker = client.worker();
    client.expect("HELP", "214");
    server.wait_for(&format!("worker {worker} has taken "));
    assert_eq!(client.run("6 * 7"), "42", "its session goes on");
    client.expect("QUIT", "221");
    client.rest();
    let mut next = server.connect();
    assert_ne!(next.worker(), worker);
    // What that one has shares is not its own: it stays.
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert_eq!(server.count("has taken"), 1);
}

#[test]
fn a_plugin_that_grows_without_end_is_killed_and_named_and_its_client_gets_a_421() {
    let server = start(&["--worker-memory-max", "100M"]);
    let mut client = server.connect();
    let worker = client.worker();
    let reply = client.say("VRFY someone");
    assert!(reply.starts_with("421 4.3.0 "), "{reply}");
    assert!(client.is_closed());
    let told = format!("plugin grows running the vrfy hook in worker {worker} has taken ");
    server.wait_for(&told);
    server.wait_for("got a 421 (plugin grows was running the vrfy hook)");
    until("the next client is served", || {
        let mut next = server.connect();
        next.worker() != worker && next.say("QUIT").starts_with("221")
    });
}
