# A session of the daemon's own class: its end is that of the process.
use strict;
use warnings;
use Test::More tests => 4;
use Qpsmtpd::TcpServer;
use Qpsmtpd::Constants;

my @said;
{
    package Served;
    our @ISA = ('Qpsmtpd::TcpServer');
    sub respond { my ($self, @reply) = @_; push @said, "@reply"; return 1 }
    sub config  { my ($self, $name) = (shift, @_); return $name eq 'me' ? 'mx.example.org' : $self->SUPER::config(@_) }
}
my @ran;
for my $hook (qw(disconnect reset_transaction post-connection)) {
    push @{Qpsmtpd->hooks->{$hook}}, {name => 'seen', code => sub { push @ran, $hook; return DECLINED }};
}
my $smtpd = Served->new;
isa_ok($smtpd, 'Qpsmtpd::SMTP');
is($smtpd->start_conversation, DONE, 'start_conversation');

# Only what comes after the exit shows it.
my $went_on = 0;
END {
    is($said[-1], '221 mx.example.org closing connection. Have a wonderful day.', 'QUIT');
    ok(!$went_on && $ran[0] eq 'disconnect' && $ran[-1] eq 'post-connection', 'disconnect, post-connection, exit');
}
$smtpd->dispatch('QUIT');
$went_on = 1;
