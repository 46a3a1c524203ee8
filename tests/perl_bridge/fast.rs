//! Fast paths (src/perl/fast) beside the plain ways in Perl, each called with the same arguments.

use camelpost::hook::Hook;

use crate::bridge::Bridge;
use crate::cases;

cases![
    a_plugins_log_is_what_its_perl_does,
    is_immune_is_what_its_perl_says,
    a_hook_finds_what_its_closure_would_show_it,
    addresses_are_what_the_expressions_make_of_them,
    keys_that_wait_show_what_keys_at_once_show,
];

fn a_plugins_log_is_what_its_perl_does(bridge: &Bridge) {
    let text = r#"
        { package Fast::Base; our @ISA = 'Qpsmtpd::Plugin'; *plugin_name = sub () { 'fast_base' }; }
        { package Fast::Heir; our @ISA = 'Fast::Base'; }
        { package Fast::Named; our @ISA = 'Qpsmtpd::Plugin'; sub plugin_name { 'by a sub' } }
        { package Fast::Levels; our @ISA = 'Fast::Base'; sub adjust_log_level { $_[1] + 1 } }
        { package Fast::Other; sub new { bless [] } sub varlog { shift; push @main::lines, [other => @_]; 'said' } }
        { package Fast::Text; use overload '""' => sub { 'as text' }; }
        our @lines;
        local $Qpsmtpd::hooks->{logging} = [];
        hook('logging', sub { push @lines, [@_[2 .. $#_]]; $main::verdict }, 'takes_lines');
        my @objects = map { my $class = $_; map { bless {%$_}, $class }
            {_qp => $qp}, {}, {_qp => $qp, _hook => undef}, {_qp => $qp, _hook => 'rcpt'}, {_qp => $qp, _hook => 'logging'},
            {_qp => $qp, _hook => 'mail', _args => {}}, {_qp => $qp, _args => {loglevel => 2}},
            {_qp => $qp, _args => {loglevel => '-1'}}, {_qp => $qp, _args => [], _hook => 0},
            {_qp => Fast::Other->new, _hook => 'data'} } qw(Fast::Base Fast::Heir Fast::Named Fast::Levels);
        my @args = ([], [LOGWARN], [LOGDEBUG, 'one'], [LOGINFO, 'one', 'two', undef, 3], [undef, 'x'], ['no level', 'x'],
            [LOGCRIT, "a\0b\n\x01\xe9"], [LOGCRIT, "\x{263a}"], [LOGERROR, bless([], 'Fast::Text'), [1]], [8, '']);
        local $SIG{__WARN__} = sub { };
        my $different = 0;
        Qpsmtpd::_set_trace_level(0);
        for our $verdict (DECLINED, OK, DENY, undef, 17) {
            for my $object (@objects) {
                for my $args (@args) {
                    # These would be written where no hook takes the line.
                    next if defined $verdict && $verdict != DECLINED && $verdict != OK && ($args->[0] // '') !~ /^[1-9]/;
                    for my $wants_list (0, 1) {
                        my ($one, $other) = map {
                            my $way = $_;
                            @lines = ();
                            my @got = $wants_list ? eval { $way->($object, @$args) } : scalar eval { $way->($object, @$args) };
                            join '|', map { $_ // 'undef' } @got, $@ =~ s/ at .*//sr, map { @$_, 'end' } @lines;
                        } \&Camelpost::plugin_log, \&Qpsmtpd::Plugin::_log;
                        next if $one eq $other;
                        $different++ or print STDERR ref $object, " @{[%$object]}: $one, by Perl $other\n";
                    }
                }
            }
        }
        Qpsmtpd::_set_trace_level(4);
        "$different different""#;
    assert_eq!(bridge.perl(text), "0 different");
}

fn is_immune_is_what_its_perl_says(bridge: &Bridge) {
    let text = r#"
        { package Fast::Immune; our @ISA = 'Qpsmtpd::Plugin'; *plugin_name = sub () { 'fast_immune' }; }
        { package Fast::Qp; our @ISA = 'Fast::Immune'; sub qp { $main::qp } }
        { package Fast::Connection; our @ISA = 'Qpsmtpd::Connection'; sub relay_client { 1 } }
        my ($different, $immune) = (0, 0);
        for my $plugin (bless({_qp => $qp}, 'Fast::Immune'), bless({}, 'Fast::Qp'), bless({}, 'Fast::Immune')) {
            for my $value (undef, 0, '', 1, 'yes') {
                for my $set (
                    sub { $qp->connection->relay_client($value // 0) },
                    sub { $qp->connection->notes('whitelisthost', $value) },
                    sub { $qp->transaction->notes('whitelistsender', $value) },
                    sub { $qp->connection->notes('other', $value) },
                    sub { $qp->connection(Fast::Connection->new) })
                {
                    forget();
                    $set->();
                    my ($one, $other) = map {
                        my $way = $_;
                        @log = ();
                        my @got = eval { $way->($plugin) };
                        join '|', map { $_ // 'undef' } @got, scalar eval { $way->($plugin) }, $@ =~ s/ at .*//sr, @log;
                    } \&Camelpost::is_immune, \&Qpsmtpd::Plugin::_is_immune;
                    $immune++ if $other =~ /^1/;
                    next if $one eq $other;
                    $different++ or print STDERR "$one, by Perl $other\n";
                }
            }
        }
        "$different different, $immune immune""#;
    assert_eq!(bridge.perl(text), "0 different, 22 immune");
}

/// In the method: the keys, the arguments, what a second hook of the same plugin leaves behind.
fn a_hook_finds_what_its_closure_would_show_it(bridge: &Bridge) {
    let prepare = r#"
        our (@seen, $die);
        { package Fast::Hooked; our @ISA = 'Qpsmtpd::Plugin'; *plugin_name = sub () { 'fast_hooked' };
          sub look { my $self = shift;
              push @main::seen, join ',', map { $_ // 'undef' } ref $self, $self->{_qp} == $main::qp, $self->{_hook},
                $self->hook_name, scalar @_, map { ref } @_; }
          sub outer { my $self = shift; $self->look(@_); $self->{_hook} .= '!'; $self->qp->run_hooks('quit');
              $self->look(@_); die "dies\n" if $main::die; return DECLINED; }
          sub inner { my $self = shift; $self->look(@_); local $self->{_hook} = 'mine'; $self->look(@_); die "inner\n" }
        }
        our $hooked = bless {_qp => $qp, mine => 1}, 'Fast::Hooked';
        $hooked->register_hook(noop => 'outer');
        $hooked->register_hook(quit => sub { shift->inner(@_) });
        undef $hooked->{_qp};
        1"#;
    assert_eq!(bridge.perl(prepare), "1");
    let seen = "splice(@log); join ' ', splice(@seen), map { $_ // 'undef' } @$hooked{'_qp', '_hook', 'mine'}";
    for die in [0, 1] {
        bridge.perl(&format!("$die = {die}"));
        bridge.run(Hook::Noop).unwrap();
        let by_method = bridge.perl(seen);
        let by_closure = bridge.perl(&format!(
            "eval {{ $Qpsmtpd::hooks->{{noop}}[-1]{{code}}->($qp, $qp->transaction) }}; {seen}"
        ));
        assert_eq!(by_method, by_closure, "die: {die}");
        assert!(
            by_method.contains("Fast::Hooked,1,noop!,noop!"),
            "{by_method}"
        );
    }
    bridge.perl("forget(); undef $hooked");
}

fn addresses_are_what_the_expressions_make_of_them(bridge: &Bridge) {
    let text = r#"
        my @pieces = ('<', '>', '@', '.', '"', '\\', ':', ',', '[', ']', ' ', "\t", "\n", "\r", "\0", "\x7f", "\xe9", 'a', 'B', '-',
            '_', '=', '@b.example', '@[1.2.3.4]', '@[IPv6:::1]', '@[1.2.3', 'postmaster', 'PostMaster', '@a,@b:', 'a.b', '(',
            "'", '1', '%', '/', '|', '~', "\x01", "\x0b", ';');
        my ($seed, $different, $found) = (1, 0, 0);
        my $random = sub { $seed = ($seed * 1103515245 + 12345) % 2147483648; int($seed / 65536) % $_[0] };
        for my $n (1 .. 40_000) {
            my $text = join '', map { $pieces[$random->(scalar @pieces)] } 0 .. $random->(7);
            $text = "<$text>" if $n % 8;
            $text = "<a\@$1" if $n % 3 && $text =~ /^<(.*)/s;
            my ($one, $other) = map { join '|', map { $_ // 'undef' } $_->($text) } \&Qpsmtpd::Address::_canonify,
              \&Qpsmtpd::Address::_canonify_by_grammar;
            $found++ if $one =~ /\|/;
            # An empty list and undef are the same to those who ask.
            next if $one eq $other || ($one eq 'undef' && $other eq '');
            $different++ or print STDERR join ' ', map { s/([^!-~])/sprintf '\\x%02x', ord $1/ger } $text, $one, "$other\n";
        }
        $different . ($found > 500 ? ' different' : " different, $found found")"#;
    assert_eq!(bridge.perl(text), "0 different");
}

fn keys_that_wait_show_what_keys_at_once_show(bridge: &Bridge) {
    // In a session the keys of these objects wait; outside, they are made with the object.
    let show = r#"
        my $made = Qpsmtpd::Connection->new;
        my $connection = $qp->connection;
        $connection->remote_ip('192.0.2.7'); $connection->relay_client(1); $connection->notes(a => 1);
        $qp->transaction->sender(address('<a@b.example>')); $qp->transaction->add_recipient(address('<c@d.example>'));
        my @shown;
        for my $object ($connection, $qp->transaction) {
            for my $key (sort keys %$object) {
                next if $key eq 'started';
                my $value = $object->{$key};
                push @shown, "$key=" . (ref $value ? ref $value : $value // 'undef');
            }
            push @shown, map { "$_: " . (exists $object->{$_} ? 'there' : 'not there') } '_notes', 'none';
            $object->{none} = 1;
            push @shown, scalar(keys %$object), delete $object->{none}, scalar(%$object) ? 'some' : 'none';
        }
        local $connection->{_remote_ip} = 'local';
        join "\n", @shown, $connection->{_remote_ip}, $connection->remote_ip"#;
    let reset = "forget(); 1";
    bridge.perl(reset);
    let at_once = bridge.perl(show);
    bridge.perl(reset);
    let waiting = bridge.session(|| {
        bridge.perl(reset);
        bridge.perl(show)
    });
    assert_eq!(waiting, at_once);
    assert!(at_once.contains("_remote_ip=192.0.2.7"), "{at_once}");
    bridge.perl(reset);
}
