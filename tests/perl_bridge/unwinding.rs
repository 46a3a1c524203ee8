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
    a_tied_value_is_asked_once_by_an_xsub,
    a_read_only_or_tied_list_of_a_header_is_left_to_its_class,
    a_handler_that_posix_has_set_up_does_not_run_within_rust,
    a_thread_is_refused,
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
        .present
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

fn a_tied_value_is_asked_once_by_an_xsub(bridge: &Bridge) {
    let text = r#"
        { package Once; sub TIESCALAR { bless {value => $_[1]} }
          sub FETCH { die "again\n" if $_[0]{asked}++; $_[0]{value} } }
        my @said;
        for my $call (sub { $qp->transaction->add_recipient($_[0]) }, sub { $qp->transaction->sender($_[0]) },
                      sub { $qp->run_hooks('noop', $_[0]); 1 }) {
            tie my $tied, 'Once', bless {_user => 'a', _host => 'b.example'}, 'Qpsmtpd::Address';
            push @said, eval { $call->($tied); 1 } ? 'ok' : $@;
        }
        join ' ', @said, $qp->transaction->sender"#;
    assert_eq!(bridge.perl(text), "ok ok ok <a@b.example>");
}

fn a_read_only_or_tied_list_of_a_header_is_left_to_its_class(bridge: &Bridge) {
    let text = r#"
        { package Counted; require Tie::Array; our @ISA = 'Tie::StdArray'; our $added = 0;
          sub PUSH { $added++; my $self = shift; push @$self, @_ }
          sub SPLICE { $added++; my $self = shift; $self->SUPER::SPLICE(@_) } }
        $qp->transaction->header(Mail::Header->new(["Subject: x\n"], Modify => 0));
        my $header = $qp->transaction->header;
        Internals::SvREADONLY(@{$header->{mail_hdr_list}}, 1);
        my ($fixed) = eval { $header->add('X-A', 'v', -1); 1 } ? 'taken' : $@ =~ /^(Modification[^\n]*) at/;
        Internals::SvREADONLY(@{$header->{mail_hdr_list}}, 0);
        tie my @list, 'Counted';
        @list = @{$header->{mail_hdr_list}};
        $header->{mail_hdr_list} = \@list;
        $header->add('X-B', 'v', -1);
        join ', ', $fixed, $Counted::added, $header->as_string =~ /^(X-B: v)$/m"#;
    let fixed = "Modification of a read-only value attempted";
    assert_eq!(bridge.perl(text), format!("{fixed}, 1, X-B: v"));
}

/// The handler's error comes between two operations, so that whatever it ends goes on.
fn a_handler_that_posix_has_set_up_does_not_run_within_rust(bridge: &Bridge) {
    let text = r#"
        require POSIX; require Time::HiRes;
        my $old = POSIX::SigAction->new;
        POSIX::sigaction(POSIX::SIGALRM(), POSIX::SigAction->new(sub { die "timeout\n" }), $old);
        my $transaction = $qp->transaction;
        $transaction->body_write('x' x 400_000);
        my %ends;
        for my $round (1 .. 40) {
            eval {
                Time::HiRes::setitimer(Time::HiRes::ITIMER_REAL(), 0.002);
                while (1) { my $body = $transaction->body_as_string }
            };
            $ends{$@}++;
            $ends{eval { $transaction->body_write('y'); 1 } ? 'written' : $@}++;
        }
        POSIX::sigaction(POSIX::SIGALRM(), $old);
        join ' ', map { "$_=$ends{$_}" =~ s/\n//r } sort keys %ends"#;
    assert_eq!(bridge.perl(text), "timeout=40 written=40");
}

fn a_thread_is_refused(bridge: &Bridge) {
    let text = r#"
        require Config;
        if (!$Config::Config{useithreads}) { 'refused' }
        else {
            # In a child: perl's threads copy the interpreter.
            my $pid = open(my $said, '-|') // die;
            if (!$pid) {
                require threads;
                my $thread = threads->create(sub {
                    eval { Qpsmtpd::Address->new('<a@b.example>'); 1 } ? 'taken' : $@ });
                print $thread->join;
                close STDOUT;
                require POSIX;
                POSIX::_exit(0);
            }
            my $line = join '', <$said>;
            close $said;
            $line =~ /cannot be called in a thread/ ? 'refused' : "$line $?";
        }"#;
    assert_eq!(bridge.perl(text), "refused");
}
