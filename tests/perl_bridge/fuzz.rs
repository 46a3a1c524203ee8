//! Every sub that is written in Rust, called with odd arguments: none may end the process, none
//! may leave the host unable to go on. What each returns is not looked at here.

use crate::bridge::Bridge;
use crate::cases;

cases![
    odd_arguments_to_every_sub_do_no_harm,
    odd_values_of_every_key_do_no_harm,
    objects_of_a_session_that_has_ended_take_odd_arguments,
    an_object_of_the_wrong_class_is_named_in_perls_words,
    a_value_that_a_plugin_wrote_comes_back_as_it_was,
    what_a_dying_destroy_does_stays_with_it,
    an_object_that_goes_takes_its_notes_with_it_at_once,
    an_exit_in_a_destroy_of_a_note_ends_the_call,
];

/// Odd values, and choices among them in a fixed sequence: for the whole process, as overload.pm warns
/// where a class is compiled again.
const ODD: &str = r#"
    no warnings;
    { package Odd::Scalar; sub TIESCALAR { my $n = 0; bless \$n } sub FETCH { ${$_[0]}++ % 3 ? 'tied' : undef } sub STORE { } }
    { package Odd::Dying; sub TIESCALAR { bless [] } sub FETCH { die "no value\n" } sub STORE { die "no store\n" } }
    { package Odd::Once; sub TIESCALAR { bless {value => $_[1]} }
        sub FETCH { die "again\n" if $_[0]{asked}++; $_[0]{value} } sub STORE { } }
    { package Odd::Array; require Tie::Array; our @ISA = 'Tie::StdArray'; sub FETCH { die "no element\n" } }
    { package Odd::Hash; require Tie::Hash; our @ISA = 'Tie::StdHash'; sub FETCH { die "no key\n" } }
    { package Odd::Text; use overload '""' => sub { die "no text\n" }, '0+' => sub { die "no number\n" },
        'bool' => sub { die "no truth\n" }, '@{}' => sub { die "no array\n" }, '&{}' => sub { die "no code\n" }; }
    { package Odd::Again; use overload '""' => sub { $main::qp->connection->notes(again => 1); 'again' }, fallback => 1; }
    { package Odd::Gone; sub new { bless {} } sub DESTROY { $main::qp->config('me'); eval { die "x\n" } } }
    our (@odd, $seed);
    sub odd_values {
        tie my $tied, 'Odd::Scalar';
        tie my $dying, 'Odd::Dying';
        tie my @array, 'Odd::Array'; @array = (1, 2);
        tie my %hash, 'Odd::Hash';
        'captured' =~ /(apt)/;
        my $long = 'y' x 3_000_000;
        my $text = 'lvalue';
        my $upgraded = "\xe9"; utf8::upgrade($upgraded);
        my $malformed = "\xff\xfe"; Encode::_utf8_on($malformed) if defined &Encode::_utf8_on;
        my %locked = (a => 1); require Hash::Util; Hash::Util::lock_hashref(\%locked);
        my $weak = {}; my $kept = $weak; require Scalar::Util; Scalar::Util::weaken($weak);
        tie my $once, 'Odd::Once', 1;
        my @fixed = (1, 2); Internals::SvREADONLY(@fixed, 1);
        require B;
        return (undef, '', 0, -1, 1e308, -1e308, 9**9**9, -sin(9**9**9), 1 << 62, '0 but true', "a\0b", "\n", '<>',
          '<a@b.example>', 'Qpsmtpd::Transaction', 'No::Such::Class', $long, "\x{263a}" x 1000, $upgraded, $malformed,
          [], {}, [1, [2]], {_user => [], _host => sub { }}, sub { die "called\n" }, \*STDERR, *STDERR, \\1,
          \undef, qr/x/, v1.2, \(my $x = 1), \substr($text, 1), \pos($text), \vec($text, 0, 1), $!, \$!, $1, \$0,
          \%ENV, \@ARGV, \%SIG, \$tied, \$dying, \$once, \@fixed, \@array, \%hash, \%locked, $weak,
          bless({}, 'Odd::Class'), bless([], 'Qpsmtpd::Address'), bless(\(my $y = 1), 'Qpsmtpd::Connection'),
          bless(sub { }, 'Qpsmtpd::Transaction'), bless({}, 'Qpsmtpd::Address'), bless({}, 'Qpsmtpd::Connection'),
          bless({}, 'Qpsmtpd::Transaction'), bless([], 'Odd::Text'), bless({}, 'Odd::Again'), Odd::Gone->new,
          B::svref_2object(\&odd_values), *STDOUT{IO}, \&CORE::push,
          $qp, $qp->transaction, $qp->connection, address('<a@b.example>'),
          Qpsmtpd::Transaction->new, Qpsmtpd::Connection->new);
    }
    # Some are magical where they stand: among them objects, which die when they are asked for again.
    sub fresh_odd {
        @odd = (); @odd = odd_values();
        push @odd, (undef) x 6;
        tie $odd[-1], 'Odd::Scalar';
        tie $odd[-2], 'Odd::Dying';
        tie $odd[-3], 'Odd::Once', address('<a@b.example>');
        tie $odd[-4], 'Odd::Once', Qpsmtpd::Transaction->new;
        tie $odd[-5], 'Odd::Once', bless({_user => 'a', _host => 'b.example'}, 'Qpsmtpd::Address');
        tie $odd[-6], 'Odd::Once', Qpsmtpd::Connection->new;
    }
    sub pick { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; ($seed >> 8) % @odd }
    sub subs {
        require B;
        my @subs;
        for my $package (qw(Qpsmtpd Qpsmtpd::SMTP Qpsmtpd::TcpServer Qpsmtpd::Transaction Qpsmtpd::Connection
                            Qpsmtpd::Address Camelpost)) {
            for my $name (sort grep { defined &{"${package}::$_"} } keys %{"${package}::"}) {
                my $sub = \&{"${package}::$name"};
                next unless B::svref_2object($sub)->XSUB;
                # What reads the client, leaves the session or belongs to other modules.
                next if B::svref_2object($sub)->GV->STASH->NAME !~ /^(?:Qpsmtpd|Camelpost)/;
                next if $name =~ /^(?:disconnect|start_conversation|_auth_sasl|data|quit|LOG\w*|[A-Z_]+)$/;
                push @subs, [$package, $name, $sub];
            }
        }
        return @subs;
    }
"#;

fn know_odd_values(bridge: &Bridge) {
    if bridge.perl("defined &odd_values ? 1 : 0") == "0" {
        assert_eq!(bridge.perl(&format!("{ODD} 1")), "1");
    }
}

fn odd_arguments_to_every_sub_do_no_harm(bridge: &Bridge) {
    know_odd_values(bridge);
    let text = r#"
        no warnings;
        local $SIG{__WARN__} = sub { };
        local $SIG{ALRM} = sub { die "too long\n" };
        my ($calls, @subs) = (0, subs());
        $seed = 7;
        for my $round (1 .. 3) {
            for my $entry (@subs) {
                my ($package, $name, $sub) = @$entry;
                fresh_odd();
                my @invocants = ($package, $qp, $qp->transaction, $qp->connection, address('<a@b.example>'));
                for my $invocant (@invocants, 'odd', 'none') {
                    for my $count (0 .. 3) {
                        my @picked = map { pick() } 1 .. $count;
                        $calls++;
                        if (!ref $invocant && $invocant eq 'none') { eval { my @got = $sub->(@odd[@picked]); 1 } }
                        elsif (!ref $invocant && $invocant eq 'odd') { eval { my @got = $sub->(@odd[pick(), @picked]); 1 } }
                        else { eval { my @got = $sub->($invocant, @odd[@picked]); 1 } }
                        eval { my $got = $sub->(@odd[reverse @picked]); 1 };
                    }
                }
            }
            Qpsmtpd::_set_trace_level(0);
        }
        @odd = ();
        @subs > 60 && $calls > 5_000 ? 'called' : @subs . " subs, $calls calls""#;
    assert_eq!(bridge.perl(text), "called");
    assert_eq!(bridge.perl(GOES_ON), "test.example 1 <x@y.example>");
}

/// What works at any time.
const GOES_ON: &str = r#"
    Qpsmtpd::_set_trace_level(4); forget();
    $qp->transaction(Qpsmtpd::Transaction->new); $qp->connection(Qpsmtpd::Connection->new);
    $qp->connection->notes(on => 1);
    join ' ', scalar $qp->config('me'), $qp->connection->notes('on'), address('<x@y.example>')
"#;

fn odd_values_of_every_key_do_no_harm(bridge: &Bridge) {
    know_odd_values(bridge);
    let text = r#"
        no warnings;
        local $SIG{__WARN__} = sub { };
        my $sets = 0;
        fresh_odd();
        for my $make (sub { Qpsmtpd::Transaction->new }, sub { address('<a@b.example>') }, sub { Qpsmtpd::Connection->new }) {
            for my $at (0 .. $#odd) {
                my $object = $make->();
                for my $key (sort(keys %$object), 'mine') {
                    $sets++;
                    eval { $object->{$key} = $odd[$at]; 1 };
                    eval { my $copy = $object->{$key}; local $object->{$key} = 1; 1 };
                    eval { my $text = "$object"; 1 };
                    eval { delete $object->{$key} };
                }
                eval { $object->recipients };
                eval { $object->user; $object->host; $object->format };
                eval { %$object = () };
                eval { $object->notes(a => 1); $object->notes('a') };
            }
        }
        @odd = ();
        $sets > 300 ? 'set' : $sets"#;
    assert_eq!(bridge.perl(text), "set");
    assert_eq!(bridge.perl(GOES_ON), "test.example 1 <x@y.example>");
}

fn objects_of_a_session_that_has_ended_take_odd_arguments(bridge: &Bridge) {
    // Variables of `main` would end with the session.
    let kept = bridge.session(|| {
        bridge.perl(
            r#"@Outside::kept = ($qp->transaction, $qp->connection, address('<a@b.example>'));
            $Outside::kept[0]->body_write("kept\n"); $Outside::kept[0]->notes(n => [1]); $Outside::kept[1]->notes(n => {});
            $Outside::kept[0]->add_recipient($Outside::kept[2]); 1"#,
        )
    });
    assert_eq!(kept, "1");
    know_odd_values(bridge);
    let text = r#"
        no warnings;
        local $SIG{__WARN__} = sub { };
        $seed = 3;
        fresh_odd();
        for my $entry (subs()) {
            my ($package, $name, $sub) = @$entry;
            for my $object (@Outside::kept) {
                eval { my @got = $sub->($object, @odd[map { pick() } 1 .. $_]); 1 } for 0 .. 3;
            }
        }
        @odd = ();
        my @still = ($Outside::kept[1]->isa('Qpsmtpd::Connection'), ref $Outside::kept[0]);
        @Outside::kept = ();
        "@still""#;
    assert_eq!(bridge.perl(text), "1 Qpsmtpd::Transaction");
    assert_eq!(bridge.perl(GOES_ON), "test.example 1 <x@y.example>");
}

fn an_object_of_the_wrong_class_is_named_in_perls_words(bridge: &Bridge) {
    let text = r#"
        my @said;
        for my $invocant ([], sub { }, 'Qpsmtpd::Connection', 'x' x 40) {
            eval { Qpsmtpd::Connection::remote_ip($invocant) };
            push @said, $@ =~ s/ at .*//sr;
        }
        join "\n", @said"#;
    assert_eq!(
        bridge.perl(text),
        format!(
            "Not a HASH reference\nNot a HASH reference\n\
             Can't use string (\"Qpsmtpd::Connection\") as a HASH ref while \"strict refs\" in use\n\
             Can't use string (\"{}\"...) as a HASH ref while \"strict refs\" in use",
            "x".repeat(32)
        )
    );
}

fn a_value_that_a_plugin_wrote_comes_back_as_it_was(bridge: &Bridge) {
    let text = r#"
        my $c = Qpsmtpd::Connection->new;
        $c->remote_host("\x{263a}"); $c->remote_info([7]); $c->remote_port('smtp'); $c->relay_client('yes');
        my $copy = $c->clone;
        $c->remote_host('plain');
        join ' ', length $copy->remote_host, $copy->remote_info->[0], $copy->remote_port, $copy->relay_client,
          $c->remote_host"#;
    assert_eq!(bridge.perl(text), "1 7 smtp yes plain");
}

fn what_a_dying_destroy_does_stays_with_it(bridge: &Bridge) {
    let text = r#"
        { package Dies::Late; sub new { bless [] } sub DESTROY { push @main::seen, 'destroyed'; die "late\n" } }
        our @seen = ();
        local $SIG{__WARN__} = sub { push @seen, $_[0] =~ /late/ ? 'warned' : $_[0] };
        { my $t = Qpsmtpd::Transaction->new; $t->notes(a => Dies::Late->new); }
        push @seen, 'after';
        "@seen""#;
    assert_eq!(bridge.perl(text), "destroyed warned after");
}

fn an_object_that_goes_takes_its_notes_with_it_at_once(bridge: &Bridge) {
    let text = r#"
        { package Goes; sub new { bless [$_[1]] } sub DESTROY { push @main::seen, $_[0][0] } }
        our @seen = ();
        { my $c = Qpsmtpd::Connection->new; $c->notes(a => Goes->new('connection')); }
        push @seen, 1;
        { my $t = Qpsmtpd::Transaction->new; my $a = address('<a@b.example>');
          $a->notes(a => Goes->new('address')); $t->add_recipient($a); undef $a; push @seen, 2; }
        push @seen, 3;
        { my $t = Qpsmtpd::Transaction->new; $t->header(Goes->new('header')); }
        push @seen, 4;
        "@seen""#;
    assert_eq!(bridge.perl(text), "connection 1 2 address 3 header 4");
}

fn an_exit_in_a_destroy_of_a_note_ends_the_call(bridge: &Bridge) {
    let text = r#"
        { package Exits; sub new { bless [] } sub DESTROY { exit 3 } }
        our @seen = ();
        { my $t = Qpsmtpd::Transaction->new; $t->notes(a => Exits->new); }
        push @seen, 'after'; "@seen""#;
    assert_eq!(bridge.perl(text), "exited: 3");
    assert_eq!(bridge.perl("scalar @seen"), "0");
    assert_eq!(bridge.perl(GOES_ON), "test.example 1 <x@y.example>");
}
