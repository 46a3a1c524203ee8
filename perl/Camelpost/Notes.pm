package Camelpost::Notes;

# The hash behind {_notes} of a connection or a transaction: it is tied to the notes, which
# the host keeps. FETCH, STORE, DELETE and CLEAR are the host's.

use strict;
use warnings;

sub TIEHASH { return $_[1] }

sub EXISTS {
    my ($self, $key) = @_;
    return scalar grep { $_ eq $key } $self->_keys;
}

sub FIRSTKEY {
    my $self = shift;
    $self->{left} = [$self->_keys];
    return shift @{$self->{left}};
}

sub NEXTKEY { return shift @{$_[0]{left}} }

sub SCALAR { return scalar(my @keys = $_[0]->_keys) }

# A reference to such a hash.
sub hash {
    my $notes = shift;
    tie my %hash, 'Camelpost::Notes', $notes;
    return \%hash;
}

1;
