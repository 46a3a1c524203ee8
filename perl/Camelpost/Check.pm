package Camelpost::Check;

# What in a loaded plugin was meant otherwise, for `camelpost check`: subs that are named as those of hooks are,
# and belong to none; methods that are registered for a hook, and are not there. Changes nothing, and words nothing.

use strict;
use warnings;
use B   ();
use mro ();
use Qpsmtpd::Plugin;

# ($plugin, hook, method, ...): for each that is odd its kind, file, line and name. Methods that are code are no
# concern of this.
sub look {
    my ($plugin, %registered) = (shift, ());
    while (my ($hook, $method) = splice @_, 0, 2) {
        $registered{$method} = $hook unless ref $method;
    }
    my %known = map { ('hook_' . s/\W/_/gr) => 1 } keys %Qpsmtpd::Plugin::hooks;
    my @odd;
    for my $class (@{mro::get_linear_isa(ref $plugin)}) {
        next if $class eq 'Qpsmtpd::Plugin' || $class eq 'Qpsmtpd::Base';
        no strict 'refs';
        for my $name (sort grep { /\Ahook_/ } keys %{"${class}::"}) {
            next if $known{$name} || exists $registered{$name} || !defined &{"${class}::$name"};
            push @odd, 'sub', _place(\&{"${class}::$name"}), $name;
        }
    }
    for my $method (sort keys %registered) {
        push @odd, 'method', '', 0, "$method $registered{$method}" unless $plugin->can($method);
    }
    return @odd;
}

sub _place {
    my $start = B::svref_2object($_[0])->START;
    return ('', 0) unless $start->can('line');
    return ($start->file, $start->line);
}

1;
