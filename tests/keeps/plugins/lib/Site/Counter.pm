package Site::Counter;

# Keeps things as modules do.

use strict;
use warnings;
use feature qw(state);
use Exporter qw(import);

our @EXPORT_OK = qw($exported @exported next_exported);
our $exported  = 0;
our @exported;
our $package = 0;
our $by_full_name = 0;
my $lexical = 0;
my @added;
my $instance;
my $shared = 0;
my %closures = (next => do { my $n = 0; sub { return ++$n } });

sub new { return bless {n => 0}, shift }
sub instance { $instance ||= shift->new; return $instance }
sub next_one { return ++$_[0]{n} }
sub next_package  { return ++$package }
sub next_lexical  { return ++$lexical }
sub next_state    { state $n = 0; return ++$n }
sub next_closure  { return $closures{next}->() }
sub next_exported { state $n = 0; return ++$n }
sub add { push @added, @_; return @added }
sub shared { return ++$shared }

1;
