# Where a script's session finds its configuration.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Test::More;
use Test::Qpsmtpd;

sub write_file {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
}

my $dir = tempdir(CLEANUP => 1);
write_file("$dir/mine", "one\n# no\n\ntwo\n");
{
    package Elsewhere;
    our @ISA = ('Test::Qpsmtpd');
    our @asked;
    sub config_dir { my ($self, $name) = @_; push @asked, $name; return $dir if -e "$dir/$name"; return $self->SUPER::config_dir($name) }
}
my $smtpd = Elsewhere->new;
is(join(' ', $smtpd->config('mine')), 'one two', 'a file in the directory that config_dir names');
is(scalar $smtpd->config('mine'), 'one', 'in scalar context the first line');
is(scalar $smtpd->config('me'), 'mx.example.org', 'and one where it names another');
is(scalar(() = $smtpd->config('none')), 0, 'a file that is nowhere');
ok((grep { $_ eq 'mine' } @Elsewhere::asked), 'config_dir gets the file\'s name');

# The class of sessions itself.
write_file("$dir/env", "env.example\n");
{
    local $ENV{QPSMTPD_CONFIG} = $dir;
    my $plain = Qpsmtpd::SMTP->new;
    is(scalar $plain->config('env'), 'env.example', '$QPSMTPD_CONFIG, also when a script sets it');
    is($plain->config_dir('env'), $dir, 'config_dir says so');
}
{
    my $plain = Qpsmtpd::SMTP->new;
    local $0 = "$FindBin::Bin/script";
    is($plain->config_dir('size_threshold'), "$FindBin::Bin/config", 'config beside the script');
}

# A config hook.
push @{Qpsmtpd->hooks->{config}}, {
    name => 'from_a_hook',
    code => sub { my ($qp, $transaction, $name) = @_; return $name eq 'hooked' ? (900, 'a', 'b') : 909 },
};
is(join(' ', Test::Qpsmtpd->new->config('hooked')), 'a b', 'a config hook');

# Plugins from a list of its own.
mkdir "$dir/plugins" or die "$dir/plugins: $!";
write_file("$dir/plugins/own_plugin", "sub hook_noop { return (DENY, 'own plugin') }\n");
{
    package OwnPlugins;
    our @ISA = ('Test::Qpsmtpd');
    sub plugin_dirs { return "$dir/plugins" }
    sub config { my ($self, $name) = (shift, @_); return 'own_plugin' if $name eq 'plugins'; return $self->SUPER::config(@_) }
}
my $own = OwnPlugins->new;
my ($plugin) = $own->load_plugins;
is($plugin->plugin_name, 'own_plugin', 'load_plugins asks config and plugin_dirs, and returns the plugins');
is(join(' ', $own->command('NOOP')), '500 own plugin', 'which are in the chain');
done_testing;
