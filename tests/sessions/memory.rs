//! A worker that takes too much memory is replaced, a call that takes ever more is interrupted, and a
//! worker that takes more all the same is killed.

use crate::server::{RUNNER, Server, TAKER, until};

/// Grows without end in the hook of MAIL, and by 48 MiB that it keeps in that of HELP.
const GROWS: &str = r#"
    my @kept;
    sub hook_mail {
        my ($self, $transaction, $sender) = @_;
        return DECLINED if $sender->user ne 'grow';
        my @all;
        while (1) { push @all, 'x' x 1_000_000; select undef, undef, undef, 0.003 }
    }
    my $size = 48 << 20;
    sub hook_help { push @kept, 'x' x $size; return (OK, 'grown') }
    # In one operation, which nothing interrupts.
    sub hook_noop { my @all = (1) x (1 << 26); return (OK, 'grown') }
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
fn what_a_session_has_taken_is_given_back_after_it() {
    let server = start(&[]);
    let taken = |worker: String| {
        let statm = std::fs::read_to_string(format!("/proc/{worker}/statm")).unwrap_or_default();
        let mut pages = statm.split_whitespace().skip(1).flat_map(str::parse::<i64>);
        (pages.next().unwrap_or(0) - pages.next().unwrap_or(0)) * 4096
    };
    let worker_now = || {
        let mut client = server.connect();
        let worker = client.worker();
        client.expect("QUIT", "221");
        client.rest();
        worker
    };
    let before = taken(worker_now());
    for _ in 0..8 {
        let mut client = server.connect();
        client.expect("HELP", "214");
        client.expect("QUIT", "221");
        client.rest();
    }
    until("a fresh worker has come", || {
        let after = taken(worker_now());
        after > 0 && after < before + before / 10 + (1 << 20)
    });
}

#[test]
fn a_call_that_grows_without_end_is_interrupted_and_named_and_its_neighbours_go_on() {
    let server = start(&["--worker-memory-max", "500M"]);
    let mut neighbours: Vec<_> = (0..5).map(|_| server.connect()).collect();
    let mut client = server.connect();
    let worker = client.worker();
    for neighbour in &mut neighbours {
        assert_eq!(neighbour.worker(), worker, "they share it");
    }
    client.expect("HELO a.example", "250");
    client.expect("MAIL FROM:<grow@a.example>", "450");
    server.wait_for(&format!(
        "plugin grows running the mail hook in worker {worker} has taken "
    ));
    server.wait_for("has taken most of --worker-memory-max and was interrupted");
    assert_eq!(client.run("6 * 7"), "42", "its session goes on");
    for neighbour in &mut neighbours {
        assert_eq!(neighbour.run("6 * 7"), "42");
        neighbour.expect("QUIT", "221");
    }
    assert_eq!(server.count("killing the worker"), 0);
}

#[test]
fn a_plugin_that_grows_in_one_operation_is_killed_and_named_and_its_client_gets_a_421() {
    let server = start(&["--worker-memory-max", "100M"]);
    let mut client = server.connect();
    let worker = client.worker();
    let reply = client.say("NOOP");
    assert!(reply.starts_with("421 4.3.0 "), "{reply}");
    assert!(client.is_closed());
    let told = format!("plugin grows running the noop hook in worker {worker} has taken ");
    server.wait_for(&told);
    server.wait_for("got a 421 (plugin grows was running the noop hook)");
    until("the next client is served", || {
        let mut next = server.connect();
        next.worker() != worker && next.say("QUIT").starts_with("221")
    });
}
