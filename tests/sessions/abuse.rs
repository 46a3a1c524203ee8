//! Clients that mean no good cost a bounded amount of memory.

use std::time::Duration;

use crate::server::{RUNNER, Server, peak_memory};

/// Writes of 11000 commands each.
const BLOCKS: usize = 100;

#[test]
fn a_client_that_reads_no_replies_costs_bounded_memory() {
    let no_limits = [("junk_command_limit", "0\n"), ("command_limit", "0\n")];
    let server = Server::start_configured(&[RUNNER], &[], &[], &no_limits);
    let mut client = server.connect();
    let worker = client.worker();
    let before = peak_memory(&worker);
    let mut sender = client.second();
    let sending = std::thread::spawn(move || {
        // Six megabytes: more than the sockets between hold, so it may not all be taken.
        for _ in 0..BLOCKS {
            if !sender.send_as_far_as_it_goes(b"NOOP\r\n".repeat(11_000)) {
                break;
            }
        }
    });
    std::thread::sleep(Duration::from_secs(3));
    let grown = peak_memory(&worker) - before;
    assert!(grown < 8_000, "the worker grew by {grown} kB");
    // Read at last, every reply is there.
    let mut replies = 0;
    while replies < BLOCKS * 11_000 {
        assert_eq!(&client.reply()[..3], "250", "reply {replies}");
        replies += 1;
    }
    sending.join().unwrap();
    let grown = peak_memory(&worker) - before;
    assert!(grown < 8_000, "the worker grew by {grown} kB");
}

#[test]
fn an_endless_line_costs_bounded_memory() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    let worker = client.worker();
    let before = peak_memory(&worker);
    let block = vec![b'x'; 1 << 20];
    for _ in 0..30 {
        client.send(&block);
    }
    let reply = client.say("");
    assert!(reply.starts_with("500"), "{reply}");
    let grown = peak_memory(&worker) - before;
    assert!(grown < 4_000, "the worker grew by {grown} kB");
    client.expect("NOOP", "250");
}

#[test]
fn a_large_message_goes_to_the_spool() {
    let server = Server::start(&[RUNNER, crate::server::TAKER]);
    let mut client = server.connect();
    let worker = client.worker();
    let before = peak_memory(&worker);
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: x\r\n\r\n");
    for _ in 0..30 {
        client.send(b"a line of sixteen\r\n".repeat(55_000));
    }
    client.expect(".", "250");
    let grown = peak_memory(&worker) - before;
    assert!(grown < 8_000, "the worker grew by {grown} kB");
}

#[test]
fn control_characters_of_a_client_are_written_out_in_the_log() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    client.send(b"HELO a\x1b[31mb\x07\x7f\tc\r\n");
    client.reply();
    client.send(b"VRFY a\x0bb\r\n");
    client.reply();
    server.wait_for(r"dispatching HELO a\x1b[31mb\x07\x7f");
    server.wait_for(r"dispatching VRFY a\x0bb");
    assert_eq!(server.count("\x1b"), 0);
}
