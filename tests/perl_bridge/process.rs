//! The state of the process that a session's plugins may change, and children that they fork.

use camelpost::hook::Hook;
use camelpost::perl::ffi::interpreter::count_values;

use crate::bridge::Bridge;
use crate::cases;

cases![
    the_environment_is_put_back,
    a_session_has_its_clients_address_in_the_environment,
    signal_handlers_are_put_back,
    separators_and_the_selected_handle_are_put_back,
    umask_and_working_directory_are_put_back,
    hooks_that_a_session_registers_end_with_it,
    a_session_that_registers_hooks_leaves_nothing_behind,
    handles_in_place_of_the_client_are_put_back,
    a_forked_child_that_exits_leaves_its_parent_unharmed,
    a_forked_child_that_dies_leaves_its_parent_unharmed,
    a_forked_child_that_returns_ends_there,
    a_forked_child_that_returns_from_a_nested_hook_ends_there,
    a_forked_child_that_executes_a_program_is_that_program,
];

/// What `look` says before a session that does `change`, in it, and in the next.
fn around(bridge: &Bridge, change: &str, look: &str) -> [String; 3] {
    let before = bridge.session(|| bridge.perl(look));
    let during = bridge.session(|| {
        bridge.perl(change);
        bridge.perl(look)
    });
    let after = bridge.session(|| bridge.perl(look));
    [before, during, after]
}

fn is_put_back(bridge: &Bridge, change: &str, look: &str) {
    let [before, during, after] = around(bridge, change, look);
    assert_ne!(before, during, "{change}");
    assert_eq!(before, after, "{change}");
}

fn the_environment_is_put_back(bridge: &Bridge) {
    let look =
        "join ' ', map { $_ . '=' . (defined $ENV{$_} ? $ENV{$_} : 'undef') } sort keys %ENV";
    for change in [
        "$ENV{NEW} = 1",
        "$ENV{PATH} = '/'",
        "delete $ENV{PATH}",
        "$ENV{NEW} = undef; $ENV{OTHER} = 2",
        "%ENV = ()",
        "$ENV{TCPFOO} = 1",
    ] {
        is_put_back(bridge, change, look);
    }
}

fn a_session_has_its_clients_address_in_the_environment(bridge: &Bridge) {
    let look = "join ' ', $ENV{TCPREMOTEIP}, `echo \\$TCPREMOTEIP` =~ /(\\S+)/";
    for change in [
        "1",
        "$ENV{TCPREMOTEIP} = 'x' x 1000",
        "delete $ENV{TCPREMOTEIP}",
    ] {
        let seen = bridge.session(|| {
            let seen = bridge.perl(look);
            bridge.perl(change);
            seen
        });
        assert_eq!(seen, "192.0.2.1 192.0.2.1");
    }
}

fn signal_handlers_are_put_back(bridge: &Bridge) {
    let look = "join ' ', map { defined $SIG{$_} && length $SIG{$_} && $SIG{$_} ne 'DEFAULT' ? \
        \"$_=$SIG{$_}\" : () } sort keys %SIG";
    for change in [
        "$SIG{USR1} = sub { }",
        "$SIG{CHLD} = 'IGNORE'",
        "$SIG{__WARN__} = sub { die }",
        "$SIG{__DIE__} = sub { }",
        "$SIG{TERM} = 'IGNORE'; $SIG{INT} = 'main::no_such_sub'",
    ] {
        is_put_back(bridge, change, look);
    }
    let mask = "require POSIX; my $set = POSIX::SigSet->new; \
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new, $set); \
        $set->ismember(POSIX::SIGUSR2())";
    let block = "require POSIX; \
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGUSR2()))";
    is_put_back(bridge, block, mask);
}

fn separators_and_the_selected_handle_are_put_back(bridge: &Bridge) {
    let look = "join ' ', map { defined $_ ? ref $_ ? 'ref' : $_ : 'undef' } $/, $\\, $,, select";
    for change in [
        "undef $/",
        "$/ = \\1024",
        "$/ = ''",
        "$\\ = 'x'",
        "$, = '-'",
        "select STDERR",
    ] {
        is_put_back(bridge, change, look);
    }
}

fn umask_and_working_directory_are_put_back(bridge: &Bridge) {
    is_put_back(bridge, "umask 0", "umask");
    is_put_back(bridge, "chdir '/'", "require Cwd; Cwd::getcwd()");
}

fn hooks_that_a_session_registers_end_with_it(bridge: &Bridge) {
    let look = "join ' ', map { my $hook = $_; map { \"$hook:$_->{name}:$_->{code}\" } \
        @{$Qpsmtpd::hooks->{$hook}} } sort keys %$Qpsmtpd::hooks";
    for change in [
        "hook(mail => sub { })",
        "unshift @{$Qpsmtpd::hooks->{logging}}, {name => 'x', code => sub { DECLINED }}",
        "@{$Qpsmtpd::hooks->{help}} = ()",
        "delete $Qpsmtpd::hooks->{help}",
        "$Qpsmtpd::hooks->{help}[0]{code} = sub { }",
    ] {
        is_put_back(bridge, change, look);
    }
}

fn a_session_that_registers_hooks_leaves_nothing_behind(bridge: &Bridge) {
    bridge.perl("$keep = 0; $touch = sub { $_[0]->register_hook('mail', 'touch'); 1 }");
    let many = |count: usize| {
        for _ in 0..count {
            bridge.session(|| bridge.run(Hook::Help).unwrap());
        }
        count_values()
    };
    let before = many(50);
    let after = many(1000);
    assert!(after <= before + 20, "{before} values, then {after}");
}

fn handles_in_place_of_the_client_are_put_back(bridge: &Bridge) {
    let look = "join ' ', fileno(STDIN), fileno(STDOUT), tied *STDOUT ? 'tied' : 'plain', \
        PerlIO::get_layers(*STDIN)";
    for change in [
        "open my $other, '<', '/dev/null'; *STDIN = $other",
        "open my $other, '>', '/dev/null'; *STDOUT = $other",
        "{ package Shout; sub TIEHANDLE { bless [] } sub DESTROY { } } \
         { local *OTHER; tie *OTHER, 'Shout'; *STDOUT = *OTHER{IO} }",
        "binmode STDIN, ':encoding(UTF-8)'",
    ] {
        is_put_back(bridge, change, look);
    }
}

/// A hook that forks and does `child` in the child; the parent waits for it.
fn forks(bridge: &Bridge, child: &str) -> String {
    bridge.perl(&format!(
        r#"our ($name, @after);
        $qp->transaction->body_write("x\n"); $name = $qp->transaction->body_filename;
        our $parent = $$;
        hook(mail => sub {{
            defined(my $pid = fork) or die "no fork: $!";
            if (!$pid) {{ close STDERR; {child} }}
            waitpid $pid, 0; our $status = $?;
            return (DENY, 'parent');
        }});
        hook(data => sub {{ my ($code) = $qp->run_hooks('mail'); kill 'KILL', $$ if $$ != $parent;
            return (DENY, 'parent') }});"#
    ));
    let verdict = bridge.run(Hook::Mail).unwrap();
    assert_eq!(verdict.values, [Some(b"parent".to_vec())]);
    bridge.perl("join ' ', $status >> 8, $status & 127, -e $name ? 'there' : 'gone'")
}

fn a_forked_child_that_exits_leaves_its_parent_unharmed(bridge: &Bridge) {
    assert_eq!(forks(bridge, "exit 3"), "3 0 there");
}

fn a_forked_child_that_dies_leaves_its_parent_unharmed(bridge: &Bridge) {
    assert_eq!(forks(bridge, r#"die "in the child\n""#), "255 0 there");
}

fn a_forked_child_that_returns_ends_there(bridge: &Bridge) {
    assert_eq!(forks(bridge, "return (OK, 'child')"), "0 0 there");
}

fn a_forked_child_that_returns_from_a_nested_hook_ends_there(bridge: &Bridge) {
    forks(bridge, "return (OK, 'child')");
    bridge.run(Hook::Data).unwrap();
    assert_eq!(bridge.perl("$status"), "0");
}

fn a_forked_child_that_executes_a_program_is_that_program(bridge: &Bridge) {
    assert_eq!(forks(bridge, "exec 'sh', '-c', 'exit 7'"), "7 0 there");
    bridge.perl("forget()");
    let system = "system('sh', '-c', 'exit 5') >> 8";
    assert_eq!(bridge.perl(system), "5");
}
