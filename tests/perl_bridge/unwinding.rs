//! die and exit, at any depth.

use camelpost::hook::{Code, Hook};
use camelpost::perl::release_dropped;

use crate::bridge::{Bridge, said};
use crate::cases;

cases![
    a_plugin_that_dies_is_passed_over_and_the_error_is_logged,
    a_plugin_may_die_with_an_object,
    an_object_that_dies_on_its_way_to_a_text_is_passed_over_too,
    a_plugin_that_dies_inside_a_nested_hook_leaves_the_outer_one_running,
    exit_at_the_outermost_level_ends_the_call_with_its_status,
    exit_inside_a_nested_hook_ends_every_level,
    exit_inside_sort_and_map_ends_every_level,
    exit_in_a_destructor_ends_the_call,
    exit_in_a_destructor_that_runs_inside_a_method_ends_every_level,
    exit_on_the_way_to_an_errors_text_ends_every_level,
    exit_in_a_logging_hook_ends_every_level,
    local_values_are_back_after_exit,
    a_destructor_that_dies_is_only_a_warning,
    objects_are_destroyed_when_exit_leaves_their_scope,
];

fn after(bridge: &Bridge) {
    bridge.perl("$leaving = 0");
    assert_eq!(bridge.perl("$after || 0"), "0", "Perl code ran after exit");
    assert_eq!(bridge.perl("join ',', map { $_ * 2 } 1 .. 3"), "2,4,6");
    bridge.forget();
    bridge.perl("hook(mail => sub { (DENY, 'no') })");
    assert_eq!(bridge.run(Hook::Mail).unwrap().code, Code::Deny);
    bridge.forget();
}

fn ends_with(bridge: &Bridge, hook: Hook, how: &str) {
    let ended = bridge.run(hook).map(|_| ()).map_err(said);
    assert_eq!(ended, Err(how.to_owned()));
    after(bridge);
}

fn a_plugin_that_dies_is_passed_over_and_the_error_is_logged(bridge: &Bridge) {
    bridge.perl(r#"hook(mail => sub { die "why\n" }, 'dies'); hook(mail => sub { (DENY, 'no') })"#);
    assert_eq!(bridge.run(Hook::Mail).unwrap().code, Code::Deny);
    let line = "scalar grep { /FATAL PLUGIN ERROR \\[dies\\]: +why/ } @log";
    assert_eq!(bridge.perl(line), "1");
}

fn a_plugin_may_die_with_an_object(bridge: &Bridge) {
    bridge.perl(
        r#"{ package Error; use overload '""' => sub { "text of $_[0]{why}" } }
        hook(mail => sub { die bless {why => 'it'}, 'Error' }, 'dies');
        hook(mail => sub { die {plain => 1} });"#,
    );
    assert_eq!(bridge.run(Hook::Mail).unwrap().code, Code::Declined);
    let line = "scalar grep { /FATAL PLUGIN ERROR \\[dies\\]: +text of it/ } @log";
    assert_eq!(bridge.perl(line), "1");
}

fn an_object_that_dies_on_its_way_to_a_text_is_passed_over_too(bridge: &Bridge) {
    bridge.perl(
        r#"{ package Mute; use overload '""' => sub { die "no text\n" } }
        hook(mail => sub { die bless {}, 'Mute' }, 'dies'); hook(mail => sub { (DENY, 'no') });"#,
    );
    assert_eq!(bridge.run(Hook::Mail).unwrap().code, Code::Deny);
    let line = "scalar grep { /FATAL PLUGIN ERROR \\[dies\\]: +no text/ } @log";
    assert_eq!(bridge.perl(line), "1");
}

fn a_plugin_that_dies_inside_a_nested_hook_leaves_the_outer_one_running(bridge: &Bridge) {
    bridge.perl(
        r#"hook(rcpt => sub { die "inner\n" });
        hook(mail => sub { my ($code) = $qp->run_hooks('rcpt'); (DENY, "rcpt: $code") });"#,
    );
    let verdict = bridge.run(Hook::Mail).unwrap();
    assert_eq!(verdict.values, [Some(b"rcpt: 909".to_vec())]);
}

fn exit_at_the_outermost_level_ends_the_call_with_its_status(bridge: &Bridge) {
    assert_eq!(bridge.perl("exit 3"), "exited: 3");
    assert_eq!(bridge.perl("eval { exit }; $after = 1"), "exited: 0");
    after(bridge);
}

fn exit_inside_a_nested_hook_ends_every_level(bridge: &Bridge) {
    bridge.perl(
        r#"hook(data => sub { exit 4 });
        hook(rcpt => sub { eval { $qp->run_hooks('data') }; $after = 1 });
        hook(mail => sub { eval { $qp->run_hooks('rcpt') }; $after = 1 });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 4");
}

fn exit_inside_sort_and_map_ends_every_level(bridge: &Bridge) {
    bridge.perl(
        r#"hook(data => sub { exit 5 });
        hook(mail => sub { my @x = sort { $qp->run_hooks('data'); 0 } 1 .. 5; $after = 1 });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 5");
    bridge.perl(
        r#"hook(data => sub { exit 6 });
        hook(mail => sub { my %x = map { ($_ => [grep { $qp->run_hooks('data') } 1 .. 3]) } 1 .. 5;
            $after = 1 });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 6");
    bridge.perl(
        r#"hook(data => sub { exit 7 });
        { package Ties; sub TIESCALAR { bless [] } sub FETCH { $main::qp->run_hooks('data') } }
        hook(mail => sub { tie my $tied, 'Ties'; my $text = "a$tied"; $after = 1 });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 7");
}

const LEAVES: &str = "{ package Leaves; no warnings 'redefine'; sub DESTROY { exit 8 if $main::leaving } } $leaving = 1;";

fn exit_in_a_destructor_ends_the_call(bridge: &Bridge) {
    bridge.perl(&format!(
        "{LEAVES} hook(mail => sub {{ my $object = bless [], 'Leaves'; undef $object; $after = 1 }});"
    ));
    ends_with(bridge, Hook::Mail, "exited: 8");
    bridge.perl(&format!(
        "{LEAVES} $qp->connection->notes(n => bless [], 'Leaves')"
    ));
    bridge
        .host
        .port()
        .connection()
        .notes
        .set(b"n", camelpost::mail::Note::Undef);
    assert!(release_dropped().is_err());
    after(bridge);
}

fn exit_in_a_destructor_that_runs_inside_a_method_ends_every_level(bridge: &Bridge) {
    bridge.perl(&format!(
        "{LEAVES} hook(data => sub {{ $qp->connection->notes(n => 1); $after = 1 }});
        hook(mail => sub {{ $qp->connection->notes(n => bless [], 'Leaves');
            $qp->run_hooks('data'); $after = 1 }});"
    ));
    ends_with(bridge, Hook::Mail, "exited: 8");
}

fn exit_on_the_way_to_an_errors_text_ends_every_level(bridge: &Bridge) {
    bridge.perl(
        r#"{ package Text; use overload '""' => sub { exit 9 } }
        hook(data => sub { die bless [], 'Text' });
        hook(mail => sub { $qp->run_hooks('data'); $after = 1 });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 9");
}

fn exit_in_a_logging_hook_ends_every_level(bridge: &Bridge) {
    bridge.perl(
        r#"hook(data => sub { $qp->log(LOGINFO, 'leave now'); $after = 1 });
        hook(mail => sub { $qp->run_hooks('data'); $after = 1 });
        unshift @{$Qpsmtpd::hooks->{logging}}, {name => 'leaves', code => sub {
            exit 10 if "@_[5 .. $#_]" =~ /leave now/; DECLINED }};"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 10");
}

fn local_values_are_back_after_exit(bridge: &Bridge) {
    bridge.perl(
        r#"our $global = 'old'; our %hash = (key => 'old');
        hook(data => sub { local $hash{key} = 'new'; local $/ = undef; exit 11 });
        hook(mail => sub { local $global = 'new'; local $SIG{ALRM} = sub { }; $qp->run_hooks('data') });"#,
    );
    ends_with(bridge, Hook::Mail, "exited: 11");
    let values =
        r#"join ' ', $global, $hash{key}, $/ eq "\n" ? 'line' : 'other', $SIG{ALRM} || 'none'"#;
    assert_eq!(bridge.perl(values), "old old line none");
}

fn a_destructor_that_dies_is_only_a_warning(bridge: &Bridge) {
    let text = r#"
        { package Fails; sub DESTROY { die "in DESTROY\n" } }
        our @warnings = ();
        local $SIG{__WARN__} = sub { push @warnings, @_ };
        $qp->connection->notes(n => bless [], 'Fails');
        $qp->connection->notes(n => 'next');
        my $value = $qp->connection->notes('n');
        "$value " . scalar grep { /in DESTROY/ } @warnings"#;
    assert_eq!(bridge.perl(text), "next 1");
    let handler = r#"
        local $SIG{__WARN__} = sub { die "a handler that dies\n" };
        $qp->connection->notes(n => bless [], 'Fails');
        eval { $qp->connection->notes(n => 'last') };
        $qp->connection->notes('n')"#;
    assert_eq!(bridge.perl(handler), "last");
}

fn objects_are_destroyed_when_exit_leaves_their_scope(bridge: &Bridge) {
    bridge.perl(
        r#"our $destroyed = 0;
        { package Guard; sub DESTROY { $main::destroyed++; $main::qp->connection->notes(d => 1) } }
        hook(data => sub { my $inner = bless [], 'Guard'; exit 12 });
        hook(mail => sub { my $outer = bless [], 'Guard'; $qp->run_hooks('data'); $after = 1 });"#,
    );
    let ended = bridge.run(Hook::Mail).map(|_| ()).map_err(said);
    assert_eq!(ended, Err("exited: 12".to_owned()));
    assert_eq!(bridge.perl("$destroyed"), "2");
    after(bridge);
}
