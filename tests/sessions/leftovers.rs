//! What a worker that dies in the middle of a message leaves in the spool directory.

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{Client, RUNNER, Server, TAKER, until};

/// A client in the middle of a message that has been spooled, its plugin with a file and a
/// directory of its own; and its worker.
fn in_a_message(server: &Server) -> (Client, Pid) {
    let mut client = server.connect();
    let worker = client.worker();
    let worker = worker.parse().unwrap();
    let before = server.files("spool").len();
    client.run(
        "my ($f, $d) = ($qp->temp_file, $qp->temp_dir); \
         open my $o, '>', $f or die; open $o, '>', \"$d/x\" or die; 'made'",
    );
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@example.org>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    client.expect("DATA", "354");
    let text = format!("Subject: x\r\n\r\n{}", "line\r\n".repeat(2000));
    client.send(text.as_bytes());
    until("message, file and directory are there", || {
        server.files("spool").len() == before + 3
    });
    (client, Pid::from_raw(worker).unwrap())
}

fn plugins() -> [(&'static str, &'static str); 2] {
    [RUNNER, TAKER]
}

#[test]
fn spool_files_of_a_killed_worker_are_removed_and_those_of_others_stay() {
    let server = Server::start(&plugins());
    let (mut other, _) = in_a_message(&server);
    let (mut client, worker) = in_a_message(&server);
    kill_process(worker, Signal::KILL).unwrap();
    assert!(client.rest().starts_with("421 4.3.0 "));
    server.wait_for(&format!("files of worker {} from", worker.as_raw_nonzero()));
    assert_eq!(server.files("spool").len(), 3);
    other.expect(".", "250");
}

#[test]
fn spool_files_of_a_worker_that_outlived_its_zygote_are_removed_too() {
    let server = Server::start(&plugins());
    let (mut client, worker) = in_a_message(&server);
    kill_process(server.zygote(), Signal::KILL).unwrap();
    server.wait_for("the zygote ended");
    kill_process(worker, Signal::KILL).unwrap();
    assert!(client.rest().starts_with("421 4.3.0 "));
    until("nothing is left", || server.files("spool").is_empty());
}
