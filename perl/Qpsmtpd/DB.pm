package Qpsmtpd::DB;

# A small store of keys and values for plugins (qpsmtpd 1.00): the one that
# config/store names; where it names none, Redis where there is one, else a DBM
# file. This file chooses; the stores are in Qpsmtpd::DB::*.

use strict;
use warnings;

# Tried in this order; harnesses put their own in.
our @child_classes = qw(Qpsmtpd::DB::Redis Qpsmtpd::DB::File::DBM);
my @usual = @child_classes;

# Whether config/store names one. Outside of Camelpost nobody knows.
sub _is_named { return defined &Camelpost::_store_place && defined Camelpost::_store_place() }

# Named arguments: class takes that store and no other; name and what else there
# is goes to the store. Where none can be had, each one's reason is told.
sub new {
    my ($class, %arg) = @_;
    my $wanted = delete $arg{class};
    # The plugin's choice is that between those two.
    $wanted = 'Qpsmtpd::DB::Camelpost'
      if (!$wanted || grep { $wanted eq $_ } @usual) && "@child_classes" eq "@usual" && _is_named();
    my @errors;
    for my $store ($wanted ? $wanted : @child_classes) {
        my $made = eval {
            if (!$store->can('new') || $store->can('new') == \&new) {
                (my $file = "$store.pm") =~ s{::}{/}g;
                require $file;
            }
            $store->new(%arg);
        };
        return $made if $made;
        push @errors, "Couldn't load $store: " . ($@ || "it gives no object\n");
    }
    die join "\n", "Couldn't load any storage modules", @errors;
}

# A store that needs no locks.
sub lock   { return 1 }
sub unlock { return 1 }

# Sets the name where one is given.
sub name {
    my ($self, $name) = @_;
    $self->{name} = $name if $name;
    return $self->{name};
}

# Whether a caller has named a key at all; a warning where not.
sub _has_key {
    my ($operation, @keys) = @_;
    return 1 if @keys && defined $keys[0] && length $keys[0];
    warn "No key provided, $operation() failed\n";
    return 0;
}

1;
