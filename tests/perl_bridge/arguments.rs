//! What Perl code may hand in: wrong, tied, overloaded, and freed while it is used.

use camelpost::hook::Hook;

use crate::bridge::Bridge;
use crate::cases;

cases![
    wrong_arguments_never_crash,
    an_error_names_the_plugins_file_and_line,
    a_tied_argument_is_fetched,
    a_tied_arguments_death_is_the_callers,
    an_overloaded_key_is_asked_for_its_text,
    an_argument_may_be_freed_while_the_call_runs,
    many_arguments_and_many_results_pass,
    hooks_run_within_hooks_two_hundred_deep,
    endless_recursion_dies_and_does_not_crash,
    what_a_plugin_does_to_the_list_of_hooks_counts_from_the_next_time,
    restricted_and_tied_hashes_run_no_code_inside_the_host,
];

fn wrong_arguments_never_crash(bridge: &Bridge) {
    let text = r#"
        { package Odd::Tie; sub TIESCALAR { bless [] } sub FETCH { 'tied' } sub STORE { } }
        { package Odd::Text; use overload '""' => sub { die "no text\n" }, fallback => 1; }
        { package Odd::Class; }
        tie my $tied, 'Odd::Tie';
        my @odd = (undef, '', 0, -1, 1e30, 'Qpsmtpd::Transaction', 'x' x 100_000, "\x{263a}", [], {},
          sub { 1 }, \*STDERR, *STDERR, \\1, qr/x/, v1.2, bless({}, 'Odd::Class'), bless([], 'Odd::Text'),
          $qp, $qp->transaction, $qp->connection, address('<a@b.example>'),
          bless({}, 'Qpsmtpd::Transaction'), $tied);
        my $calls = 0;
        local $SIG{__WARN__} = sub { die "a handler that dies\n" };
        for my $package (qw(Qpsmtpd Qpsmtpd::SMTP Qpsmtpd::Transaction Qpsmtpd::Connection
                            Qpsmtpd::Address)) {
            for my $name (sort grep { defined &{"${package}::$_"} } keys %{"${package}::"}) {
                next if $name =~ /^(?:import|temp_dir|SASL|getline|load_plugins|_load_plugin|LOG\w*)$/;
                my $sub = \&{"${package}::$name"};
                next unless B::svref_2object($sub)->XSUB;
                for my $first ('none', 0 .. $#odd) {
                    for my $second ('none', 0 .. $#odd) {
                        my @args = map { $_ eq 'none' ? () : $odd[$_] } $first, $second;
                        $calls++;
                        eval { my @got = $sub->(@args); 1 };
                        eval { $sub->(@args, @args, @args) };
                    }
                }
            }
        }
        $calls > 20_000 ? 'called' : "only $calls""#;
    assert_eq!(bridge.perl(text), "called");
    assert_eq!(
        bridge.perl("Qpsmtpd::_set_trace_level(4); forget(); $qp->config('me')"),
        "test.example"
    );
}

fn an_error_names_the_plugins_file_and_line(bridge: &Bridge) {
    let text = "eval { \n# line 7 \"plugins/mine\"\nQpsmtpd::Transaction->notes('x') }; $@";
    assert_eq!(
        bridge.perl(text),
        "Can't use string (\"Qpsmtpd::Transaction\") as a HASH ref while \"strict refs\" in use at \
         plugins/mine line 7.\n"
    );
}

fn a_tied_argument_is_fetched(bridge: &Bridge) {
    let text = r#"
        { package Counts; sub TIESCALAR { bless {n => 0} } sub FETCH { ++$_[0]{n} } }
        tie my $tied, 'Counts';
        $qp->connection->notes(n => $tied);
        my %tied; { package Upper; require Tie::Hash; our @ISA = 'Tie::StdHash'; sub FETCH { uc $_[1] } }
        tie %tied, 'Upper';
        $qp->connection->remote_host($tied{host});
        join ' ', $qp->connection->notes('n'), $qp->connection->remote_host"#;
    assert_eq!(bridge.perl(text), "1 HOST");
}

fn a_tied_arguments_death_is_the_callers(bridge: &Bridge) {
    let text = r#"
        { package Dies; sub TIESCALAR { bless [] } sub FETCH { die "no value\n" } }
        tie my $tied, 'Dies';
        eval { $qp->connection->notes(n => $tied) };
        my $error = $@;
        eval { $qp->connection->notes($tied) };
        $error . $@"#;
    assert_eq!(bridge.perl(text), "no value\nno value\n");
}

fn an_overloaded_key_is_asked_for_its_text(bridge: &Bridge) {
    let text = r#"
        my $address = address('<a@b.example>');
        $qp->connection->notes($address, 'found');
        { package Key; use overload '""' => sub { $main::qp->connection->notes('inner', 1); 'key' } }
        $qp->connection->notes(bless([], 'Key'), 'too');
        join ' ', map { $qp->connection->notes($_) } '<a@b.example>', 'key', 'inner'"#;
    assert_eq!(bridge.perl(text), "found too 1");
    let dies = r#"
        { package Bad; use overload '""' => sub { die {why => 'no text'} } }
        eval { $qp->connection->notes(bless([], 'Bad')) }; $@->{why}"#;
    assert_eq!(bridge.perl(dies), "no text");
}

fn an_argument_may_be_freed_while_the_call_runs(bridge: &Bridge) {
    let text = r#"
        our @list;
        { package Frees; use overload '""' => sub { @main::list = (); my @fill = map { "y$_" } 1 .. 50; 'key' } }
        @list = (bless([], 'Frees'), join '', 'a' .. 'z');
        $qp->connection->notes(@list);
        our @tied;
        { package Clears; sub TIESCALAR { bless [] } sub FETCH { @main::tied = (1); my @fill = map { "z$_" } 1 .. 50; 'tied' } }
        tie $tied[0], 'Clears'; $tied[1] = join '', 'A' .. 'Z';
        $qp->connection->notes(@tied);
        join ' ', $qp->connection->notes('key'), $qp->connection->notes('tied')"#;
    assert_eq!(
        bridge.perl(text),
        "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    );
}

fn many_arguments_and_many_results_pass(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->recipients(map { address("<u$_\@d.example>") } 1 .. 500);
        my @all = $t->recipients;
        join ' ', scalar @all, $all[7]->user, $all[8]->user, $all[499]->user"#;
    assert_eq!(bridge.perl(text), "500 u8 u9 u500");
}

const RECURSION: &str = r#"
    no warnings 'recursion';
    our $deepest = 0;
    hook(mail => sub {
        my ($qp, $transaction, $left) = @_;
        $deepest++;
        return (DECLINED) if $left <= 0;
        my ($code, $text) = $qp->run_hooks('mail', $left - 1);
        return ($code, $text);
    });
"#;

fn hooks_run_within_hooks_two_hundred_deep(bridge: &Bridge) {
    let text = format!("{RECURSION} my @r = $qp->run_hooks('mail', 200); $deepest");
    assert_eq!(bridge.perl(&text), "201");
}

fn endless_recursion_dies_and_does_not_crash(bridge: &Bridge) {
    let text = format!(
        "{RECURSION} our @errors; my @r = $qp->run_hooks('mail', 1_000_000); \
         join ' ', $deepest > 200 ? 'deep' : $deepest, scalar grep {{ /nested too deeply/ }} @log"
    );
    assert_eq!(bridge.perl(&text), "deep 1");
    assert_eq!(bridge.perl("$qp->config('me')"), "test.example");
}

fn what_a_plugin_does_to_the_list_of_hooks_counts_from_the_next_time(bridge: &Bridge) {
    bridge.perl(
        r#"our @ran = ();
        hook(mail => sub { push @ran, 'first'; @{$Qpsmtpd::hooks->{mail}} = ();
            hook(mail => sub { push @ran, 'never'; DECLINED });
            hook(mail => sub { push @ran, 'new'; DECLINED });
            delete $Qpsmtpd::hooks->{mail}[0]{name};
            my @fill = map { sub { $_ } } 1 .. 100; DECLINED });
        hook(mail => sub { push @ran, 'old'; DECLINED });
        hook(rcpt => sub { delete $Qpsmtpd::hooks->{rcpt}; push @ran, 'rcpt'; DECLINED });
        hook(rcpt => sub { push @ran, 'gone'; DECLINED });"#,
    );
    bridge.run(Hook::Mail).unwrap();
    bridge.run(Hook::Rcpt).unwrap();
    assert_eq!(bridge.perl("join ' ', @ran"), "first old rcpt gone");
}

fn restricted_and_tied_hashes_run_no_code_inside_the_host(bridge: &Bridge) {
    let text = r#"
        require Hash::Util; require Tie::Hash;
        my %locked = (a => 1); Hash::Util::lock_ref_keys(\%locked);
        { package Dying; our @ISA = 'Tie::StdHash'; sub FETCH { die } sub STORE { die } sub EXISTS { die } }
        tie my %tied, 'Dying';
        hook(mail => sub { DECLINED }, 'locked');
        hook(mail => sub { DECLINED }, 'tied');
        $qp->transaction->notes(locked => \%locked);
        $qp->transaction->notes(tied => \%tied);
        1"#;
    assert_eq!(bridge.perl(text), "1");
    bridge.run(Hook::Mail).unwrap();
    bridge.perl("$qp->transaction->notes(locked => {})");
    bridge.run(Hook::Mail).unwrap();
    let noted = "$qp->transaction->notes('locked')->{hook_mail}{return} == DECLINED ? 1 : 0";
    assert_eq!(bridge.perl(noted), "1");
}
