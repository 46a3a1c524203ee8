# Every method of Qpsmtpd::DSN, and three with every shape of arguments that has
# one meaning in the original (other numbers than the verdicts give a random class there).
use strict;
use warnings;
use Probe;
use Qpsmtpd::DSN;
use Qpsmtpd::Constants;

my @few  = ([], ['a text'], [903], [902, 'txt'], [901, ''], [undef, 'x']);
my @many = (
    [], [undef], [''], ['a text'], ['903 users'], [' 901'], ['-1'],
    (map { [$_] } 900 .. 904, 909, 910, 911),
    (map { [$_, 'txt'], [$_, undef], [$_, ''], [$_, '0'] } 900 .. 904, 909, 910, 911),
    [undef, 'x'], ['txt', 'more'], ['txt', 902], [902, 901], ["two\nlines"],
);
for my $method (sort grep { Qpsmtpd::DSN->can($_) && /^[a-z][a-z_]+$/ } keys %Qpsmtpd::DSN::) {
    next if $method =~ /^(?:return_code|log_level|import)$/;
    for my $arguments ($method =~ /^(?:relaying_denied|mbox_full|addr_rcpt_ok)$/ ? @many : @few) {
        print "$method(", show(@$arguments), ') = ', show(Qpsmtpd::DSN->$method(@$arguments)), "\n";
    }
    my $scalar = Qpsmtpd::DSN->$method;
    print "scalar $method = $scalar\n";
}
