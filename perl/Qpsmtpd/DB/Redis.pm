package Qpsmtpd::DB::Redis;

# Keys and values in Redis, laid out as qpsmtpd 1.00 has them, so that both may share a server: each
# name has one of the server's numbered databases to itself, and database 0 says which (the hash
# smtpd_stores). A server whose database 0 belongs to somebody else is refused. Needs the CPAN module
# Redis; the connection is made at once, so that a missing server is found at start.

use strict;
use warnings;
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

my $reserved = '___smtpd_reserved___';    # the key that marks database 0 as ours
my $stores   = 'smtpd_stores';
my $last     = 255;                       # the highest number that is tried

# Named arguments: name, and those of Redis->new (server, cnx_timeout, ...).
sub new {
    my ($class, %arg) = @_;
    my $self = bless {}, $class;
    $self->name(delete $arg{name}) if defined $arg{name};
    $self->{redis_args} = {%arg};
    $self->init_db;
    return $self;
}

sub init_redis {
    my $self = shift;
    require Redis;
    # Not before Redis is there, which may be long after this file was loaded.
    @MyRedis::ISA = ('Redis');
    my $redis = MyRedis->new(%{$self->{redis_args}}) or die "no Redis server\n";
    $redis->selected(0);
    @$self{qw(redis pid)} = ($redis, _pid());
    return $redis;
}

sub init_db {
    my $self  = shift;
    my $redis = $self->init_redis;
    return if $redis->get($reserved);
    die "Redis DB at index 0 is already populated!\n" if $redis->dbsize;
    return $redis->set($reserved => 1);
}

# The sessions of a worker share its connection, though each has a $$ of its own.
sub _pid { return defined &Camelpost::pid ? Camelpost::pid() : $$ }

# The client, with this database selected: the name's own where no number is given. A process does
# not use the connection that was made before its fork.
sub redis {
    my ($self, $index) = @_;
    $self->init_redis if $self->{pid} && $self->{pid} != _pid();
    my $redis = $self->{redis} or die "Redis is not connected\n";
    $redis->select(defined $index ? $index : $self->index);
    return $redis;
}

# The number of the name's own database: the one that database 0 tells, else the first that nobody
# has, which is the name's from then on.
sub index {
    my $self = shift;
    return $self->{index} if $self->{index};

    my %index_of = $self->redis(0)->hgetall($stores);
    my $name     = $self->name;
    return $self->{index} = $index_of{$name} if $index_of{$name};

    my %is_taken = map { $_ => 1 } values %index_of;
    for my $index (grep { !$is_taken{$_} } 1 .. $last) {
        next if $self->redis($index)->dbsize;
        $self->redis(0)->hset($stores, $name => $index);
        return $self->{index} = $index;
    }
    die "no database left in Redis for $name\n";
}

sub get {
    my ($self, $key) = @_;
    return Qpsmtpd::DB::_has_key('get', $key) ? $self->redis->get($key) : ();
}

sub mget {
    my ($self, @keys) = @_;
    return Qpsmtpd::DB::_has_key('mget', @keys) ? $self->redis->mget(@keys) : ();
}

sub set {
    my ($self, $key, $value) = @_;
    return Qpsmtpd::DB::_has_key('set', $key) ? $self->redis->set($key, $value) : ();
}

sub delete {
    my ($self, @keys) = @_;
    return Qpsmtpd::DB::_has_key('delete', @keys) ? $self->redis->del(@keys) : ();
}

sub get_keys { return $_[0]->redis->keys('*') }
sub size     { return $_[0]->redis->dbsize }
sub flush    { return $_[0]->redis->flushdb }

# The client module, which does not ask the server for the database that it has selected already.
package MyRedis;

sub select {
    my ($self, $index) = @_;
    return if $index == $self->selected;
    my $answer = $self->SUPER::select($index);
    $self->selected($index);
    return $answer;
}

# -1 before any.
sub selected {
    my ($self, $index) = @_;
    $self->{selected} = $index if defined $index;
    return defined $self->{selected} ? $self->{selected} : -1;
}

1;
