# Several sessions in one script: each object has its own, and goes with it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;
use Qpsmtpd::Constants;

my ($one, $other) = map { Test::Qpsmtpd->new_conn(remote_ip => "192.0.2.$_") } 1, 2;
is($one->connection->remote_ip,   '192.0.2.1', 'the first client');
is($other->connection->remote_ip, '192.0.2.2', 'the other');
$one->command('HELO one');
is($other->connection->hello_host, undef, 'a greeting is the one session\'s');
is(($other->command('MAIL FROM:<>'))[0], 503, 'the other has had none');
$other->command('EHLO other');
$_->command('MAIL FROM:<a@b.example>') for $one, $other;
$one->command('RSET');
ok(!$one->transaction->sender, 'one is reset');
is($other->transaction->sender->address, 'a@b.example', 'the other is not');

# A hook of one session that drives the other.
my @seen;
push @{Qpsmtpd->hooks->{noop}}, {
    name => 'nested',
    code => sub {
        my ($qp, $transaction) = @_;
        push @seen, $qp->connection->remote_ip;
        $other->command('NOOP') if $qp == $one;
        push @seen, $qp->connection->remote_ip, $transaction == $qp->transaction ? 'own' : 'alien';
        return DECLINED;
    },
};
is(($one->command('NOOP'))[0], 250, 'a reply goes to the session that runs');
is("@seen", '192.0.2.1 192.0.2.2 192.0.2.2 own 192.0.2.1 own', 'also within another');

{
    package Destroyed;
    our @ISA = ('Test::Qpsmtpd');
    our @gone;
    sub DESTROY { my $self = shift; push @gone, $self->connection->hello_host }
}
{
    my $smtpd = Destroyed->new_conn;
    $smtpd->command('HELO gone');
}
is("@Destroyed::gone", 'gone', 'an object ends when the script lets it go, and still answers in DESTROY');

# Objects that another constructor has made.
my $bare = bless {mine => 1}, 'Test::Qpsmtpd';
$bare->start_conversation;
is(($bare->response)[0], 220, 'one that was only blessed has a session, too');
is($bare->{mine}, 1, 'and its keys');

# run_hooks, with a verdict, and a hook with no plugin.
my ($code, @texts) = $one->run_hooks('rcpt', Qpsmtpd::Address->new('<x@example.org>'));
like(join(' ', $one->response), qr/^550 not here/, 'run_hooks replies');
$one->said;
($code, @texts) = $one->run_hooks_no_respond('rcpt', Qpsmtpd::Address->new('<x@example.org>'));
is($code, DENY, 'run_hooks_no_respond returns the verdict');
is(scalar(() = $one->response), 0, 'and replies nothing');
done_testing;
