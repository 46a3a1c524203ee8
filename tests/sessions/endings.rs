//! How sessions end: by exit, death, a crash, disconnect, or because the client is gone.

use std::time::Duration;

use crate::server::{RUNNER, Server, TAKER, line, until};

fn the_next_client_is_served(server: &Server) {
    let mut client = server.connect();
    client.expect("NOOP", "250");
    client.expect("QUIT", "221");
}

#[test]
fn exit_in_a_hook_closes_the_connection() {
    let nested = (
        "nested",
        "sub hook_noop { exit 3 } sub hook_vrfy { my $self = shift; \
           eval { $self->qp->run_hooks('noop') }; $self->qp->respond(250, 'after exit'); return DONE }",
    );
    let server = Server::start(&[RUNNER, nested]);
    for line in [
        "NOOP",
        "VRFY x",
        "RUN exit",
        "RUN print \"250 first\\r\\n\"; exit",
        "RUN $| = 0; print \"250 first\\r\\n\"; exit",
        "RUN $SIG{ALRM} = sub { exit }; alarm 1; sleep 5",
        "RUN my @x = sort { $qp->run_hooks('noop'); 0 } 1 .. 3",
    ] {
        let mut client = server.connect();
        client.send(format!("{line}\r\nHELP\r\n").as_bytes());
        let rest = client.rest();
        let expected = if line.contains("first") {
            "250 first\r\n"
        } else {
            ""
        };
        assert_eq!(rest, expected, "{line}");
    }
    let mut client = server.connect();
    client.expect("HELP", "214");
}

#[test]
fn exit_in_a_logging_plugin_during_respond_closes_the_connection() {
    let logger = (
        "logger",
        "sub hook_logging { no warnings; exit 1 if \"@_\" =~ /leave now/; return OK }",
    );
    let server = Server::start(&[logger, RUNNER]);
    let mut client = server.connect();
    client.send(b"RUN $qp->respond(250, 'leave now'); $qp->respond(250, 'never')\r\nNOOP\r\n");
    let rest = client.rest();
    assert!(!rest.contains("never") && !rest.contains("OK"), "{rest}");
    the_next_client_is_served(&server);
}

#[test]
fn a_plugin_that_dies_costs_its_verdict_only() {
    let dies = (
        "dies",
        "sub hook_noop { die {why => 'an object'} } sub hook_vrfy { die \"why\\n\" }",
    );
    let server = Server::start(&[dies]);
    let mut client = server.connect();
    client.expect("NOOP", "250");
    client.expect("VRFY x", "252");
    server.wait_for("FATAL PLUGIN ERROR [dies]:  why");
    client.expect("QUIT", "221");
}

#[test]
fn a_plugin_that_closes_stdin_loses_no_command_that_was_read_ahead() {
    let server = Server::start(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.send(b"EHLO there\r\nRUN close STDIN; 7\r\nNOOP\r\nMAIL FROM:<a@b.example>\r\n");
    for code in ["250", "250 7", "250", "250"] {
        let reply = client.reply();
        assert!(reply.starts_with(code), "{reply}");
    }
    client.expect("RCPT TO:<c@mx.example>", "250");
    client.expect("QUIT", "221");
    the_next_client_is_served(&server);
}

#[test]
fn a_plugin_that_closes_all_handles_costs_no_line_of_the_log() {
    let server = Server::start_with_one_worker(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("RUN close STDIN; close STDOUT; close STDERR; 7", "250 7");
    client.expect("NOOP and", "250");
    server.wait_for("dispatching NOOP and");
    client.expect("HELO there", "250");
    client.expect("MAIL FROM:<a@b.example>", "250");
    client.expect("RCPT TO:<c@mx.example>", "250");
    client.expect("DATA", "354");
    // In the spool: its file must not be given one of their numbers.
    client.send(b"a line of sixteen\r\n".repeat(1000));
    client.expect(".", "250 Taken");
    client.expect("QUIT", "221");
    assert_eq!(client.rest(), "");
    let mut next = server.connect();
    next.expect("MAIL FROM:<a@b.example>", "503");
    next.expect("QUIT", "221");
    assert_eq!(next.rest(), "");
}

#[test]
fn a_worker_that_crashes_takes_only_its_client_along() {
    let server = Server::start(&[RUNNER]);
    let mut other = server.connect();
    for signal in ["SEGV", "KILL", "ABRT"] {
        let mut client = server.connect();
        client.send(
            format!(
                "RUN kill('{signal}', readlink('/proc/self') =~ /(.+)/) for 1 .. 2; sleep 5\r\n"
            )
            .as_bytes(),
        );
        let rest = client.rest();
        assert!(
            rest.starts_with("421 ") && rest.lines().count() == 1,
            "{signal}: {rest}"
        );
    }
    other.expect("NOOP", "250");
    the_next_client_is_served(&server);
}

#[test]
fn disconnect_says_what_was_said_and_ends_the_session() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    client.send(
        b"RUN $qp->respond(250, 'bye'); $qp->disconnect; $qp->respond(250, 'never')\r\nNOOP\r\n",
    );
    let rest = client.rest();
    assert!(
        rest.starts_with("250 bye\r\n") && !rest.contains("never"),
        "{rest}"
    );
    the_next_client_is_served(&server);
}

#[test]
fn a_forked_child_leaves_the_session_to_its_parent() {
    let server = Server::start_with_one_worker(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    for child in [
        "exit 3",
        "die 'in the child'",
        "$qp->disconnect",
        "$qp->run_hooks('noop')",
        "$qp->reset_transaction",
        "exec 'true'",
        "kill 'KILL', $$",
        "return 'child'",
    ] {
        client.expect("MAIL FROM:<a@client.example>", "250");
        let spooled = client.run(&format!(
            "$transaction->body_write('x' x 2000); my $pid = fork; \
             if (!$pid) {{ close STDERR; {child}; exit }} \
             waitpid $pid, 0; -e $transaction->body_filename ? 'parent' : 'file is gone'"
        ));
        // A child that comes back from the evaluated text replies before its parent does.
        let spooled = match spooled.contains("child") {
            true => client.reply().replace("250 ", ""),
            false => spooled,
        };
        assert_eq!(spooled, "parent", "{child}");
        client.expect("RSET", "250");
    }
    client.expect("QUIT", "221");
    the_next_client_is_served(&server);
}

#[test]
fn a_client_that_vanishes_in_data_leaves_no_file() {
    let server = Server::start(&[TAKER, line("queue/maildir @ROOT@/Maildir")]);
    for size in [10, 100_000] {
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        client.expect("MAIL FROM:<a@client.example>", "250");
        client.expect("RCPT TO:<b@mx.example>", "250");
        client.expect("DATA", "354");
        client.send(b"Subject: x\r\n\r\n");
        client.send("x\r\n".repeat(size).as_bytes());
        if size > 1000 {
            until("a spool file", || !server.files("spool").is_empty());
        }
        drop(client);
        until("no file in the spool", || server.files("spool").is_empty());
    }
    the_next_client_is_served(&server);
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.files("Maildir").is_empty());
    assert!(server.files("spool").is_empty());
}

#[test]
fn a_client_of_a_worker_that_dies_before_it_begins_gets_another_worker() {
    // The first two workers end while they have a client that they have not begun with.
    let leaves = (
        "leaves",
        "sub hook_post_fork { for my $n (1, 2) { \
           next unless mkdir \"began$n\"; select undef, undef, undef, 0.3; exit 3 } DECLINED }",
    );
    let one_worker = ["--workers", "1", "--spare-workers", "0"];
    let server = Server::start_with(&[leaves], &one_worker, &[]);
    the_next_client_is_served(&server);
    until("both ends in the log", || {
        server.count("ended with status 1") == 2
    });
    assert_eq!(server.count("got a 421"), 0);
}

#[test]
fn a_client_whose_workers_all_die_before_they_begin_gets_a_421() {
    let leaves = (
        "leaves",
        "sub hook_post_fork { select undef, undef, undef, 0.3; exit 3 }",
    );
    let one_worker = ["--workers", "1", "--spare-workers", "0"];
    let server = Server::start_with(&[leaves], &one_worker, &[]);
    let mut client = server.connect_silently();
    assert_eq!(
        client.rest(),
        "421 4.3.0 Internal error, closing connection\r\n"
    );
    // The client has its reply before the supervisor has written what became of it.
    server.wait_for("got a 421");
    assert_eq!(server.count("before it began with 1 clients"), 3);
    assert_eq!(server.count("got a 421"), 1);
}

#[test]
fn an_error_that_a_plugin_logs_is_in_the_log() {
    let broken = (
        "broken",
        "sub hook_noop { my $self = shift; eval { die \"broken once\\n\" }; $self->log(LOGERROR, $@); \
           DECLINED }",
    );
    let loud = ("loud loglevel +1", "");
    let loud_file = (
        "loud",
        "sub hook_noop { my $self = shift; eval { die \"broken twice\\n\" }; $self->log(LOGERROR, $@); \
           DECLINED }",
    );
    let logger = (
        "logger",
        "sub hook_logging { my ($self, $t, @line) = @_; print STDERR \"@line[3 .. $#line]\\n\"; DECLINED }",
    );
    for plugins in [&[broken, loud_file][..], &[logger, broken, loud_file, loud]] {
        let server = Server::start(plugins);
        let mut client = server.connect();
        client.expect("NOOP", "250");
        client.expect("QUIT", "221");
        server.wait_for("broken once");
        server.wait_for("broken twice");
    }
}

fn ended(worker: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{worker}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn a_worker_whose_plugin_hangs_does_not_outlive_its_supervisor() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    let worker = client.worker();
    client.send_line("RUN open my $file, '>', 'hangs'; 1 while 1");
    until("the plugin hangs", || server.site.path("hangs").exists());
    server.kill();
    until("the worker has ended", || ended(&worker));
}

#[test]
fn a_session_in_a_process_of_its_own_does_not_outlive_a_killed_supervisor_either() {
    let config = [
        ("plugins", "runner\n"),
        ("plugin_settings", "runner isolate\n"),
    ];
    let args = ["--workers", "2", "--spare-workers", "0"];
    let server = Server::start_configured(&[RUNNER], &args, &[], &config);
    // Three in two workers: they share them, and the plugin is to have a process for each.
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let processes: Vec<String> = clients.iter_mut().map(|client| client.worker()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send_line(&format!(
            "RUN open my $file, '>', 'hangs{number}'; 1 while 1"
        ));
    }
    until("the plugin hangs", || {
        (0..3).all(|number| server.site.path(&format!("hangs{number}")).exists())
    });
    server.kill();
    until("all have ended", || {
        processes.iter().all(|process| ended(process))
    });
}

#[test]
fn a_worker_whose_supervisor_is_gone_tells_its_clients_and_ends() {
    let goodbye = "421 4.3.2 Service is shutting down, closing connection\r\n";
    for told_to_stop in [false, true] {
        let server = Server::start_with_one_worker(&[RUNNER, TAKER]);
        let mut idle = server.connect();
        let worker = idle.worker();
        let mut sends = server.connect();
        sends.expect("EHLO there", "250");
        sends.expect("MAIL FROM:<a@example.org>", "250");
        sends.expect("RCPT TO:<b@mx.example>", "250");
        sends.expect("DATA", "354");
        if told_to_stop {
            server.tell_to_stop();
            server.wait_for("open sessions may go on");
        }
        server.kill();
        assert_eq!(idle.rest(), goodbye);
        assert_eq!(sends.rest(), goodbye);
        until("the worker has ended", || ended(&worker));
    }
}
