# What Fields/Classes.pm has, in plain objects.
package Fields::Kept;
use strict;
use warnings;

my $made     = 0;
my $adjusted = 0;

sub new {
    my $count = 0;
    return bless {
        n => 0, of_base => 0, tags => [], seen => {}, number => ++$made, adjusted => ++$adjusted,
        counter => sub { return ++$count },
    }, shift;
}
sub next_of_base { return ++$_[0]{of_base} }
sub next_one     { return ++$_[0]{n} }
sub tagged       { my ($self, $tag) = @_; push @{$self->{tags}}, $tag; return @{$self->{tags}} }
sub seen         { my ($self, $tag) = @_; $self->{seen}{$tag}++; return scalar keys %{$self->{seen}} }
sub number       { return $_[0]{number} }
sub adjusted     { return $_[0]{adjusted} }
sub counter      { return $_[0]{counter} }

1;
