package Keeps;

# What the plugins of this suite have in common: KEEP n TAG touches each place in which a plugin keeps
# something once more. A place is a sub keep_NAME of the plugin, called as ($self, n, TAG); it answers n, or n
# and the tags that it has been given in this session, or says what is wrong. This module keeps nothing.

use strict;

# The lines of the caller's package go to a note of the connection, from which the plugin `answer` has them.
sub touch {
    my ($self, $command, @rest) = @_;
    return if $command ne 'keep';
    my $package = caller;
    my ($n, $tag) = split ' ', "@rest";
    (my $name = $package) =~ s/^Qpsmtpd::Plugin:://;
    my @lines;
    no strict 'refs';
    for my $sub (sort grep { /^keep_/ && defined &{"${package}::$_"} } keys %{"${package}::"}) {
        my $said = eval { &{"${package}::$sub"}($self, $n, $tag) };
        $said = "died: $@" if $@;
        $said = 'undef' unless defined $said;
        $said =~ s/\s+/ /g;
        push @lines, "$name." . substr($sub, 5) . "=$said";
    }
    my $all = $self->connection->notes('keeps_lines') || '';
    $self->connection->notes('keeps_lines', join "\n", $all || (), @lines);
    return;
}

# What a place that collects says.
sub said { return join ' ', scalar @_, @_ }

1;
