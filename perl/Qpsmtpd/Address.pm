package Qpsmtpd::Address;

# A reverse-path or forward-path. Parsing by the default grammar is XS; where a
# site has changed one of the variables below, the expressions in force decide.

use strict;
use warnings;

use overload
  '""'  => sub { $_[0]->format },
  'cmp' => \&_compare;

our $atom_expr    = '[a-zA-Z0-9!#%&*+=?^_`{|}~\$\x27\x2D\/]+';
our $address_literal_expr =
  '(?:\[(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|IPv6:[0-9A-Fa-f:.]+)\])';
our $subdomain_expr = '(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)';
our $domain_expr;
our $qtext_expr = '[\x01-\x09\x0B\x0C\x0E-\x21\x23-\x5B\x5D-\x7F]';
our $text_expr  = '[\x01-\x09\x0B\x0C\x0E-\x7F]';

# new(TEXT) parses and gives undef for what is no address; new(USER, HOST) takes
# the parts as they are.
sub new {
    my ($class, @parts) = @_;
    return (ref $class || $class)->_new(@parts[0, 1]);
}

sub parse {
    my ($class, $text) = @_;
    return (ref $class || $class)->_parse(defined $text ? $text : '');
}

sub canonify {
    my ($self, $path) = @_;
    return _canonify($path);
}

sub format {
    my $self = shift;
    return $self->_format;
}

sub qp { return }

sub config {
    my ($self, $key) = @_;
    return Qpsmtpd->config($key, $self);
}

# By domain first, then by user.
sub _compare {
    my ($left, $right, $swapped) = @_;
    my ($one, $other) = map { _sort_key($_) } $left, $right;
    return $swapped ? $other cmp $one : $one cmp $other;
}

sub _sort_key {
    my $text = "$_[0]";
    $text =~ tr/<>//d;
    return join "\0", reverse split /\@/, $text;
}

1;
