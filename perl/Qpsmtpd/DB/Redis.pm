package Qpsmtpd::DB::Redis;

# Keys and values in Redis, each under "NAME:". Needs the CPAN module Redis; the
# connection is made at once, so that a missing server is found at start.

use strict;
use warnings;
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

sub new {
    my ($class, %arg) = @_;
    require Redis;
    my $self = bless {name => delete $arg{name} // 'db', arguments => \%arg}, $class;
    $self->_redis;
    return $self;
}

# A worker must not share the connection that was made before its fork. Its sessions do share one:
# $$ tells them apart.
sub _redis {
    my $self = shift;
    my $pid = defined &Camelpost::pid ? Camelpost::pid() : $$;
    if (!$self->{redis} || $self->{pid} != $pid) {
        $self->{redis} = Redis->new(%{$self->{arguments}}) or die "no Redis server\n";
        $self->{pid}   = $pid;
    }
    return $self->{redis};
}

sub _key { return "$_[0]{name}:$_[1]" }

sub get { my ($self, $key) = @_; return $self->_redis->get($self->_key($key)) }

sub mget {
    my ($self, @keys) = @_;
    return @keys ? $self->_redis->mget(map { $self->_key($_) } @keys) : ();
}

sub set { my ($self, $key, $value) = @_; return $self->_redis->set($self->_key($key), $value) }

sub delete {
    my ($self, @keys) = @_;
    return @keys ? $self->_redis->del(map { $self->_key($_) } @keys) : 0;
}

sub get_keys {
    my $self = shift;
    (my $pattern = "$self->{name}:") =~ s/([*?\[\]\\])/\\$1/g;
    my $prefix = length "$self->{name}:";
    return map { substr $_, $prefix } $self->_redis->keys("$pattern*");
}

sub size { return scalar(my @keys = $_[0]->get_keys) }

sub flush { my $self = shift; return $self->delete($self->get_keys) }

1;
