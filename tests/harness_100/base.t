# The helpers of Qpsmtpd::Base, as an object of its own has them and as plugins inherit them.
use strict;
use warnings;
use Test::More;
use Qpsmtpd::Base;
use Qpsmtpd::SMTP;

my $base = Qpsmtpd::Base->new;
isa_ok($base, 'Qpsmtpd::Base', 'what new makes');
isa_ok($_, 'Qpsmtpd::Base') for qw(Qpsmtpd::Plugin Qpsmtpd::Config Qpsmtpd::SMTP);

local $ENV{HOME} = '/home/me';
is($base->tildeexp('~/x'),       '/home/me/x',                    'a path below the home directory');
is($base->tildeexp('~root/x'),   (getpwnam 'root')[7] . '/x',     'below that of a user');
is($base->tildeexp('/a/~b'),     '/a/~b',                         'a tilde elsewhere is one');

sub answers {
    my ($method, $expected, @texts) = @_;
    is($base->$method($_) ? 1 : 0, $expected, sprintf '%s of %s', $method, defined $_ ? "'$_'" : 'undef') for @texts;
}
answers(is_localhost => 1, qw(127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1 2001:db8::127.1.2.3));
answers(is_localhost => 0, qw(128.0.0.1 12.7.0.1 ::2 ::ffff:10.0.0.1 localhost 0:0:0:0:0:0:0:1), '', undef);
answers(is_valid_ip  => 1, qw(192.0.2.1 1.2.3 2001:db8::1 ::ffff:192.0.2.1));
answers(is_valid_ip  => 0, qw(0.0.0.0 255.255.255.255 10.255.0.1 256.1.1.1 2001:db8::g name.example), '');
answers(is_ipv6      => 1, qw(2001:db8::1 ::));
answers(is_ipv6      => 0, qw(192.0.2.1 a:b ::: 1::2::3), '', undef);

my $resolver = $base->get_resolver(timeout => 7);
isa_ok($resolver, 'Net::DNS::Resolver', 'what get_resolver gives');
is($resolver->udp_timeout, 7, 'it waits as long as was asked');
is($base->get_resolver(timeout => 9), $resolver, 'and there is one for each object');

{
    package Answering;
    sub new { return bless [], shift }
    sub query {
        my ($self, $name, $type) = @_;
        my %data = (A => '192.0.2.1', AAAA => '2001:db8::1', MX => '10 mx.example', NS => 'ns.example', PTR => 'x.example');
        my $packet = Net::DNS::Packet->new($name, $type);
        $packet->push(answer => Net::DNS::RR->new("alias.example 60 CNAME $name"));
        $packet->push(answer => Net::DNS::RR->new("$name 60 $type $data{$type}"));
        return $packet;
    }
}
$base->{_resolver} = Answering->new;
my %expected = (a => '192.0.2.1', aaaa => qr/^2001:db8:[0:]*1$/, mx => 'mx.example', ns => 'ns.example', ptr => 'x.example');
for my $type (sort keys %expected) {
    my $method = "resolve_$type";
    my @values = $base->$method('host.example');
    is(scalar @values, 1, "$method passes over records of another type");
    like($values[0], qr/^$expected{$type}$/, 'and gives the value alone');
    is(scalar $base->$method('host.example'), 1, 'in scalar context how many there are');
}
done_testing;
