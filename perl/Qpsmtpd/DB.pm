package Qpsmtpd::DB;

# A small store of keys and values for plugins (qpsmtpd 1.00): Redis where there
# is one, else a DBM file. This file chooses; the stores are in Qpsmtpd::DB::*.

use strict;
use warnings;

# Tried in this order; harnesses put their own in.
our @child_classes = qw(Qpsmtpd::DB::Redis Qpsmtpd::DB::File::DBM);

# Named arguments: class takes that store and no other; name and what else there
# is goes to the store.
sub new {
    my ($class, %arg) = @_;
    my $wanted = delete $arg{class};
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
        push @errors, "$store: " . ($@ || "gives no object\n");
    }
    die "no database can be opened:\n", map { "  $_" } @errors;
}

# A store that needs no locks.
sub lock   { return 1 }
sub unlock { return 1 }

sub name {
    my ($self, $name) = @_;
    $self->{name} = $name if $name;
    return $self->{name};
}

1;
