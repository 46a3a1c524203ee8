# A whole dialogue, dispatched by a script: replies, objects, queueing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;

my $smtpd = Test::Qpsmtpd->new_conn;
isa_ok($smtpd, 'Qpsmtpd::SMTP');
like(join(' ', $smtpd->response), qr/^220 mx\.example\.org ESMTP /, 'start_conversation greets');

is(join(' ', $smtpd->command('MAIL FROM:<a@b.example>')), '503 please say hello first ...', 'MAIL before HELO');
is(join('|', ($smtpd->command('EHLO client.example'))[0 .. 3]),
    '250|mx.example.org Hi client.example [192.0.2.1]|PIPELINING|8BITMIME',
    'EHLO: each line is an argument of respond');
is($smtpd->connection->hello,      'ehlo',           'the connection knows the greeting');
is($smtpd->connection->hello_host, 'client.example', 'and the name in it');
is(($smtpd->command('MAIL FROM:<a@b.example>'))[0], 250, 'MAIL');
is($smtpd->transaction->sender->format, '<a@b.example>', 'the sender is in the transaction');
is(join(' ', $smtpd->command('RCPT TO:<c@example.org>')), '550 not here', 'a plugin refuses');
is($smtpd->connection->notes('refused'), 1, 'and leaves a note');
is(join(' ', $smtpd->command('RCPT TO:<c@example.com>')), '250 <c@example.com>, recipient ok', 'a plugin accepts');
is(scalar $smtpd->transaction->recipients, 1, 'one recipient');

$smtpd->will_send('Subject: greetings', '', 'one line', '..and a dot', '.');
is(join(' ', $smtpd->command('DATA')), '250 kept', 'DATA reads through getline, and the message is queued');
my ($kept) = @{$smtpd->{kept}};
is($kept->{from}, '<a@b.example>', 'from');
is_deeply($kept->{to}, ['<c@example.com>'], 'to');
like($kept->{head}, qr/^Subject: greetings$/m, 'the header');
like($kept->{head}, qr/^Received: from client\.example \(HELO client\.example\) \(192\.0\.2\.1\)$/m, 'with a Received line');
like($kept->{body}, qr/^\n?one line\n\.and a dot\n\z/, 'the body, without the transparency');
is(scalar(() = $smtpd->transaction->recipients), 0, 'the transaction is over');

is(join(' ', $smtpd->command('RCPT TO:<c@example.com>')), '503 Use MAIL before RCPT', 'RCPT needs a new one');
is(join(' ', $smtpd->command('FROBNICATE now')), '500 Unrecognized command', 'an unknown command');
is(join(' ', $smtpd->command('noop')), '250 OK', 'verbs in lower case');
is(join(' ', $smtpd->command('RSET')), '250 OK', 'RSET');

$smtpd->command('MAIL FROM:<>');
$smtpd->command('RCPT TO:<c@example.com>');
$smtpd->will_send('Subject: cut', '', 'no end');
is(($smtpd->command('DATA'))[0], 451, 'a message without its end is not queued');
is(scalar @{$smtpd->{kept}}, 1, 'only the whole one was');

is(join(' ', $smtpd->command('QUIT')), '221 mx.example.org closing connection. Have a wonderful day.', 'QUIT');
ok($smtpd->connection->notes('disconnected'), 'the session is over, and the script goes on');
is(join(' ', $smtpd->command('NOOP')), '250 OK', 'it may even dispatch more');
done_testing;
