package Camelpost::Dump;

# A value as one short text, for who looks on at a session: what it refers to, some levels deep. Follows no tie,
# and calls no method of a plugin's.

use strict;
use warnings;

use Scalar::Util ();

# Levels, parts of each, characters of a string.
my ($DEPTH, $MOST, $LENGTH) = (3, 12, 80);

sub of {
    my ($value) = @_;
    local ($@, $!, $?);
    no overloading;
    return _text($value, 0);
}

sub _text {
    my ($value, $level) = @_;
    no overloading;
    return _scalar($value) if !ref $value;
    my ($class, $kind) = (Scalar::Util::blessed($value), Scalar::Util::reftype($value));
    if (defined $class && $class =~ /\A(?:Qpsmtpd|Mail)::/) {
        return $value->format if $class eq 'Qpsmtpd::Address';
        return "$class object";
    }
    my $text
      = $kind eq 'HASH'   ? _hash($value, $level)
      : $kind eq 'ARRAY'  ? _array($value, $level)
      : $kind eq 'CODE'   ? 'sub { ... }'
      : $kind eq 'SCALAR' ? (tied $$value ? '\\(tied)' : '\\' . _text($$value, $level + 1))
      : $kind eq 'REF'    ? ($level >= $DEPTH ? '\\...' : '\\' . _text($$value, $level + 1))
      :                     lc $kind;
    return defined $class ? "$class $text" : $text;
}

sub _hash {
    my ($hash, $level) = @_;
    no overloading;
    return '{tied}' if tied %$hash;
    my @keys = sort keys %$hash or return '{}';
    return '{...}' if $level >= $DEPTH;
    my @shown = @keys > $MOST ? @keys[0 .. $MOST - 1] : @keys;
    my @pairs = map { "$_ => " . _text($hash->{$_}, $level + 1) } @shown;
    push @pairs, '...' if @keys > $MOST;
    return '{' . join(', ', @pairs) . '}';
}

sub _array {
    my ($array, $level) = @_;
    no overloading;
    return '[tied]' if tied @$array;
    return '[]'     if !@$array;
    return '[...]'  if $level >= $DEPTH;
    my $last = $#$array < $MOST ? $#$array : $MOST - 1;
    my @items = map { _text($array->[$_], $level + 1) } 0 .. $last;
    push @items, '...' if $#$array > $last;
    return '[' . join(', ', @items) . ']';
}

sub _scalar {
    my ($value) = @_;
    return 'undef'  if !defined $value;
    return "$value" if ref \$value eq 'GLOB' || $value =~ /\A-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?\z/;
    $value = substr($value, 0, $LENGTH) . '...' if length $value > $LENGTH;
    $value =~ s/([\\'])/\\$1/g;
    return "'$value'";
}

1;
