# The stores behind a plugin's db(): the DBM file for real, Redis with a stand-in
# for the client module.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
my ($here, $modules);
BEGIN {
    $here    = dirname(abs_path(__FILE__));
    $modules = abs_path("$here/../../perl");
}
use lib $modules, "$here/lib";
use Test::More;
use HookTable;
use Qpsmtpd::Plugin;
use Qpsmtpd::DB;

is($INC{'Qpsmtpd/DB.pm'}, "$modules/Qpsmtpd/DB.pm", 'the module is our own');

my $dir = tempdir(CLEANUP => 1);

sub works_as_a_store {
    my ($db, $kind) = @_;
    ok($db->lock, "$kind: lock");
    ok($db->set('a', 1) && $db->set('b:c', 'two'), "$kind: set");
    is($db->get('a'), 1, "$kind: get");
    is($db->get('none'), undef, "$kind: a key that is not there");
    is_deeply([$db->mget('b:c', 'none', 'a')], ['two', undef, 1], "$kind: mget keeps the order");
    ok($db->unlock, "$kind: unlock");
    is_deeply([sort $db->get_keys], ['a', 'b:c'], "$kind: get_keys");
    is($db->size, 2, "$kind: size");
    is($db->delete('a'), 1, "$kind: delete");
    is($db->delete('a'), 0, "$kind: delete again");
    ok(defined $db->set('d', 0), "$kind: set without a lock");
    $db->flush;
    is($db->size, 0, "$kind: flush");
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    is_deeply([$db->$_], [], "$kind: $_ without a key gives nothing") for qw(get mget set delete);
    is_deeply(\@warned, [map { "No key provided, $_() failed\n" } qw(get mget set delete)], "$kind: and warns");
}

my $db = Qpsmtpd::DB->new(class => 'Qpsmtpd::DB::File::DBM', name => 'greylist', dir => $dir);
isa_ok($db, 'Qpsmtpd::DB::File::DBM');
is($db->name, 'greylist',           'the name');
is($db->dir,  $dir,                 'the directory');
is($db->path, "$dir/greylist.dbm", 'the path');
works_as_a_store($db, 'DBM');

# Two processes count in one file.
my @children = map {
    defined(my $child = fork) or die $!;
    if (!$child) {
        my $own = Qpsmtpd::DB->new(class => 'Qpsmtpd::DB::File::DBM', name => 'count', dir => $dir);
        for (1 .. 50) {
            $own->lock;
            $own->set('n', ($own->get('n') || 0) + 1);
            $own->unlock;
        }
        require POSIX;
        POSIX::_exit(0);
    }
    $child;
} 1, 2;
waitpid $_, 0 for @children;
is(Qpsmtpd::DB->new(class => 'Qpsmtpd::DB::File::DBM', name => 'count', dir => $dir)->get('n'), 100,
    'a lock keeps other processes out');

ok(!eval { Qpsmtpd::DB->new(class => 'Qpsmtpd::DB::Absent'); 1 }, 'an unknown class');
like($@, qr{^Couldn't load any storage modules\nCouldn't load Qpsmtpd::DB::Absent: Can't locate Qpsmtpd/DB/Absent\.pm}, 'is named');

# A server with numbered databases, as its client module shows it.
package Redis;
my @databases = ({});
our $down;
sub new { $Redis::down and die "Could not connect\n"; my ($class, %arg) = @_; return bless {db => 0, arg => \%arg}, $class }
sub _db { return $databases[$_[0]{db}] ||= {} }
sub select { my ($self, $index) = @_; $self->{selects}++; $self->{db} = $index; return 'OK' }
sub dbsize { return scalar keys %{$_[0]->_db} }
sub flushdb { %{$_[0]->_db} = (); return 'OK' }
sub get { return $_[0]->_db->{$_[1]} }
sub set { $_[0]->_db->{$_[1]} = $_[2]; return 'OK' }
sub mget { my ($self, @keys) = @_; return @{$self->_db}{@keys} }
sub del { my ($self, @keys) = @_; return scalar grep { defined } delete @{$self->_db}{@keys} }
sub keys { my ($self, $pattern) = @_; die "what is $pattern?" if $pattern ne '*'; return keys %{$self->_db} }
sub hgetall { return %{$_[0]->_db->{$_[1]} || {}} }
sub hset { my ($self, $hash, $key, $value) = @_; $self->_db->{$hash}{$key} = $value; return 1 }

package main;
$INC{'Redis.pm'} = __FILE__;
$databases[1] = {theirs => 'stays'};
my $redis = Qpsmtpd::DB->new(name => 'mine', cnx_timeout => 3);
isa_ok($redis, 'Qpsmtpd::DB::Redis');
isa_ok($redis->{redis}, 'Redis', 'its client');
is_deeply($redis->{redis}{arg}, {cnx_timeout => 3}, 'which gets the arguments that are not the name');
is($redis->index, 2, 'a name has the first database that is empty');
works_as_a_store($redis, 'Redis');
is_deeply($databases[0]{smtpd_stores}, {mine => 2}, 'database 0 tells whose it is');
is(Qpsmtpd::DB->new(name => 'mine')->index,   2, 'the same name has it again');
is(Qpsmtpd::DB->new(name => 'second')->index, 3, 'another name, empty as the first is, has the next');
is($databases[1]{theirs}, 'stays', 'the database of somebody else is left alone');
$redis->get('x');
my $selects = $redis->{redis}{selects};
$redis->get('y');
is($redis->{redis}{selects}, $selects, 'a database that is selected is not selected again');
{
    local $databases[0] = {theirs => 1};
    ok(!eval { Qpsmtpd::DB->new(class => 'Qpsmtpd::DB::Redis', name => 'x'); 1 }, 'a database 0 of somebody else');
    like($@, qr/Redis DB at index 0 is already populated!/, 'is refused');
}

# Where the DBM file is.
{
    my $home = tempdir(CLEANUP => 1);
    local $0 = "$home/program";
    mkdir "$home/$_" or die $! for qw(config named);
    my $new = sub { Qpsmtpd::DB::File::DBM->new(name => 'place', @_) };
    is($new->()->qphome, $home, 'the directory of the program');
    is_deeply([$new->()->candidate_dirs], ["$home/var/db", "$home/config"], 'the usual directories');
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    my $named = $new->();
    is_deeply([$named->candidate_dirs("$home/none", "$home/named")],
        ["$home/none", "$home/named", "$home/var/db", "$home/config"], 'those that are named come first');
    is_deeply([$named->candidate_dirs], [$named->candidate_dirs], 'and are remembered');
    is($named->dir, "$home/named", 'the first that exists is used');
    like("@warned", qr{\QDB directory '$home/none' does not exist\E\n.*\Q$home/named/place.dbm\E\n}s,
        'with a warning about those before it');
    is($named->dir("$home/config"), "$home/config", 'a directory that is named later');
    is($named->path, "$home/config/place.dbm", 'counts from then on');
    ok(!eval { $named->dir("$home/none"); 1 }, 'one that is not there');
    is($@, "DB directory '$home/none' does not exist\n", 'is refused');
    ok(!eval { $named->validate_dir(undef); 1 }, 'none at all, too');
    is($@, "Empty DB directory supplied\n", 'with its reason');
    rmdir "$home/config";
    ok(!eval { $new->()->dir; 1 }, 'no directory will do');
    like($@, qr{^Unable to find a useable database directory!\n\nDB directory '\Q$home\E/var/db' does not exist\n},
        'and all are told');
}
is($db->nfs_locking, undef, 'locks are flock\'s');
is($db->nfs_locking(1), 1, 'or such as hold over NFS');
ok($db->lock && $db->set(nfs => 1) && $db->unlock, 'which work as the others');
is($db->get('nfs'), 1, 'and so does the file');
$db->nfs_locking(0);
{
    my @warned;
    local $SIG{__WARN__} = sub { push @warned, @_ };
    my $gone = Qpsmtpd::DB::File::DBM->new(name => 'x', dir => "$dir/gone");
    ok(!$gone->lock, 'a lock that cannot be had is false');
    like("@warned", qr{\Q$dir/gone/x.dbm.lock\E}, 'and a warning');
}

# A plugin's own store.
package Qpsmtpd::Plugin::counter;
our @ISA = ('Qpsmtpd::Plugin');
sub plugin_name { 'counter' }

package main;
$Redis::down = 1;
my $plugin = Qpsmtpd::Plugin::counter->new;
is_deeply({$plugin->db_args(dir => $dir)}, {dir => $dir, name => 'counter', cnx_timeout => 1},
    'the store is named as the plugin, and a server has a second to answer');
is_deeply({$plugin->db_args}, {dir => $dir, name => 'counter', cnx_timeout => 1}, 'arguments are remembered');
ok(!eval { $plugin->$_('odd'); 1 } && $@ eq "Invalid db arguments\n", "$_ takes pairs only") for qw(db db_args);
isa_ok($plugin->db, 'Qpsmtpd::DB::File::DBM', 'without a Redis server it');
$plugin->db->set('x', 5);
is($plugin->db->get('x'), 5, 'a plugin stores and reads');
is($plugin->db->path, "$dir/counter.dbm", 'in its own file');
{
    no warnings 'once';
    local @Qpsmtpd::DB::child_classes = ('Test::Store');
    *Test::Store::new = sub { my ($class, %arg) = @_; bless {%arg}, $class };
    isa_ok(Qpsmtpd::DB->new(name => 'x'), 'Test::Store');
}
done_testing;
