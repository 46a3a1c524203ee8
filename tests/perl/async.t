# The package's plugins for qpsmtpd-async: each is refused with the name of its
# twin, which is there. A plugin in a directory async that needs no event loop loads.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use File::Temp qw(tempdir);
my $modules;
BEGIN { $modules = abs_path(dirname(__FILE__) . '/../../perl') }
use lib $modules, dirname(abs_path(__FILE__)) . '/lib';
use Test::More;
use Probe;
use HookTable;
use Qpsmtpd::PluginLoader;
BEGIN { $ENV{PROBE_MODULES} = "$modules/Qpsmtpd" }

my $package = '/usr/share/qpsmtpd/plugins';
-d $package or BAIL_OUT("$package is missing: install Debian's package qpsmtpd");

sub load {
    my ($name, @dirs) = @_;
    return eval { Qpsmtpd::PluginLoader::load_plugin(new_session(dirs => \@dirs), $name, @dirs) };
}

my @names;
find({no_chdir => 1, wanted => sub { push @names, substr $_, 1 + length $package if -f }}, "$package/async");
is(scalar @names, 7, 'the package has seven of them');
for my $name (sort @names) {
    (my $twin = $name) =~ s{^async/}{};
    ok(-f "$package/$twin", "$name has a twin");
    load($name, $package);
    is($@, "plugin $name is written for the event loop of qpsmtpd-async, which Camelpost does not have: "
        . "use $twin in its place, which does the same\n", 'its twin is named');
}

my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/async" or die $!;
sub plugin {
    my ($name, $text) = @_;
    open my $out, '>', "$dir/async/$name" or die $!;
    print $out $text;
    close $out or die $!;
}
plugin(waits => "sub hook_rcpt { return YIELD }\n");
load('async/waits', $dir);
like($@, qr/there is no waits to use in its place$/, 'where there is no twin, that is said');
plugin(plain => "sub hook_rcpt { return OK }\n");
ok(load('async/plain', $dir), 'a plugin that needs no event loop is loaded');

done_testing;
