package Site::Lazy;

# Loaded by a hook, not before.

use strict;

our $package = 0;
my $lexical  = 0;
my $instance = bless {n => 0};

sub instance     { return $instance }
sub next_one     { return ++$_[0]{n} }
sub next_package { return ++$package }
sub next_lexical { return ++$lexical }

1;
