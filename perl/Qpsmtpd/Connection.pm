package Qpsmtpd::Connection;

# The client's connection. Its fields and notes are XS.

use strict;
use warnings;

# start(remote_ip => ..., ...): a connection with these fields.
sub start {
    my ($self, %args) = @_;
    $self = $self->new unless ref $self;
    for my $field (qw(remote_host remote_ip remote_info remote_port local_ip local_port)) {
        $self->$field($args{$field}) if exists $args{$field};
    }
    return $self;
}

1;
