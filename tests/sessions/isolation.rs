//! What one session leaves behind is not in the next one of the same worker.

use crate::server::{Client, RUNNER, Server, TAKER};

/// Two sessions of one worker: what `look` says in the second after `change` in the first.
fn next_session(server: &Server, change: &str, look: &str) -> String {
    for _ in 0..20 {
        let mut first = server.connect();
        let worker = first.worker();
        first.run(&format!("{change}; 'changed'"));
        first.expect("QUIT", "221");
        assert_eq!(first.rest(), "");
        // Which worker the supervisor gives a client, and whether it keeps one, is its choice.
        for pause in 1..5 {
            std::thread::sleep(std::time::Duration::from_millis(10 * pause));
            let mut second = server.connect();
            let same = second.worker() == worker;
            let said = second.run(look);
            second.expect("QUIT", "221");
            assert_eq!(second.rest(), "");
            if same {
                return said;
            }
        }
    }
    panic!("no worker served two sessions in a row: {change}");
}

#[test]
fn nothing_of_a_session_is_in_the_next() {
    let server = Server::start_with_one_worker(&[
        (
            "runner",
            &format!("sub register {{ $_[0]{{list}} = [1, [2]] }} {}", RUNNER.1),
        ),
        TAKER,
    ]);
    for (change, look, expected) in [
        (
            "$self->{mine} = 1; push @{$self->{list}[1]}, 3",
            "join ',', exists $self->{mine} ? 1 : 0, @{$self->{list}[1]}",
            "0,2",
        ),
        (
            "$ENV{SECRET} = 'x'; $ENV{PATH} = '/'",
            "join ',', $ENV{SECRET} || 0, $ENV{PATH} eq '/' ? 1 : 0",
            "0,0",
        ),
        (
            "$SIG{USR1} = sub { }; $SIG{CHLD} = 'IGNORE'",
            "join ',', map { ref $SIG{$_} || ($SIG{$_} || '') eq 'IGNORE' ? 1 : 0 } qw(USR1 CHLD)",
            "0,0",
        ),
        (
            "system 'true'; $SIG{CHLD} = 'IGNORE'",
            "system('true')",
            "0",
        ),
        (
            "$SIG{__WARN__} = sub { die }",
            "defined $SIG{__WARN__} ? 1 : 0",
            "0",
        ),
        (
            "chdir '/proc'",
            "require Cwd; Cwd::getcwd() eq '/proc' ? 1 : 0",
            "0",
        ),
        ("umask 0", "umask == 0 ? 1 : 0", "0"),
        ("$/ = 'x'", "$/ eq 'x' ? 1 : 0", "0"),
        ("select STDERR", "select", "main::STDOUT"),
        (
            "close STDIN; close STDOUT; open STDOUT, '>&', 0",
            "join ',', fileno STDIN, fileno STDOUT",
            "0,1",
        ),
        ("alarm 1", "alarm 0", "0"),
        (
            "$self->register_hook('noop', 'hook_rcpt')",
            "scalar @{$qp->hooks->{noop} || []}",
            "0",
        ),
        (
            "$qp->connection->notes(n => 1); $qp->{_mine} = 1",
            "join ',', $qp->connection->notes('n') || 0",
            "0",
        ),
        (
            "$transaction->notes(n => 1)",
            "$transaction->notes('n') || 0",
            "0",
        ),
        (
            "local $_ = 'x'; $qp->{_auth_user} = 'me'",
            "length $qp->auth_user",
            "0",
        ),
    ] {
        assert_eq!(next_session(&server, change, look), expected, "{change}");
    }
}

#[test]
fn a_session_whose_stdin_was_replaced_goes_on_there_and_the_next_client_is_served() {
    let server = Server::start_with_one_worker(&[RUNNER, TAKER]);
    let mut first = server.connect();
    let worker = first.worker();
    first.run("open my $null, '<', '/dev/null'; *STDIN = $null; 'changed'");
    assert_eq!(first.rest(), "", "the end of /dev/null ends the session");
    let mut second = server.connect();
    assert_eq!(second.run("fileno STDIN"), "0");
    assert_ne!(second.worker(), worker, "a taken worker serves nobody else");
    second.expect("QUIT", "221");
}

#[test]
fn three_thousand_sessions_through_few_workers_get_the_right_replies() {
    let server = Server::start_with(
        &[RUNNER, TAKER],
        &[
            "--workers",
            "3",
            "--spare-workers",
            "1",
            "--sessions-per-life",
            "400",
        ],
        &[],
    );
    std::thread::scope(|scope| {
        for client in 0..3 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..1000 {
                    talk(&mut server.connect_silently(), client, number);
                }
            });
        }
    });
}

fn talk(client: &mut Client, which: usize, number: usize) {
    client.send(
        format!(
            "EHLO c{number}.example\r\nMAIL FROM:<a{number}@c{which}.example>\r\n\
             RCPT TO:<b{number}@mx.example>\r\nRUN join ' ', $transaction->sender, \
             $transaction->recipients, $qp->connection->hello_host\r\nQUIT\r\n"
        )
        .as_bytes(),
    );
    let replies: Vec<String> = (0..6).map(|_| client.reply()).collect();
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(
        codes,
        ["220", "250", "250", "250", "250", "221"],
        "{replies:?}"
    );
    let expected =
        format!("250 <a{number}@c{which}.example> <b{number}@mx.example> c{number}.example");
    assert_eq!(replies[4], expected);
    assert_eq!(client.rest(), "");
}

/// Keeps its session's message for a while, in a process of that session's own.
const SLOW: (&str, &str) = (
    "slow",
    "sub hook_data_post { my ($self, $t) = @_; $self->qp->config('me'); select undef, undef, undef, 2.5;
        return DECLINED }
     sub hook_queue { my ($self, $t) = @_; return (OK, -s $t->body_filename ? 'it is there' : 'it is gone') }",
);

#[test]
fn the_message_of_a_session_that_left_its_worker_outlives_that_worker() {
    let server = Server::start_configured(
        &[RUNNER, SLOW, TAKER],
        &["--workers", "1", "--spare-workers", "0"],
        &[],
        &[("plugin_settings", "slow isolate\n")],
    );
    let (mut one, mut other) = (server.connect(), server.connect());
    assert_eq!(one.worker(), other.worker(), "one worker has both");
    one.expect("HELO client.example", "250");
    one.expect("MAIL FROM:<a@client.example>", "250");
    one.expect("RCPT TO:<b@mx.example>", "250");
    one.expect("DATA", "354");
    one.send(format!(
        "Subject: x\r\n\r\n{}.\r\n",
        "line\r\n".repeat(1000)
    ));
    std::thread::sleep(std::time::Duration::from_millis(700));
    // Its worker has nobody any more, and ends.
    other.expect("QUIT", "221");
    server.reload();
    assert_eq!(one.reply(), "250 it is there");
}
