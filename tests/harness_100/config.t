# A config object reads, and logs, without a session.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../harness/lib";
use CDB_File;
use File::Temp qw(tempdir);
use Sys::Hostname;
use Test::More;
use Qpsmtpd::Config;
use Qpsmtpd::Constants;
use Test::Qpsmtpd;

my $dir = tempdir(CLEANUP => 1);
mkdir "$dir/parts" or die $!;

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', "$dir/$name" or die "$name: $!";
    print $out $text;
    close $out or die "$name: $!";
}
write_file('several', "  one \n# no\n\n\$include more\nfour\n");
write_file('more',    "two\nthree\n");
write_file('parts/b', "b\n");
write_file('parts/a', "a\n");
write_file('parts/.hidden', "no\n");
write_file('joined', "\$include $dir/parts\n");

$ENV{QPSMTPD_CONFIG} = $dir;
my $config = Qpsmtpd::Config->new;
isa_ok($config, 'Qpsmtpd::Config', 'what new makes');

is(join(' ', $config->from_file('several')), 'one two three four', 'from_file reads a name with what it includes');
is(scalar $config->from_file('several'), 'one', 'in scalar context the first line');
is(join(' ', $config->from_file('any', "$dir/more")), 'two three', 'and a file by its path');
is(join(' ', $config->from_file('any', "$dir/joined")), 'a b', 'a directory that is included counts in the order of names');
is_deeply([$config->from_file('none')], [], 'a name without a file');
is_deeply([$config->from_file('any', "$dir/none")], [], 'a path without a file');
is_deeply([$config->from_file('timeout')], [], 'defaults are not in it');
is_deeply([$config->expand_inclusion("$dir/more", 'here')], ["$dir/more"], 'an inclusion of a file is that file');
is_deeply([$config->expand_inclusion("$dir/parts", 'here')], ["$dir/parts/a", "$dir/parts/b"],
    'of a directory its files, without hidden ones');
is(join(' ', $config->get_qmail('several')), 'one two three four', 'get_qmail does the same for a name');
is_deeply([$config->get_qmail('none')], [], 'and gives nothing for one without a file');
is_deeply($config->get_qmail('none', 'map'), {}, 'of a map, an empty one');

is($config->default('timeout'), 1200, 'a default');
is($config->default('me'), hostname, 'the name of this host');
is_deeply([$config->default('several')], [], 'most names have none');
{
    local $Qpsmtpd::Config::defaults{'of the site'} = 0;
    is_deeply([$config->default('of the site')], [0], 'a site may add its own, false ones, too');
}

my %map = (key => 'value');
CDB_File::create(%map, "$dir/users.cdb", "$dir/users.tmp") or die "users.cdb: $!";
write_file('users', '');
is($config->get_qmail_map('users')->{key}, 'value', 'a map by its name, beside the file of that name');
is($config->get_qmail_map('any', "$dir/users.cdb")->{key}, 'value', 'and by its path');
is_deeply($config->get_qmail_map('any', "$dir/none.cdb"), {}, 'one that is not there is empty');

is($Qpsmtpd::Config::dir_memo{bogus}, undef, 'nobody has asked where this is');
is($config->config_dir('bogus'), '/var/qmail/control', 'what is nowhere would be in the last directory');
is($Qpsmtpd::Config::dir_memo{bogus}, '/var/qmail/control', 'which is remembered');
$Qpsmtpd::Config::dir_memo{bogus} = '/there';
is($config->config_dir('bogus'), '/there', 'and counts');
$Qpsmtpd::Config::config_cache{bogus} = ['x'];
$config->clear_cache;
is_deeply([\%Qpsmtpd::Config::dir_memo, \%Qpsmtpd::Config::config_cache], [{}, {}], 'clear_cache forgets');

{
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    local $Qpsmtpd::LOGGING_LOADED = 0;
    ok($config->log(LOGWARN, 'a', 'b'), 'a warning of the config object is written');
    $config->log(LOGNOTICE, 'c');
    is("@warned", "$$ a b\n", 'on STDERR while no logger is there; what is less important is not');
}

my $smtpd = Test::Qpsmtpd->new;
isa_ok($smtpd->conf, 'Qpsmtpd::Config', 'what a session reads with');
is($smtpd->conf, $smtpd->conf, 'which is one object');
is(join(' ', $smtpd->config('several')), 'one two three four', 'its files do not depend on a config_dir of the class');
push @{Qpsmtpd->hooks->{config}}, {
    name => 'hooked',
    code => sub { my ($qp, $transaction, $name) = @_; return $name eq 'several' ? (OK, ref $qp) : DECLINED },
};
is(join(' ', $config->config($smtpd, 'several')), 'Test::Qpsmtpd', 'config asks the hooks of the session that is given');
is(join(' ', $config->config($smtpd, 'more')), 'two three', 'then the file');
is($config->config($smtpd, 'timeout'), 1200, 'then the default');
done_testing;
