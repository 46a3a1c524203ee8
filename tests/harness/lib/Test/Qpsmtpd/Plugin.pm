package Test::Qpsmtpd::Plugin;

# Methods that every plugin has while test scripts run: a plugin's tests are methods of it, named to
# register_test.

use strict;
use warnings;

package Qpsmtpd::Plugin;

use strict;
use warnings;

sub register_tests { return }

sub register_test {
    my ($self, $method, $count) = @_;
    push @{$self->{_tests}}, [$method, $count || 1];
    return;
}

sub total_tests {
    my $self  = shift;
    my $total = 0;
    $total += $_->[1] for @{$self->{_tests} || []};
    return $total;
}

sub run_tests {
    my ($self, $qp) = @_;
    for my $test (@{$self->{_tests} || []}) {
        my $method = $test->[0];
        local $self->{_qp} = $qp;
        $self->$method;
    }
    return;
}

1;
