# What the plugin loader makes of lines of config/plugins, and what it says when
# one is wrong.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
my ($here, $modules);
BEGIN {
    $here    = dirname(abs_path(__FILE__));
    $modules = abs_path("$here/../../perl");
    chdir "$here/fixtures" or die $!;
}
use lib $modules, "$here/lib", 'lib';
use Test::More;
use Probe;
use HookTable;
use Qpsmtpd::PluginLoader;
BEGIN { $ENV{PROBE_MODULES} = "$modules/Qpsmtpd" }

is($INC{'Qpsmtpd/PluginLoader.pm'}, "$modules/Qpsmtpd/PluginLoader.pm", 'the loader is our own');
is($INC{'Qpsmtpd/Plugin.pm'},       "$modules/Qpsmtpd/Plugin.pm",       'the plugin class is our own');
ok(!$INC{'Net/DNS.pm'}, 'Net::DNS is not loaded without need');

my @dirs = ('plugins/none', 'plugins');
my $searched = "plugins/none, plugins (relative to $here/fixtures)";
my ($session, @log);
{
    no warnings 'once';
    *Probe::Session::log = sub { shift; push @log, "@_" };
}
local $SIG{__WARN__} = sub { push @log, "warning @_" };

sub load {
    my $line = shift;
    @log     = ();
    $session = new_session(dirs => \@dirs);
    return eval { Qpsmtpd::PluginLoader::load_plugin($session, $line, @dirs) };
}

sub hook { return join ' ', grep { defined } map { $_->{code}->($session) } @{$session->hooks->{$_[0]}} }

sub dies_with {
    my ($line, $message, $name) = @_;
    load($line);
    is($@, $message, $name);
}

#
# Names
#

my %package = (
    'quits'             => 'Qpsmtpd::Plugin::quits',
    'logterse.pl'       => 'Qpsmtpd::Plugin::logterse_2epl',
    'queue/qmail-queue' => 'Qpsmtpd::Plugin::queue::qmail_2dqueue',
    'queue//maildir'    => 'Qpsmtpd::Plugin::queue::maildir',
    'NAME:0'            => 'Qpsmtpd::Plugin::NAME_3a0',
    'queue/maildir:12'  => 'Qpsmtpd::Plugin::queue::maildir_3a12',
    'a/0b'              => 'Qpsmtpd::Plugin::a::_30b',
    'my_plugin'         => 'Qpsmtpd::Plugin::my_plugin',
);
is(Qpsmtpd::PluginLoader::plugin_package($_), $package{$_}, "$_ is $package{$_}") for sort keys %package;

#
# Files
#

isa_ok(load('quits'), 'Qpsmtpd::Plugin::quits');
is("@log", '7 Loading quits from plugins/quits 7 quits hooking quit', 'loading is logged with the line and the file');
is($session->hooks->{quit}[0]{name}, 'quits', 'the chain entry has the name');
load('quits again');
is("@log", '7 quits hooking quit', 'a second line of the same plugin does not compile again');
isa_ok(load("quits:1\tone  two "), 'Qpsmtpd::Plugin::quits_3a1');
is($session->hooks->{quit}[0]{name}, 'quits_3a1', 'a number gives another name');
is(Qpsmtpd::PluginLoader::plugin_file('quits:3', 'plugins/'), 'plugins/quits', 'a slash after a directory is left out');
is(load('sub/with-dash.pl')->plugin_name, 'sub::with_2ddash_2epl', 'a plugin in a subdirectory');
load('with_data');
is(hook('quit'), "first\nsecond\n", 'a plugin reads its __DATA__');

dies_with("quits\x01", "unsafe characters in config line: quits\x01\n", 'a control byte is refused');
isa_ok(load("quits \xe9"), 'Qpsmtpd::Plugin::quits', 'a line with an 8-bit byte');
dies_with('  ', "no plugin name in '  '\n", 'an empty line is refused');
dies_with('no_such a', "plugin no_such not found; directories searched: $searched\n",
    'an unknown plugin names the directories');
dies_with('sub', "plugin sub not found; directories searched: $searched\n", 'a directory is no plugin');
dies_with('quits:x', "plugin quits:x not found; directories searched: $searched\n", 'NAME:x is no number');
is(eval { Qpsmtpd::PluginLoader::load_plugin(new_session(), 'no_such'); 1 } // $@,
    "plugin no_such not found; directories searched: none (see plugin_dirs)\n", 'no directories at all');

#
# Modules
#

my $module = load('My::Good one two');
isa_ok($module, 'My::Good');
is($module->plugin_name, 'My::Good', 'a module plugin is named as its module');
is($module->{args}, 'one two', 'a module plugin gets its arguments');
is($log[0], '7 Loading My::Good (My::Good one two)', 'loading a module is logged');
is(load('My::Named')->plugin_name, 'own name', 'a module may name itself');
isa_ok(load('My::Heir'), 'My::Heir::_isa_quits');
is(hook('quit'), 'quits', 'a module plugin inherits from a file');

dies_with('My::Good:0', "plugin My::Good:0: a plugin that is a module cannot be loaded under a number\n",
    'a module under a number is refused');
dies_with('My::Other', "plugin My::Other: lib/My/Other.pm does not inherit from Qpsmtpd::Plugin\n",
    'a module that is no plugin is refused');
dies_with('My::../x', "plugin My::../x: not the name of a module\n", 'a path is no module name');
load('My::Absent');
like($@, qr{^plugin My::Absent not found: no My/Absent\.pm in any directory of \@INC: .*, lib, }, 'an unknown module names @INC');
my $searched_for = ' (@INC contains: ' . join(' ', grep { !ref } @INC) . ')';
dies_with('My::Needs', 'plugin My::Needs does not compile: the Perl module Absent::Module is missing '
      . "(on CPAN: Absent::Module), needed at lib/My/Needs.pm line 3$searched_for\n",
    'a module that needs a missing module');
load('My::Wrong');
like($@, qr{^plugin My::Wrong does not compile: syntax error at lib/My/Wrong\.pm line 2}, 'a module with a syntax error');

#
# Plugins that do not load
#

my $missing = 'the Perl module Absent::Module is missing (on CPAN: Absent::Module), needed at ';
dies_with('needs_module', "plugin needs_module does not compile: ${missing}plugins/needs_module line 2$searched_for\n", 'a missing module');
dies_with('needs_module', "plugin needs_module does not compile: ${missing}plugins/needs_module line 2$searched_for\n", 'the second try says the same');
delete $INC{'My/Needs.pm'};
dies_with('needs_deep',
    "plugin needs_deep does not compile: ${missing}lib/My/Needs.pm line 3, loaded from plugins/needs_deep line 3$searched_for\n",
    'a missing module that another module needs');
dies_with('needs_late', "plugin needs_late: ${missing}plugins/needs_late line 1$searched_for\n", 'a missing module found in register');
dies_with('needs_unpackaged', 'plugin needs_unpackaged does not compile: the Perl module Mail::SPF::Query is missing '
      . "(not packaged by Debian; on CPAN: Mail::SPF::Query), needed at plugins/needs_unpackaged line 2$searched_for\n",
    'a missing module that Debian does not have');
load('bad_syntax');
like($@, qr{^plugin bad_syntax does not compile: syntax error at plugins/bad_syntax line \d, at EOF\n}, 'a syntax error');
dies_with('dies_in_register', "plugin dies_in_register: bad arguments at plugins/dies_in_register line 2.\n", 'a die in register');
dies_with('bad_hook', "plugin bad_hook: bad_hook : Invalid hook: no_such_hook at plugins/bad_hook line 2.\n", 'an unknown hook');
dies_with('orphan', "plugin orphan: cannot find plugin 'no_such_parent' (searched plugins/none, plugins) at plugins/orphan line 1.\n",
    'a missing parent');
load('bad_parent');
like($@, qr{^plugin bad_parent: syntax error at plugins/bad_syntax line \d}, 'a parent with a syntax error');

my %distribution = (
    'Mail::Header'        => 'libmailtools-perl MailTools',
    'Net::DNS::Resolver'  => 'libnet-dns-perl Net::DNS',
    'Net::IP'             => 'libnet-ip-perl Net::IP',
    'IO::Socket::SSL'     => 'libio-socket-ssl-perl IO::Socket::SSL',
    'Danga::Socket'       => 'libdanga-socket-perl Danga::Socket',
    'Mail::SPF::Server'   => 'libmail-spf-perl Mail::SPF',
    'LWP::Simple'         => 'libwww-perl LWP',
);
is(join(' ', (Qpsmtpd::PluginLoader::distribution($_))[0, 1]), $distribution{$_}, "$_ is in $distribution{$_}")
  for sort keys %distribution;
{
    no warnings 'redefine';
    local *Qpsmtpd::PluginLoader::_is_package = sub { $_[0] eq 'libsome-known-perl' };
    is((Qpsmtpd::PluginLoader::distribution('Some::Known'))[0], 'libsome-known-perl', 'a package that exists is named');
    is((Qpsmtpd::PluginLoader::distribution('Some::Other'))[0], undef, 'a package that does not exist is not named');
}

#
# The plugin class where it differs from the original on purpose
#

my $plugin = load('quits:2');
$plugin->{_qp} = $session;
my @lines;
{
    no warnings 'once';
    *Probe::Session::varlog = sub { shift; push @lines, join '|', map { $_ // 'undef' } @_ };
}
$plugin->{_args} = {loglevel => '8'};
$plugin->log(5, 'first');
$plugin->log(5, 'second');
is_deeply(\@lines,
    ["3|undef|quits_3a2|loglevel '8' is none of N, +N, -N (N from 0 to 7) or a name like LOGINFO: ignored",
        '5|undef|quits_3a2|first', '5|undef|quits_3a2|second'],
    'a wrong loglevel is told once and leaves the level as it is (the original never returns)');
$plugin->{_args} = {loglevel => 'LOGWARN'};
is($plugin->adjust_log_level(7), 4, 'loglevel takes a name');

$session = new_session(dirs => \@dirs, _test_mode => 1);
$plugin = Qpsmtpd::PluginLoader::load_plugin($session, 'tested', @dirs);
is($plugin->register_tests, 'tests 5 t/plugin_tests/tested line 1',
    'in test mode a plugin has the tests of t/plugin_tests, which see its private variables');
for my $name (qw(quits with_end)) {
    Qpsmtpd::Plugin->compile("t_$name", "Qpsmtpd::Plugin::t_$name", "plugins/$name", 1, $name);
}
is(Qpsmtpd::Plugin::t_quits->register_tests, 'tests of quits', 'a plugin is joined with its tests');
ok(!Qpsmtpd::Plugin::t_with_end->can('register_tests'), 'behind __END__ they are not compiled, as in the original');
ok($plugin->can($_), "where plugins have tests they have $_") for qw(ok is is_deeply);
ok(!load('quits')->can('is_deeply'), 'and elsewhere not');
ok(load('names_net_dns')->resolver, 'a plugin that names Net::DNS::Resolver finds it loaded');

#
# Names of 1.00
#

for my $ip (qw(127.0.0.1 127.8.8.8 ::1 ::ffff:127.0.0.1)) {
    ok($plugin->is_localhost($ip), "$ip is this host");
}
ok(!$plugin->is_localhost($_), "$_ is not this host") for qw(128.0.0.1 ::2 ::ffff:10.0.0.1 localhost example.org 0:0:0:0:0:0:0:1), '';
ok($plugin->is_valid_ip($_), "$_ is an address") for qw(1.2.3.4 1.2.3 ::1 2001:db8::1 ::ffff:1.2.3.4);
ok(!$plugin->is_valid_ip($_), "$_ is no address") for qw(1..3 1.2.3.256 ::g example.org 1.2.3.4.5), '';
ok($plugin->is_ipv6('2001:db8::1'), '2001:db8::1 is IPv6');
ok(!$plugin->is_ipv6($_), "$_ is not IPv6") for qw(1.2.3.4 a:b), '';
{
    local $ENV{HOME} = '/home/me';
    is($plugin->tildeexp('~/x'), '/home/me/x', 'a tilde is the home directory');
    is($plugin->tildeexp('/x/~'), '/x/~', 'a tilde elsewhere is left');
    is($plugin->tildeexp('~no.such.user/x'), '~no.such.user/x', 'an unknown user is left');
    is(Qpsmtpd::Utils::tildeexp('~root/x'), (getpwnam 'root')[7] . '/x', "a user's home directory");
}
$plugin->{_qp} = $session;
my $resolver = $plugin->get_resolver;
isa_ok($resolver, 'Net::DNS::Resolver');
is($plugin->init_resolver, $resolver, 'there is one resolver in a plugin');
is($resolver->udp_timeout, 5, 'it waits five seconds');

done_testing;
