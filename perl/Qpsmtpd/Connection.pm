package Qpsmtpd::Connection;

# The client's connection. Its fields and notes are XS.

use strict;
use warnings;

sub new {
    my $proto = shift;
    my $class = ref $proto || $proto;
    return $class->_new;
}

# start(remote_ip => ..., ...): a connection with these fields.
sub start {
    my ($self, %args) = @_;
    $self = $self->new unless ref $self;
    for my $field (
        qw(remote_host remote_ip remote_info remote_port local_ip local_port relay_client))
    {
        $self->$field($args{$field}) if exists $args{$field};
    }
    return $self;
}

# The same client with notes of the same values, and without its greeting.
sub clone {
    my ($self, %args) = @_;
    my $new = $self->new;
    $new->_take($self);
    return $new;
}

1;
