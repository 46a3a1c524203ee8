//! Several sessions in one worker: their Perl code runs in turns, and each finds what it would
//! find if it were alone.

use crate::server::{Client, RUNNER, Server, TAKER, line, until};

const ONE: &[&str] = &["--workers", "1", "--spare-workers", "0"];

fn start(plugins: &[(&str, &str)], more: &[&str]) -> Server {
    Server::start_with(plugins, &[ONE, more].concat(), &[])
}

/// Clients of one worker.
fn together<const N: usize>(server: &Server) -> [Client; N] {
    let mut clients = [(); N].map(|()| server.connect());
    let mut workers = Vec::new();
    for client in &mut clients {
        client.expect("HELO client.example", "250");
        workers.push(client.worker());
    }
    assert!(workers.iter().all(|pid| *pid == workers[0]), "{workers:?}");
    clients
}

#[test]
fn what_one_session_changes_is_its_own_and_there_again_in_its_next_turn() {
    let runner = format!(
        "sub register {{ $_[0]{{list}} = [1, [2]] }} {}
         sub hook_other {{ return DECLINED }}",
        RUNNER.1
    );
    let server = start(&[("runner", &runner), TAKER], &[]);
    for (change, look, others, own) in [
        (
            "$self->{mine} = 1; push @{$self->{list}[1]}, 3",
            "join ',', exists $self->{mine} ? 1 : 0, @{$self->{list}[1]}",
            "0,2",
            "1,2,3",
        ),
        ("$qp->{mine} = 1", "$qp->{mine} || 0", "0", "1"),
        (
            "$qp->connection->notes('mine', [5]); $self->transaction->notes('mine', 6)",
            "join ',', ($qp->connection->notes('mine') || [0])->[0], \
             $self->transaction->notes('mine') || 0",
            "0,0",
            "5,6",
        ),
        (
            "$ENV{SECRET} = 'x'; $ENV{PATH} = '/'",
            "join ',', $ENV{SECRET} || 0, $ENV{PATH} eq '/' ? 1 : 0",
            "0,0",
            "x,1",
        ),
        (
            "$SIG{USR1} = sub { }; $SIG{__WARN__} = sub { }",
            "join ',', map { ref $SIG{$_} || 0 } qw(USR1 __WARN__)",
            "0,0",
            "CODE,CODE",
        ),
        (
            "chdir '/proc'; umask 0",
            "require Cwd; my $there = Cwd::getcwd() eq '/proc' ? 1 : 0; \
             join ',', $there, umask == 0 ? 1 : 0",
            "0,0",
            "1,1",
        ),
        (
            "$/ = 'x'; $, = 'y'; $0 = 'z'",
            "my @all = map { defined $_ ? $_ : '' } $/, $,, $0; $, = ''; \
             $, = 'y' if $all[1]; sprintf '%d%d%d', $all[0] eq 'x', $all[1] eq 'y', $all[2] eq 'z'",
            "000",
            "111",
        ),
        ("select STDERR", "select", "main::STDOUT", "main::STDERR"),
        (
            "$self->register_hook('noop', 'hook_other')",
            "scalar @{$qp->hooks->{noop} || []}",
            "0",
            "1",
        ),
    ] {
        let [mut one, mut other] = together(&server);
        one.run(&format!("{change}; 'changed'"));
        assert_eq!(other.run(look), others, "the other after: {change}");
        assert_eq!(one.run(look), own, "its own after: {change}");
        assert_eq!(other.run(look), others, "the other again after: {change}");
        one.expect("QUIT", "221");
        assert_eq!(one.rest(), "");
        assert_eq!(other.run(look), others, "after the end of it: {change}");
        let mut next = server.connect();
        assert_eq!(next.run(look), others, "the next one after: {change}");
    }
}

#[test]
fn each_finds_its_own_client_on_stdin_stdout_and_descriptors_0_and_1() {
    let server = start(&[RUNNER], &[]);
    let [mut one, mut other] = together(&server);
    for client in [&mut one, &mut other] {
        client.send(b"RUN print '250-printed', chr 13, chr 10; scalar <STDIN>\r\nmy own line\r\n");
        assert_eq!(client.reply(), "250-printed\n250 my own line");
        client.send(b"RUN system q(printf '250-of a program\\r\\n'); scalar <STDIN>\r\nnext\r\n");
        assert_eq!(client.reply(), "250-of a program\n250 next");
    }
    assert_eq!(one.run("$ENV{TCPREMOTEIP}"), "127.0.0.1");
    other.expect("QUIT", "221");
    one.expect("QUIT", "221");
}

#[test]
fn messages_of_sessions_side_by_side_do_not_mix() {
    let sink = r#"
    sub hook_rcpt { return OK }
    sub hook_queue {
        my ($self, $transaction) = @_;
        my @body;
        $transaction->body_resetpos;
        while (my $line = $transaction->body_getline) { push @body, $line }
        my $all = join '|', $transaction->sender->address,
            (map { $_->address } $transaction->recipients),
            $transaction->header->get('Subject'), @body;
        $all =~ s/[\r\n]+//g;
        return (OK, $all);
    }"#;
    let server = Server::start_with(
        &[("sink", sink)],
        &["--workers", "2", "--spare-workers", "0"],
        &[],
    );
    let mut clients: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.expect(&format!("HELO c{number}"), "250");
    }
    for round in 0..3 {
        let each = |clients: &mut Vec<Client>, say: &dyn Fn(usize) -> String, code: &str| {
            for (number, client) in clients.iter_mut().enumerate() {
                client.expect(&say(number), code);
            }
        };
        each(
            &mut clients,
            &|number| format!("MAIL FROM:<s{number}@r{round}>"),
            "250",
        );
        each(
            &mut clients,
            &|number| format!("RCPT TO:<t{number}@r{round}>"),
            "250",
        );
        each(&mut clients, &|_| "DATA".to_owned(), "354");
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("Subject: m{number}\r\n\r\n").as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate().rev() {
            // Larger than size_threshold: a spool file for each.
            let line = format!("{number} {}\r\n", "x".repeat(70));
            client.send(line.repeat(20).as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let reply = client.expect(".", "250");
            let begins = format!("s{number}@r{round}|t{number}@r{round}|m{number}|");
            assert!(reply.contains(&begins), "{begins}: {reply}");
            let body = reply.rsplit_once(&begins).unwrap().1;
            let own = format!("{number} ");
            assert!(
                body.split('|')
                    .all(|line| line.is_empty() || line.starts_with(&own))
            );
        }
    }
    until("no spool file", || server.files("spool").is_empty());
}

#[test]
fn an_exit_ends_its_session_and_the_others_of_the_worker_go_on() {
    let server = start(&[RUNNER, TAKER], &[]);
    let [mut one, mut other, mut third] = together(&server);
    other.run("$self->{mine} = 7; 1");
    third.expect("MAIL FROM:<a@example.org>", "250");
    let worker = other.worker();
    one.send(b"RUN exit 3\r\n");
    assert_eq!(one.rest(), "");
    assert_eq!(other.run("$self->{mine}"), "7");
    third.expect("RCPT TO:<b@example.org>", "250");
    third.expect("DATA", "354");
    third.expect("Subject: x\r\n\r\nx\r\n.", "250");
    let mut next = server.connect();
    assert_ne!(next.worker(), worker, "the worker takes no session more");
    assert_eq!(other.worker(), worker);
    for client in [&mut other, &mut third, &mut next] {
        client.expect("QUIT", "221");
        assert_eq!(client.rest(), "");
    }
}

#[test]
fn a_crash_costs_the_sessions_of_its_worker_and_each_client_gets_a_421() {
    let server = start(&[RUNNER], &[]);
    let [mut one, mut other] = together(&server);
    one.send(b"RUN kill 'KILL', readlink('/proc/self') =~ /(.+)/; sleep 5\r\n");
    for client in [&mut one, &mut other] {
        let rest = client.rest();
        assert!(
            rest.starts_with("421 ") && rest.lines().count() == 1,
            "{rest}"
        );
    }
    server.connect().expect("QUIT", "221");
}

#[test]
fn with_one_session_per_worker_each_has_its_own() {
    let server = start(&[RUNNER], &["--sessions-per-worker", "1"]);
    let mut clients = [(); 3].map(|()| server.connect());
    let mut workers = clients.each_mut().map(|client| client.worker()).to_vec();
    workers.sort();
    workers.dedup();
    assert_eq!(workers.len(), 3);
    clients[0].send(b"RUN kill 'KILL', readlink('/proc/self') =~ /(.+)/; sleep 5\r\n");
    assert!(clients[0].rest().starts_with("421 "));
    clients[1].expect("NOOP", "250");
    clients[2].expect("NOOP", "250");
}

#[test]
fn sessions_spread_over_the_workers_before_they_share_them() {
    let server = Server::start_with(&[RUNNER], &["--workers", "3", "--spare-workers", "0"], &[]);
    let mut clients = [(); 9].map(|()| server.connect());
    let workers = clients.each_mut().map(|client| client.worker());
    let count = |pid: &String| workers.iter().filter(|other| *other == pid).count();
    let counts: Vec<usize> = workers.iter().map(count).collect();
    assert_eq!(counts, [3; 9], "{workers:?}");
    let distinct: std::collections::BTreeSet<_> = workers[..3].iter().collect();
    assert_eq!(distinct.len(), 3);
}

/// Takes the client over as plugin `tls` does: through a handle of its own on the socket.
pub const TAKEOVER: (&str, &str) = (
    "takeover",
    r#"
    sub hook_unrecognized_command {
        my ($self, $transaction, $command) = @_;
        return DECLINED if lc $command ne 'starttls';
        $self->qp->respond(220, 'Go ahead ' . readlink '/proc/self');
        open my $in, '<&=', 0 or die;
        open my $own, '+<&', $in or die;
        $own->autoflush(1);
        *STDIN = *STDOUT = $own;
        $self->connection->notes('tls_enabled', 1);
        return DONE;
    }"#,
);

#[test]
fn a_session_whose_plugin_takes_the_client_over_goes_on_in_a_process_of_its_own() {
    let server = start(&[TAKEOVER, RUNNER, TAKER], &[]);
    let [mut one, mut other] = together(&server);
    let worker = other.worker();
    one.run("$self->{mine} = 7; $qp->connection->notes('mine', [8]); 1");
    let reply = one.expect("STARTTLS", "220");
    assert!(!reply.ends_with(&worker), "{reply} in worker {worker}");
    // Silent as it is, it keeps nobody waiting.
    assert_eq!(other.worker(), worker);
    let look = "join ',', $self->{mine}, $qp->connection->notes('mine')->[0]";
    assert_eq!(one.run(look), "7,8");
    assert_ne!(one.worker(), worker);
    one.expect("MAIL FROM:<a@example.org>", "250");
    other.expect("MAIL FROM:<b@example.org>", "250");
    for client in [&mut one, &mut other] {
        client.expect("RCPT TO:<c@example.org>", "250");
        client.expect("DATA", "354");
        client.expect("Subject: x\r\n\r\nx\r\n.", "250");
    }
    let process = one.worker();
    one.expect("QUIT", "221");
    assert_eq!(one.rest(), "");
    let there = format!("/proc/{process}");
    until("the end of the process", || {
        !std::path::Path::new(&there).exists()
    });
    assert_eq!(other.worker(), worker);
}

#[test]
fn a_session_alone_in_its_worker_is_taken_over_there_and_no_other_comes() {
    let server = start(&[TAKEOVER, RUNNER], &[]);
    let mut one = server.connect();
    let worker = one.worker();
    let reply = one.expect("STARTTLS", "220");
    assert!(reply.ends_with(&worker), "{reply} in worker {worker}");
    let mut other = server.connect();
    assert_ne!(other.worker(), worker);
    one.expect("QUIT", "221");
    other.expect("QUIT", "221");
}

#[test]
fn where_no_process_is_free_a_session_to_be_taken_over_waits_for_one() {
    let server = start(&[TAKEOVER, RUNNER], &["--extra-processes", "1"]);
    let [mut one, mut other, mut third] = together(&server);
    one.expect("STARTTLS", "220");
    other.send(b"STARTTLS\r\n");
    server.wait_for("waits for a process of its own");
    third.expect("NOOP", "250");
    one.expect("QUIT", "221");
    assert!(other.reply().starts_with("220 "));
    third.expect("NOOP", "250");
    other.expect("QUIT", "221");
}

#[test]
fn a_hook_that_is_seen_to_run_long_is_run_in_a_process_of_its_own() {
    let slow = (
        "slow",
        "sub hook_data_post { select undef, undef, undef, 0.2; return DECLINED }",
    );
    let server = start(&[slow, RUNNER, TAKER], &[]);
    let send = |client: &mut Client, text: &str| {
        client.expect("MAIL FROM:<a@example.org>", "250");
        client.expect("RCPT TO:<b@example.org>", "250");
        client.expect("DATA", "354");
        client.expect(&format!("Subject: x\r\n\r\n{text}\r\n."), "250")
    };
    let [mut one, mut other] = together(&server);
    let worker = other.worker();
    for _ in 0..3 {
        send(&mut one, "x");
    }
    assert_eq!(one.worker(), worker);
    // The supervisor looks at the sums from time to time.
    until("a process of its own", || {
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        send(&mut client, &"a long line\r\n".repeat(200));
        let apart = client.worker() != worker;
        send(&mut client, "the next one in the same session");
        client.expect("QUIT", "221");
        apart
    });
    assert_eq!(other.worker(), worker);
    until("no spool file", || server.files("spool").is_empty());
}

#[test]
fn a_client_that_comes_while_all_workers_run_perl_gets_another_one() {
    let waiter = (
        "waiter",
        "sub hook_noop { mkdir '@ROOT@/runs'; select undef, undef, undef, 0.02 until -e '@ROOT@/go'; \
           return DECLINED }",
    );
    let server = start(&[waiter, RUNNER], &[]);
    std::fs::write(
        server.site.root().join("plugins/waiter"),
        waiter
            .1
            .replace("@ROOT@", server.site.root().to_str().unwrap()),
    )
    .unwrap();
    server.reload();
    let mut one = server.connect();
    let worker = one.worker();
    one.send(b"NOOP\r\n");
    until("the hook runs", || server.site.root().join("runs").exists());
    let mut other = server.connect();
    assert_ne!(other.worker(), worker);
    std::fs::write(server.site.root().join("go"), "").unwrap();
    assert!(one.reply().starts_with("250"));
}

#[test]
fn an_isolated_plugin_has_a_process_for_each_session() {
    let keeper = (
        "keeper",
        "my $count; sub hook_vrfy { return (OK, ++$count . ' ' . readlink '/proc/self') }",
    );
    let server = Server::start_configured(
        &[keeper, RUNNER],
        ONE,
        &[],
        &[("plugin_settings", "keeper isolate\n")],
    );
    let [mut one, mut other, mut third] = together(&server);
    let worker = third.worker();
    for client in [&mut one, &mut other] {
        let reply = client.expect("VRFY x", "250 1 ");
        assert!(!reply.ends_with(&worker));
    }
    third.expect("VRFY x", "250 1 ");
}

#[test]
fn what_a_session_drops_is_destroyed_in_its_own_turn() {
    let witness = (
        "witness",
        r#"
        package Witness;
        sub DESTROY { $_[0][0]->log(1, 'gone: ' . ($_[0][0]->connection->hello_host || '?') . " of $_[0][1]") }
        package Qpsmtpd::Plugin::witness;
        sub hook_mail {
            my ($self, $transaction) = @_;
            my $name = $self->qp->connection->hello_host;
            $transaction->notes('witness', bless [$self->qp, $name], 'Witness');
            return DECLINED;
        }"#,
    );
    let server = start(&[witness, line("")], &[]);
    let mut one = server.connect();
    let mut other = server.connect();
    one.expect("HELO one", "250");
    other.expect("HELO other", "250");
    for client in [&mut one, &mut other] {
        client.expect("MAIL FROM:<a@example.org>", "250");
    }
    one.send(b"RSET\r\n");
    other.send(b"RSET\r\n");
    assert!(one.reply().starts_with("250"));
    assert!(other.reply().starts_with("250"));
    server.wait_for("gone: one of one");
    server.wait_for("gone: other of other");
    assert_eq!(server.count("gone: "), 2);
}
