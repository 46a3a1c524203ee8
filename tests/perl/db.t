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
    $db->set('d', 0);
    is($db->get('d'), 0, "$kind: set without a lock");
    $db->flush;
    is($db->size, 0, "$kind: flush");
    is_deeply([$db->mget], [], "$kind: mget of nothing");
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
like($@, qr{^no database can be opened:\n  Qpsmtpd::DB::Absent: Can't locate Qpsmtpd/DB/Absent\.pm}, 'is named');

package Redis;
# A client module that keeps all in a hash: there is no server here.
our (%all, $down);
sub new { my ($class, %args) = @_; die "Could not connect\n" if $Redis::down; return bless {%args, db => 0}, $class }
sub in_use { return $all{$_[0]{db}} ||= {} }
sub select { $_[0]{db} = $_[1]; return 'OK' }
sub dbsize { return scalar CORE::keys %{$_[0]->in_use} }
sub get { return $_[0]->in_use->{$_[1]} }
sub set { $_[0]->in_use->{$_[1]} = $_[2]; return 'OK' }
sub mget { my ($self, @keys) = @_; return @{$self->in_use}{@keys} }
sub del { my ($self, @keys) = @_; return scalar grep { defined } delete @{$self->in_use}{@keys} }
sub keys { return sort(CORE::keys %{$_[0]->in_use}) }
sub flushdb { %{$_[0]->in_use} = (); return 'OK' }
sub hset { $_[0]->in_use->{$_[1]}{$_[2]} = $_[3]; return 1 }
sub hgetall { return %{$_[0]->in_use->{$_[1]} || {}} }

package main;
$INC{'Redis.pm'} = __FILE__;
my $other = Qpsmtpd::DB->new(name => 'other');
$other->set('a', 'stays');
my $redis = Qpsmtpd::DB->new(name => 'mine');
isa_ok($redis, 'Qpsmtpd::DB::Redis');
works_as_a_store($redis, 'Redis');
is($other->get('a'), 'stays', 'the keys of another name are left alone');

# A plugin's own store.
package Qpsmtpd::Plugin::counter;
our @ISA = ('Qpsmtpd::Plugin');
sub plugin_name { 'counter' }

package main;
$Redis::down = 1;
my $plugin = Qpsmtpd::Plugin::counter->new;
is_deeply({$plugin->db_args(dir => $dir)}, {dir => $dir, name => 'counter', cnx_timeout => 1}, 'the store is named as the plugin');
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
