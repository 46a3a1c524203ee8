package Qpsmtpd::Address;

# A reverse-path or forward-path. Parsing by the default grammar is XS; where a
# site has changed one of the variables below, the expressions in force decide.

use strict;
use warnings;
use Qpsmtpd::Base;

use overload
  '""'  => sub { $_[0]->format },
  'cmp' => \&_compare;

our $atom_expr    = '[a-zA-Z0-9!#%&*+=?^_`{|}~\$\x27\x2D\/]+';
our $address_literal_expr =
  '(?:\[(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|IPv6:[0-9A-Fa-f:.]+)\])';
our $subdomain_expr = '(?:[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)';
our $domain_expr;
our $qtext_expr = '[\x01-\x08\x0B\x0C\x0E-\x1F\x21\x23-\x5B\x5D-\x7F]';
our $text_expr  = '[\x01-\x09\x0B\x0C\x0E-\x7F]';

_note_grammar() if defined &_note_grammar;

# new(TEXT) parses and gives undef for what is no address (1.00: nothing); new(USER, HOST) takes
# the parts as they are.
sub new {
    my ($class, $user, $host) = @_;
    my $is_1_00 = Qpsmtpd::Base::_is_1_00();
    if (!defined $user && !$is_1_00) {
        _warn_of_undef('$user in pattern match (m//)');
        _warn_of_undef('$address in pattern match (m//)') unless defined $host;
    }
    $class = ref $class || $class;
    my $self;
    if (_grammar_decides() && defined $user && $user =~ /^<.*>$/) {
        my @parts = _canonify_by_grammar($user);
        if (defined $parts[0]) {
            $self = $class->_new('', '');
            @$self{qw(_user _host)} = @parts[0, 1];
        }
    }
    else {
        $self = $class->_new($user, $host);
    }
    return defined $self || !$is_1_00 ? $self : ();
}

sub parse {
    my ($class, $text) = @_;
    return $class->new($text);
}

# (USER, HOST) of a path in <>; undef for what is none. Under 1.00 a third value says which rule
# came to that, undef for the host stands where there is none, and what has no host is nothing at all.
sub canonify {
    my ($self, $path) = @_;
    _warn_of_undef('$path in pattern match (m//)') unless defined $path;
    return _explained($path) if Qpsmtpd::Base::_is_1_00();
    return _grammar_decides() ? _canonify_by_grammar($path) : _canonify($path);
}

# The same by the expressions above as they are now; the third value, where there is one, says how.
sub _canonify_by_grammar {
    my ($user, $host, $rule) = _explained(shift);
    return $user unless defined $user && (length $user || defined $host);
    return ($user, $host);
}

sub _explained {
    my $path = shift;
    return (undef, undef, 'missing delimiters') unless defined $path && $path =~ /^<(.*)>$/;
    $path = $1;

    # A site's own expression for domains stands for address literals, too.
    my $domain = $domain_expr;
    if (!$domain) {
        $domain = "$subdomain_expr(?:.$subdomain_expr)*";
        $domain = "(?:$address_literal_expr|$domain)" if $address_literal_expr;
    }
    $path =~ s/^\@$domain(?:,\@$domain)*://;
    return ('', undef, 'empty path') if $path eq '';
    return ('postmaster', undef, 'bare postmaster') if $path =~ /^postmaster$/i;

    my ($local, $host) = $path =~ /^(.*)\@($domain)$/ or return;
    return ($local, $host, 'local matches atom') if $local =~ /^$atom_expr(\.$atom_expr)*/;
    return (undef, undef, 'fall through') unless $local =~ /^"(?:$qtext_expr|\\$text_expr)*"$/;
    $local = substr $local, 1, -1;
    $local =~ s/\\($text_expr)/$1/g;
    return ($local, $host);
}

sub _warn_of_undef {
    my $what = shift;
    my (undef, $file, $line) = caller 1;
    warn "Use of uninitialized value $what at $file line $line.\n";
    return;
}

sub format {
    my $self = shift;
    return _format($self);
}

# The session's object that was set, else that of the session that runs.
sub qp {
    my $self = shift;
    $self->{qp} = shift if @_;
    return $self->{qp} || (defined &Camelpost::session ? Camelpost::session() : undef);
}

sub config {
    my ($self, $key) = @_;
    my $qp = $self->qp or return;
    return $qp->config($key, $self);
}

# By host first, then by user. A text is read as an address.
sub _compare {
    my ($left, $right, $swapped) = @_;
    $right = __PACKAGE__->new($right) unless ref $right && eval { $right->isa(__PACKAGE__) };
    my @order = map { defined $_ ? $_ : '' } map { $_ ? ($_->host, $_->user) : ('', '') } $left, $right;
    my $order = $order[0] cmp $order[2] || $order[1] cmp $order[3];
    return $swapped ? -$order : $order;
}

1;
