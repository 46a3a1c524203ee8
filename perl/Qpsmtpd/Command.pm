package Qpsmtpd::Command;

# Splits a command's arguments: with a plugin's parser where a *_parse hook gave
# one, else with the built-in one. It reads the command's syntax only; whether an
# address is one is Qpsmtpd::Address's matter. The session has the same built-in
# parser in Rust; this one is for the plugins and harnesses that call it.

use strict;
use warnings;
use Qpsmtpd::Constants;

# So that a plugin's parser, which gets a fresh object, can log.
our @ISA = ('Qpsmtpd::SMTP');

# Returns (OK, parts of the argument ...) or (not OK, reason).
sub parse {
    my ($class, $command, $line, $parser) = @_;
    return (OK) unless defined $line;

    my $self = bless {}, ref $class || $class;
    $command = lc $command;
    if (ref $parser ne 'CODE') {
        $parser = $self->can("parse_$command") || \&_parse_words;
    }

    my @parts = eval { $parser->($self, $command, $line) };
    if ($@) {
        $self->log(LOGERROR, "Failed to parse command [$command]: $@");
        @parts = (DENY, $line);
    }
    return @parts;
}

sub _parse_words {
    my ($self, $command, $line) = @_;
    return (OK, split / +/, $line);
}

# An empty path is the null reverse-path.
sub parse_mail {
    my ($self, $command, $line) = @_;
    return (DENY, 'Syntax error in command') unless $line =~ s/^from:\s*//i;
    my ($path, @parameters) = _split_parameters($line);
    $path ||= '<>';
    return _envelope($path, @parameters);
}

sub parse_rcpt {
    my ($self, $command, $line) = @_;
    return (DENY, 'Syntax error in command') unless $line =~ s/^to:\s*//i;
    my ($path, @parameters) = _split_parameters($line);
    return (DENY, 'Syntax error in address') unless $path;
    return _envelope($path, @parameters);
}

# A path may have spaces in a quoted local part, so parameters are taken from the
# end as long as what stands there is one (esmtp-keyword ["=" esmtp-value]).
sub _split_parameters {
    my $line = shift;
    my @parameters;
    $line =~ s/\s+$//;
    while ($line =~ s/\s+([A-Za-z0-9][A-Za-z0-9-]*(?:=[^= \x00-\x1f]+)?)$//) {
        unshift @parameters, $1;
    }
    return ($line, @parameters);
}

# Space after the at-sign is what is left of a parameter that is none.
sub _envelope {
    my ($path, @parameters) = @_;
    return (DENY, 'Syntax error in parameters') if $path =~ /\@.*\s/;
    return (OK, $path, @parameters);
}

1;
