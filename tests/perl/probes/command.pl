# Many MAIL, RCPT and other lines through the built-in parser, and parsers of
# plugins that work, refuse, and die.
use strict;
use warnings;
use Probe;
BEGIN { @Qpsmtpd::SMTP::ISA = () }
use Qpsmtpd::Command;
use Qpsmtpd::Constants;

package Qpsmtpd::SMTP;
sub log { my ($self, @line) = @_; s/ at \S+ line \d+\.$// for @line; Probe::tell('  log(', Probe::show(@line), ') by ', ref $self) }

package main;

my @paths = (
    '<a@b.c>', ' <a@b.c>', 'a@b.c', '<a@b.c> SIZE=100', '<a@b.c> SIZE=100 BODY=8BITMIME', '<a@b.c>SIZE=100',
    '<>', ' <> X=1', '', '  ', '<a@b.c', 'a@b.c>', '<a b@c.d>', '<a@b.c> foo', '<a@b.c> foo bar', '<a@b.c>  SIZE=1',
    '<a@b.c> SIZE=1 ', 'postmaster', ' postmaster', 'abuse', 'Postmaster', '<postmaster>', 'foo', '<@a,@b:c@d>',
    '<"a b"@c.d>', '<"a>b"@c.d> SIZE=1', '<a@[1.2.3.4]>', '<a@b.c> ORCPT=rfc822;a@b.c', '<a@b.c> =x', '<a@b.c> A=',
    '<a@b.c> A', '<a@b.c> 1=2', '<a@b.c> a-b=2', '<a@b.c> A=1=2', '<a@b.c> A="b c"', '<#@[]>', '[undefined]',
    'undefined', '<a@b.c>,<d@e>', '<a@b.c>.', '<a@b.c.>', "<a\@b.c>\tSIZE=1", '<a@b.c> SMTPUTF8', '<<a@b.c>>',
    '<a@b.c> AUTH=<>', '<a@b.c> AUTH=e+3Dmc2@example.com SIZE=1', '<x y> SIZE=5', 'x y SIZE=5', ' SIZE=5',
    "<a\xe9\@b.c>", '<"">', '<a\@b@c>', '<a@b.c> SIZE=1 SIZE=2', '<a@b.c> A= B=1', '<a@b.c> X-Y_Z=1', '<a@b.c> X+Y=1',
    '"" SIZE=1', '@', "<a\@b>\r", "<a\@b>\n", "<a\@b> X=\0", '<a b> @x', 'a b@c', 'a@b =x', '<a> b> X=1',
    '<a@b> <c@d>', '<a@b c@d', '< a@b >', '<a@b > X=1', '<> <>', '> X=1', 'X=1', '=1', 'A=1 B', 'foo bar=',
    "<a\@b> X=\xc3\xa9", "<a\@b> X=\x01", "<a\@b> X=\x7f", "<a\@b>\x0bX=1", "<a\@b> \xc3\xa9=1", '<a@b>(c) X=1',
    '<a@b> (c) X=1', 'foo@bar , baz@qux', '0', '<0>', '<a@b> 0', '#@[]', '<a@b> X==1', '<a@b> X=1 c@d', '"a b',
);
my @lines = (
    (map { ("FROM:$_", "TO:$_") } @paths),
    'from:<a@b>', 'fRoM: <x>', 'to:<a@b>', 'FROM<a@b>', 'FROM :<a@b>', 'FROMM:<a@b>', ' FROM:<a@b>', 'FROM::<a@b>',
    'FROM', 'TO', "FROM:\t<a\@b>", '', ' ', '0', 'example.org', 'example.org extra  words ', "a\tb", undef,
);
for my $command (qw(mail RCPT helo other)) {
    for my $line ($command =~ /mail|RCPT/ ? @lines : @lines[-17 .. -1]) {
        print "$command ", show($line), ' = ', show(Qpsmtpd::Command->parse($command, $line)), "\n";
    }
}

my %parser = (
    accepts     => sub { print '  called with ', show(@_), "\n"; $_[0]->log(LOGINFO, 'hello'); (OK, 'addr', 'K=V') },
    refuses     => sub { (DENY, 'no way') },
    'says none' => sub { () },
    'dies'      => sub { die "oops\n" },
    'dies here' => sub { die 'oops' },
    'uses ours' => sub { $_[0]->parse_mail($_[1], $_[2]) },
    'wrong one' => sub { Qpsmtpd::Command::parse_rcpt(@_) },
    'no code'   => 'parse_me',
);
for my $kind (sort keys %parser) {
    for my $command (qw(mail helo)) {
        print "$kind, $command: ", show(Qpsmtpd::Command->parse($command, 'FROM:<x@y> A=1', $parser{$kind})), "\n";
    }
}

no warnings 'once';
*Qpsmtpd::Command::parse_xfoo = sub { "own parser: @_[1 .. $#_]" };
print Qpsmtpd::Command->parse('XFOO', 'x y'), "\n";
