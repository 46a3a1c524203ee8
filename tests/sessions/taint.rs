//! Taint mode, as far as the comparison with the original (dialogue `taint`) cannot show it: the setting,
//! the environment, and values that wait for their session's next turn.

use super::server::{RUNNER, Server, TAKER};

/// Hands the client's name to a shell.
const SHELL: (&str, &str) = (
    "shell",
    r#"
    sub hook_helo {
        my ($self, $transaction, $host) = @_;
        my $said = eval { `echo $host` };
        return (DENY, defined $said ? "said $said" : "died $@");
    }
    "#,
);

#[test]
fn what_a_client_says_reaches_no_shell() {
    let server = Server::start(&[SHELL]);
    let mut client = server.connect();
    let reply = client.expect("HELO one;echo two", "550");
    assert!(
        reply.contains("died Insecure dependency in `` while running with -T switch"),
        "{reply}"
    );
}

#[test]
fn without_taint_mode_it_does_and_the_log_says_so_once() {
    let server = Server::start_configured(&[SHELL], &[], &[], &[("taint", "off\n")]);
    let mut client = server.connect();
    let reply = client.expect("HELO one;echo two", "550");
    assert!(reply.contains("said one"), "{reply}");
    assert_eq!(server.count("taint mode is off"), 1);
}

#[test]
fn modules_come_from_module_dirs_and_not_from_the_environment() {
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let module = |dir: &tempfile::TempDir, name: &str| {
        let text = format!("package {name}; sub name {{ '{name}' }} 1;");
        std::fs::write(dir.path().join(format!("{name}.pm")), text).unwrap();
        dir.path().to_str().unwrap().to_owned()
    };
    let (theirs, ours) = (module(&theirs, "Theirs"), module(&ours, "Ours"));
    let server = Server::start_configured(
        &[RUNNER],
        &[],
        &[("PERL5LIB", &theirs), ("PERL5OPT", "-MTheirs")],
        &[("module_dirs", &ours)],
    );
    let mut client = server.connect();
    assert_eq!(client.run("require Ours; Ours->name"), "Ours");
    assert_eq!(
        client.run("eval { require Theirs; 1 } ? 'found' : 'not found'"),
        "not found"
    );
    assert_eq!(client.run("scalar grep { !ref && $_ eq '.' } @INC"), "0");
    assert_eq!(server.count("PERL5LIB counts for nothing in taint mode"), 1);
}

/// What it keeps is the client's, its own, and a mixture, in each of the places where plugins keep things.
const KEEPER: (&str, &str) = (
    "keeper",
    r#"
    use Scalar::Util ();
    my $lexical = 'own';
    my %table = (name => 'own');
    our @list = ('own', 'own');
    our $package = 'own';
    sub hook_helo {
        my ($self, $transaction, $host) = @_;
        my $value = $host =~ /^own/ ? 'own' : $host;
        $self->{kept} = $lexical = $package = $table{name} = $list[1] = $value;
        $table{made} = [$value];
        $self->connection->notes('kept', $value);
        $self->connection->notes('deep', { value => $value });
        return DECLINED;
    }
    sub hook_noop {
        my $self = shift;
        my $notes = $self->connection;
        my @all = ($self->{kept}, $lexical, $package, $table{name}, $list[0], $list[1], $table{made}[0],
            $notes->notes('kept'), $notes->notes('deep')->{value}, $notes->hello_host);
        return (DENY, join '', map { Scalar::Util::tainted($_) ? 1 : 0 } @all);
    }
    "#,
);

#[test]
fn taint_stays_with_its_value_when_another_session_has_its_turn() {
    let server = Server::start_with(
        &[KEEPER],
        &[
            "--workers",
            "1",
            "--spare-workers",
            "0",
            "--sessions-per-worker",
            "10",
        ],
        &[],
    );
    let mut theirs = server.connect();
    let mut own = server.connect();
    theirs.expect("HELO client.example", "250");
    own.expect("HELO own.example", "250");
    for _ in 0..3 {
        let reply = theirs.expect("NOOP", "500");
        assert!(reply.contains("1111011111"), "{reply}");
        let reply = own.expect("NOOP", "500");
        assert!(reply.contains("0000000001"), "{reply}");
    }
    // And none of it is left for the next.
    drop((theirs, own));
    let mut next = server.connect();
    next.expect("HELO own.example", "250");
    let reply = next.expect("NOOP", "500");
    assert!(reply.contains("0000000001"), "{reply}");
}

/// Children that a plugin has forked end as perl's do, and so does what a hook dies of.
const ENDS: (&str, &str) = (
    "ends",
    r#"
    use POSIX ();
    sub in_child {
        my $code = shift;
        my $pid = fork;
        if (!$pid) { open STDERR, '>', '/dev/null'; $code->(); POSIX::_exit(9) }
        waitpid $pid, 0;
        return $? >> 8;
    }
    sub hook_helo {
        my ($self, $transaction, $host) = @_;
        my @ends = (
            in_child(sub { exit 3 }), in_child(sub { die "of $host\n" }), in_child(sub { `echo $host` }),
            in_child(sub { exec "/bin/echo $host" }), in_child(sub { POSIX::_exit(4) }),
        );
        return (DENY, "ends @ends");
    }
    sub hook_ehlo { my ($self, $transaction, $host) = @_; die "of $host\n" }
    sub hook_noop { exit 0 }
    "#,
);

#[test]
fn forked_children_and_hooks_end_in_taint_mode_as_ever() {
    let server = Server::start_with_one_worker(&[ENDS, TAKER]);
    let mut client = server.connect();
    let reply = client.expect("HELO client.example", "550");
    assert!(reply.contains("ends 3 255 255 255 4"), "{reply}");
    client.expect("EHLO client.example", "250");
    server.wait_for("of client.example");
    client.send(b"NOOP\r\n");
    assert_eq!(client.rest(), "");
    let mut next = server.connect();
    next.expect("EHLO client.example", "250");
}
