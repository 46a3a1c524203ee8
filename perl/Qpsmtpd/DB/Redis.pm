package Qpsmtpd::DB::Redis;

# Keys and values in Redis, each store in a numbered database of its own, laid out as 1.00 does: what
# its stores have is found again. Database 0 is a table of the names. Needs the CPAN module Redis; the
# connection is made at once, so that a missing server is found at start.

use strict;
use warnings;
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

# In database 0: a mark that it is ours, and the hash of names and numbers.
my ($mark, $table) = qw(___smtpd_reserved___ smtpd_stores);

sub new {
    my ($class, %arg) = @_;
    my $self = bless {name => delete $arg{name} // 'db', redis_args => \%arg}, $class;
    $self->init_db;
    return $self;
}

sub init_redis {
    my $self = shift;
    require Redis;
    $self->{redis} = Redis->new(%{$self->{redis_args}}) or die "no Redis server\n";
    # A worker must not share the connection that was made before its fork. Its sessions do share one:
    # $$ tells them apart.
    $self->{pid} = defined &Camelpost::pid ? Camelpost::pid() : $$;
    delete $self->{selected};
    return $self->{redis};
}

# Nothing of anybody else's is written over.
sub init_db {
    my $self = shift;
    my $redis = $self->redis(0);
    return if $redis->get($mark);
    die "Redis database 0 is in use for something else\n" if $redis->dbsize;
    $redis->set($mark => 1);
    return;
}

# The connection, with that database selected, or the store's own.
sub redis {
    my ($self, $index) = @_;
    my $pid = defined &Camelpost::pid ? Camelpost::pid() : $$;
    $self->init_redis if !$self->{redis} || $self->{pid} != $pid;
    $index = $self->index unless defined $index;
    if (!defined $self->{selected} || $self->{selected} != $index) {
        $self->{redis}->select($index);
        $self->{selected} = $index;
    }
    return $self->{redis};
}

# The number of the store's database: the table's, or the first that is nobody's and empty.
sub index {
    my $self = shift;
    return $self->{index} if $self->{index};
    my %number_of = $self->redis(0)->hgetall($table);
    return $self->{index} = $number_of{$self->name} if $number_of{$self->name};

    my %taken = reverse %number_of;
    # Selecting one that the server does not have is an error, so none is looked at in vain.
    for my $index (grep { !$taken{$_} } 1 .. 255) {
        next if $self->redis($index)->dbsize;
        $self->redis(0)->hset($table, $self->name => $index);
        return $self->{index} = $index;
    }
    die "no Redis database is free\n";
}

sub get { my ($self, $key) = @_; return $self->redis->get($key) }

sub mget {
    my ($self, @keys) = @_;
    return @keys ? $self->redis->mget(@keys) : ();
}

sub set { my ($self, $key, $value) = @_; return $self->redis->set($key, $value) }

sub delete {
    my ($self, @keys) = @_;
    return @keys ? $self->redis->del(@keys) : 0;
}

sub get_keys { return $_[0]->redis->keys('*') }
sub size     { return $_[0]->redis->dbsize }
sub flush    { return $_[0]->redis->flushdb }

1;
