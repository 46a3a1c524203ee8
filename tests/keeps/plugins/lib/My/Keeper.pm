package My::Keeper;

# A package plugin.

use strict;
use warnings;
use feature qw(state);
use Keeps;
use Qpsmtpd::Constants;
use parent qw(Qpsmtpd::Plugin);

my $lexical = 0;
my @array;
our $package = 0;
our %package;
my $closure = do { my $n = 0; sub { return ++$n } };

sub register { my ($self) = @_; $self->{number} = 0; return }

sub hook_unrecognized_command {
    my ($self, $transaction, @rest) = @_;
    Keeps::touch($self, @rest);
    return DECLINED;
}

sub keep_lexical { return ++$lexical }
sub keep_array   { push @array, $_[2]; return Keeps::said(@array) }
sub keep_package { return ++$package }
sub keep_package_hash { $package{$_[2]} = 1; return scalar keys %package }
sub keep_closure { return $closure->() }
sub keep_state   { state $n = 0; return ++$n }
sub keep_number  { return ++$_[0]{number} }
sub keep_inner   { return My::Keeper::Inner::next_one() }

package My::Keeper::Inner;

my $count = 0;
sub next_one { return ++$count }

1;
