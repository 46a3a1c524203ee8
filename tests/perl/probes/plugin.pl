# Plugins compiled from files, registered and called: names, arguments, order,
# inheritance, odd texts, and what is left after a plugin has died.
use strict;
use warnings;
use Probe;
use HookTable;
use Qpsmtpd::Plugin;

$SIG{__WARN__} = sub { my $line = shift; print "  warning $line" if $line =~ /^----/ };

sub load {
    my ($name, $file, @args) = @_;
    print "== $file as $name(@args)\n";
    my $session = new_session(dirs => ['plugins/none', 'plugins']);
    my $package = "Qpsmtpd::Plugin::$name";
    my $plugin;
    eval {
        Qpsmtpd::Plugin->compile($name, $package, "plugins/$file", 0, $file);
        $plugin = $package->new;
        $plugin->_register($session, @args);
        1;
    } or do {
        (my $error = $@) =~ s/^eval //;
        $error =~ s{ at \S*Qpsmtpd/Plugin\.pm line \d+\.}{};
        # What perl says behind a syntax error since 5.38.
        $error =~ s{^Execution of plugins/bad_syntax aborted due to compilation errors\.\n}{}m if $] >= 5.038;
        # The original counts two lines too many at the end of a file.
        $error =~ s{(bad_syntax) line \d+}{$1 line N}g;
        $error =~ s{ at plugins/bad_hook line \d+\.}{};
        $error =~ s/\n+\z//;
        print "  error: $error\n";
    };
    return ($session, $plugin);
}

sub call_all {
    my ($session, $plugin) = @_;
    for my $hook (sort keys %{$session->hooks}) {
        for my $entry (@{$session->hooks->{$hook}}) {
            print "  $hook: keys ", join(',', sort keys %$entry), " name $entry->{name}\n";
            my @arguments = ($session, 'transaction', 'argument');
            my @result = eval { $entry->{code}->(@arguments) };
            (my $error = $@) =~ s{ at \S*Qpsmtpd/Plugin\.pm line \d+\.}{};
            $error =~ s/\n//g;
            my $scalar = eval { $entry->{code}->($session) };
            print '    list ', show(@result), ' scalar ', show($scalar), " $error\n";
            print '    arguments afterwards ', show(@arguments[1, 2]), "\n";
        }
    }
    print '  left: qp ', defined $plugin->qp ? 1 : 0, ' hook ', defined $plugin->hook_name ? 1 : 0, "\n" if $plugin;
    print '  temporary ', show(map { @$_ } grep { defined } @{$session->{txn}}{qw(_temp_files _temp_dirs)}), "\n";
}

call_all(load(@$_)) for (
    ['parent', 'parent', 'a', 'b'], ['child', 'child', 'x', 'y'], ['grandchild', 'grandchild', 'z'],
    ['child_3a0', 'child', 'q'], ['no_helo', 'no_helo', 'r'], ['registers_twice', 'registers_twice', 's'],
    ['sub::with_2ddash_2epl', 'sub/with-dash.pl'], ['no_newline', 'no_newline'], ['open_pod', 'open_pod'],
    ['with_end', 'with_end'], ['with_cr', 'with_cr'], ['empty', 'empty'], ['globs', 'globs'], ['hooks', 'hooks'],
    ['overrides', 'overrides'],
    ['bad_syntax', 'bad_syntax'], ['not_strict', 'not_strict'], ['dies_at_load', 'dies_at_load'],
    ['dies_in_register', 'dies_in_register'], ['bad_hook', 'bad_hook'], ['no_such_file', 'no_such_file'],
);
no strict 'refs';
print "@{'Qpsmtpd::Plugin::grandchild::ISA'}\n@{'Qpsmtpd::Plugin::grandchild::_isa_child::ISA'}\n";
print Qpsmtpd::Plugin::child::_isa_parent->plugin_name, "\n";
print join(' ', grep { !/^(?:user_config|data_post_headers)$/ } @Qpsmtpd::Plugin::hooks), "\n";
my $new = Qpsmtpd::Plugin::parent->new(a => 1);
print ref $new, ' ', join(',', %$new), ' ', ref $new->new, "\n";
