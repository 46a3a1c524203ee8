package Own::Counter;

# In lib below the working directory.

use strict;

our $package = 0;
my $lexical = 0;
my %cache;
my @order;

sub next_package { return ++$package }
sub next_lexical { return ++$lexical }
sub cached { my $tag = shift; $cache{$tag} ||= do { push @order, $tag; 1 }; return @order }

1;
