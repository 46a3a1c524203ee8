package Qpsmtpd::Base;

# Helpers that plugins and the daemon's own classes share (qpsmtpd 1.00): paths
# with a tilde, questions about addresses, and short ways to the resolver.
# Net::DNS is loaded by the first look-up, not before.

use strict;
use warnings;
use Socket qw(AF_INET6 inet_pton);
use Qpsmtpd::Constants;

# Whether the profile is that of 1.00, which the host says.
sub _is_1_00 { return defined &Camelpost::is_1_00 && Camelpost::is_1_00() }

# An object of its own, for programs that want nothing but the helpers.
sub new {
    my $class = shift;
    return bless {}, ref $class || $class;
}

sub tildeexp {
    my ($self, $path) = @_;
    require Qpsmtpd::Utils;
    return Qpsmtpd::Utils::tildeexp($path);
}

#
# Addresses
#

# An IPv4 address may be short (1.2.3), as for Net::IP; with 255 in it, it is
# taken for a mask or a broadcast address.
sub is_valid_ip {
    my ($self, $ip) = @_;
    return unless defined $ip;
    if ($ip =~ /^\d+(?:\.\d+){0,3}\z/ && !grep { $_ > 255 } split /\./, $ip) {
        return $ip eq '0.0.0.0' || $ip =~ /255/ ? () : 1;
    }
    return inet_pton(AF_INET6, $ip) ? 1 : ();
}

sub is_ipv6 {
    my ($self, $ip) = @_;
    return unless $ip;
    return $ip =~ /:/ && inet_pton(AF_INET6, $ip) ? 1 : 0;
}

# Goes by the text, as 1.00 does: 127.* alone or at the end of an IPv6 address, whatever stands
# before it, and ::1. A name is no address.
sub is_localhost {
    my ($self, $ip) = @_;
    return unless defined $ip;
    return $ip eq '::1' || $ip =~ /(?:^|:)127\./ ? 1 : ();
}

#
# The resolver
#

# One resolver an object, kept in it. The time allowed is the argument
# dns_timeout, or the caller's, or five seconds.
sub init_resolver {
    my ($self, $timeout) = @_;
    return $self->{_resolver} if $self->{_resolver};
    $self->log(LOGDEBUG, 'initializing Net::DNS::Resolver');
    return $self->{_resolver} = _resolver($self->{_args}{dns_timeout} || $timeout);
}

sub _resolver {
    my $timeout = shift || 5;
    require Net::DNS;
    my $resolver = Net::DNS::Resolver->new(dnsrch => 0);
    $resolver->tcp_timeout($timeout);
    $resolver->udp_timeout($timeout);
    return $resolver;
}

# 1.00's name: the time is given as timeout => SECONDS, and nothing is logged.
sub get_resolver {
    my ($self, %args) = @_;
    return $self->{_resolver} ||= _resolver($self->{_args}{dns_timeout} || $args{timeout});
}

# Many questions at once (with the Perl module Net::DNS::Async, which has its own time limits);
# nothing where that module is missing.
sub get_async_resolver {
    my ($self, %args) = @_;
    return $self->{_async_resolver} if $self->{_async_resolver};
    if (!eval { require Net::DNS::Async; 1 }) {
        warn "Net::DNS::Async cannot be loaded: $@";
        return;
    }
    my $resolver = Net::DNS::Resolver->new(dnsrch => 0);
    $resolver->tcp_timeout(0);
    my $async = Net::DNS::Async->new(%args);
    $async->{Resolver} = $resolver;
    return $self->{_async_resolver} = $async;
}

# What the name server says about a name, without the order of preference. In
# scalar context their number.
sub resolve_a    { return _answers(@_[0, 1], 'A',    'address') }
sub resolve_aaaa { return _answers(@_[0, 1], 'AAAA', 'address') }
sub resolve_mx   { return _answers(@_[0, 1], 'MX',   'exchange') }
sub resolve_ns   { return _answers(@_[0, 1], 'NS',   'nsdname') }
sub resolve_ptr  { return _answers(@_[0, 1], 'PTR',  'ptrdname') }

sub _answers {
    my ($self, $name, $type, $value_of) = @_;
    return unless defined $name && length $name;
    my $packet = $self->get_resolver->query($name, $type) or return;
    return map { $_->$value_of } grep { $_->type eq $type } $packet->answer;
}

1;
