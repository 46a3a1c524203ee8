# A class with fields (perl 5.38). What only field initialisers and ADJUST refer to is in no sub.
use strict;
use warnings;
use feature 'class';
no warnings 'experimental::class';

class Fields::KeptBase {
    field $n = 0;
    method next_of_base { return ++$n }
}

my $made     = 0;
my $adjusted = 0;

class Fields::Kept :isa(Fields::KeptBase) {
    field $n = 0;
    field @tags;
    field %seen;
    field $number = ++$made;
    field $adjusted_as;
    field $counter;
    ADJUST {
        $adjusted_as = ++$adjusted;
        my $count = 0;
        $counter = sub { return ++$count };
    }
    method next_one { return ++$n }
    method tagged   { push @tags, shift; return @tags }
    method seen     { $seen{shift()}++; return scalar keys %seen }
    method number   { return $number }
    method adjusted { return $adjusted_as }
    method counter  { return $counter }
}

1;
