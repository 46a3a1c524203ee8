//! `$$` and the first word of a session's log lines: one number for each connection.

use std::collections::BTreeSet;

use crate::server::{Client, RUNNER, Server, TAKER, line};
use crate::stacked::TAKEOVER;

const ONE: &[&str] = &["--workers", "1", "--spare-workers", "0"];

/// No process has a larger number (PID_MAX_LIMIT).
const LARGEST_PID: u32 = 1 << 22;

fn number(client: &mut Client) -> u32 {
    let number = client.run("$$");
    number.parse().unwrap_or_else(|_| panic!("{number}"))
}

/// Clients of one worker, and that.
fn together<const N: usize>(server: &Server) -> ([Client; N], String) {
    let mut clients = [(); N].map(|()| server.connect());
    let workers: BTreeSet<String> = clients.iter_mut().map(Client::worker).collect();
    assert_eq!(workers.len(), 1);
    (clients, workers.into_iter().next().unwrap())
}

#[test]
fn sessions_of_a_worker_each_have_their_own_number_in_every_turn() {
    let nested = (
        "nested",
        "sub hook_vrfy { my $self = shift; my $outer = $$; \
           $self->qp->run_hooks_no_respond('noop'); return (OK, \"$outer $$ $self->{in_noop}\") } \
         sub hook_noop { $_[0]{in_noop} = $$; return DECLINED }",
    );
    let server = Server::start_with(&[RUNNER, nested], ONE, &[]);
    let (mut clients, _) = together::<3>(&server);
    let numbers = clients.each_mut().map(number);
    assert!(numbers.iter().all(|number| *number > LARGEST_PID));
    assert_eq!(BTreeSet::from(numbers).len(), 3, "{numbers:?}");
    for turn in 0..20 {
        let at = turn * 7 % 3;
        assert_eq!(number(&mut clients[at]), numbers[at]);
        let said = clients[at].expect("VRFY x", "250 ");
        assert_eq!(said, format!("250 {0} {0} {0}", numbers[at]));
    }
}

#[test]
fn a_number_comes_once_over_workers_and_reloads() {
    let three = ["--workers", "3", "--sessions-per-life", "5"];
    let server = Server::start_with(&[RUNNER], &three, &[]);
    let (mut numbers, mut workers) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..60 {
        let mut client = server.connect();
        let number = number(&mut client);
        assert!(number > LARGEST_PID && i32::try_from(number).is_ok());
        assert!(numbers.insert(number), "{number} again");
        workers.insert(client.worker());
        if round == 20 {
            server.reload();
        }
        match round {
            40 => client.send(b"RUN kill KILL => readlink('/proc/self') =~ /(.+)/; sleep 5\r\n"),
            _ => client.send(b"QUIT\r\n"),
        }
        client.rest();
    }
    assert!(workers.len() > 5, "{workers:?}");
}

#[test]
fn outside_of_sessions_and_in_children_it_is_the_process_s_id() {
    let forked = (
        "forked",
        "sub hook_post_fork { $_[0]{forked} = \"$$ \" . readlink '/proc/self'; DECLINED } \
         sub hook_vrfy { return (OK, $_[0]{forked}) }",
    );
    let server = Server::start_with(&[RUNNER, forked], ONE, &[]);
    let ([mut client, mut other], worker) = together::<2>(&server);
    let number = number(&mut client);
    client.expect("VRFY x", &format!("250 {worker} {worker}"));
    let child = "my $pid = open(my $from, '-|') // die; if (!$pid) { print $$; close STDERR; exit } \
                 my $said = <$from>; waitpid $pid, 0; $said == $pid ? 'its own' : $said";
    assert_eq!(client.run(child), "its own");
    other.expect("NOOP", "250");
    assert_eq!(client.run(child), "its own");
    assert_eq!(client.run("qx{echo \\$PPID} + 0"), worker);
    assert_eq!(client.run("$$"), number.to_string());
}

#[test]
fn a_session_keeps_its_number_in_a_process_of_its_own() {
    let keeper = ("keeper", "sub hook_vrfy { return (OK, $$) }");
    let isolated = [("plugin_settings", "keeper isolate\n")];
    let server = Server::start_configured(&[TAKEOVER, keeper, RUNNER], ONE, &[], &isolated);
    let ([mut taken, mut isolated, mut other], worker) = together::<3>(&server);
    let [its, of_other] = [number(&mut taken), number(&mut other)];
    taken.expect("STARTTLS", "220");
    assert_ne!(taken.worker(), worker);
    assert_eq!(number(&mut taken), its);
    let its = number(&mut isolated);
    isolated.expect("VRFY x", &format!("250 {its}"));
    assert_ne!(isolated.worker(), worker);
    assert_eq!(number(&mut isolated), its);
    assert_eq!(number(&mut other), of_other);
    isolated.expect("NOOP apart", "250");
    server.wait_for(&format!("{its} dispatching NOOP apart"));
}

/// Prints its lines as the original's logging plugins do.
const LOGGER: (&str, &str) = (
    "logger",
    "sub hook_logging { my ($self, $t, @line) = @_; print STDERR \"$$ told @line[3 .. $#line]\\n\"; \
       return DECLINED }",
);

#[test]
fn log_lines_begin_with_the_number_of_their_session() {
    for (plugins, told) in [(&[RUNNER][..], ""), (&[LOGGER, RUNNER], "told ")] {
        let server = Server::start_with(plugins, ONE, &[]);
        let (mut clients, _) = together::<2>(&server);
        let numbers = clients.each_mut().map(number);
        for word in ["one", "two"] {
            for (client, number) in clients.iter_mut().zip(numbers) {
                let word = format!("{word}{number}");
                client.expect(&format!("NOOP {word}"), "250");
                client.run(&format!("$self->log(LOGERROR, 'a plugin in {word}')"));
                server.wait_for(&format!("{number} {told}dispatching NOOP {word}"));
                let line = server.wait_for(&format!("a plugin in {word}"));
                assert!(line.starts_with(&format!("{number} ")), "{line}");
            }
        }
        // What is Rust's own, too.
        clients[0].send(b"RUN exit\r\n");
        server.wait_for(&format!("{} plugin runner running the", numbers[0]));
    }
}

#[test]
fn with_log_pid_worker_lines_have_the_worker_s_id_and_plugins_the_number() {
    let args = [ONE, &["--log-pid", "worker"]].concat();
    for (plugins, told) in [(&[RUNNER][..], ""), (&[LOGGER, RUNNER], "told ")] {
        let server = Server::start_with(plugins, &args, &[]);
        let ([mut one, mut other], worker) = together::<2>(&server);
        for client in [&mut one, &mut other] {
            let its = number(client);
            assert!(its > LARGEST_PID);
            client.expect(&format!("NOOP {its}"), "250");
            server.wait_for(&format!("{worker} {told}dispatching NOOP {its}"));
            let inner = "my $was = $$; $self->log(LOGERROR, 'x'); \"$was $$\"";
            assert_eq!(client.run(inner), format!("{its} {its}"));
        }
    }
}

#[test]
fn a_lock_that_another_session_holds_is_not_taken_for_a_dead_one_s() {
    let server = Server::start_with(&[RUNNER], &["--workers", "2"], &[]);
    let (mut one, mut other) = (server.connect(), server.connect());
    let [first, second] = [number(&mut one), number(&mut other)];
    for (signal, targets, found) in [
        ("0", format!("{second}"), "1"),
        ("'ZERO'", format!("'{second}', $$, {first}"), "3"),
        (
            "0",
            format!("{second}, readlink('/proc/self') =~ /(.+)/"),
            "2",
        ),
        ("0", "4194304".to_owned(), "0"),
        ("0", "2147483648".to_owned(), "0"),
        ("0", String::new(), "0"),
        ("'TERM'", format!("{second}, $$"), "0"),
    ] {
        assert_eq!(one.run(&format!("kill {signal}, ({targets})")), found);
    }
    assert_eq!(number(&mut other), second);
    // The module that greylisting locks its database with; LOCK_EX and LOCK_NB.
    let lock = "require File::NFSLock; our $lock = File::NFSLock->new('locked', 2 | 4); \
                $lock ? 'held' : 'not held'";
    assert_eq!(one.run(lock), "held");
    assert_eq!(other.run(lock), "not held");
    assert_eq!(one.run("our $lock->unlock ? 'free' : 'held'"), "free");
    assert_eq!(other.run(lock), "held");
}

#[test]
fn temporary_files_that_were_to_last_as_long_as_the_process_go_with_the_session() {
    let server = Server::start_with(&[RUNNER, TAKER], ONE, &[]);
    let ([mut one, mut other], _) = together::<2>(&server);
    let make = "require File::Temp; my ($h, $name) = File::Temp::tempfile(UNLINK => 1, DIR => '.'); \
                File::Temp::tempdir(CLEANUP => 1, DIR => '.') . \" $name\"";
    let there = |names: &str| {
        let mut names = names.split(' ');
        names.all(|name| server.site.root().join(name).exists())
    };
    let [first, second] = [one.run(make), other.run(make)];
    assert!(there(&first) && there(&second));
    one.expect("QUIT", "221");
    one.rest();
    let gone = |names: &str| names.split(' ').all(|name| !there(name));
    assert!(gone(&first) && there(&second), "{first} {second}");
    other.expect("QUIT", "221");
    other.rest();
    assert!(gone(&second));
}

#[test]
fn lines_of_sessions_without_perl_begin_with_their_numbers() {
    let native = [line("native/count_recipients max 50")];
    let server = Server::start_with(&native, ONE, &[]);
    let mut clients = [server.connect(), server.connect()];
    let mut words = BTreeSet::new();
    for turn in 0..6 {
        let word = format!("turn{turn}");
        clients[turn % 2].expect(&format!("NOOP {word}"), "250");
        let line = server.wait_for(&format!("dispatching NOOP {word}"));
        let number: u32 = line.split(' ').next().unwrap().parse().unwrap();
        assert!(number > LARGEST_PID, "{line}");
        words.insert((turn % 2, number));
    }
    assert_eq!(words.len(), 2, "{words:?}");
}
