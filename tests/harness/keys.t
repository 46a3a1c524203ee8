# Keys of a session's object that plugins read and set: they are what the session has, both ways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;
use Qpsmtpd::Constants;
use MIME::Base64 qw(decode_base64 encode_base64);
use Digest::MD5 qw(md5 md5_hex);

my $smtpd = Test::Qpsmtpd->new_conn;
is($smtpd->{_connection},  $smtpd->connection,  '{_connection} is the connection');
is($smtpd->{_transaction}, $smtpd->transaction, '{_transaction} is the transaction');
ok(!defined $smtpd->{$_}, "{$_} is undefined before AUTH") for qw(_auth _auth_user _auth_mechanism);
ok(!defined $smtpd->{_continuation}, 'nothing is continued');
ok(!defined $smtpd->{auth}{ticket}, 'no challenge yet');

my $count = $smtpd->{_counter} || 0;
$smtpd->command('EHLO a');
$smtpd->command('NOOP');
is($smtpd->{_counter}, $count + 2, '{_counter} counts the commands');
is($smtpd->command_counter, $count + 2, 'as the method says');
$smtpd->{_counter} = 40;
$smtpd->command('NOOP');
is($smtpd->command_counter, 41, 'a count that is set');

$smtpd->command('MAIL FROM:<a@b.example>');
my $before = $smtpd->{_transaction};
is($before->sender->address, 'a@b.example', 'the transaction that runs');
$smtpd->command('RSET');
isnt($smtpd->{_transaction}, $before, 'after RSET it is another');
is($before->sender->address, 'a@b.example', 'the one that was kept still answers');

my $own = Qpsmtpd::Transaction->new;
$own->sender(Qpsmtpd::Address->new('<own@b.example>'));
$smtpd->{_transaction} = $own;
is($smtpd->transaction->sender->address, 'own@b.example', 'a transaction that is set');
is(($smtpd->command('RCPT TO:<c@example.com>'))[0], 250, 'is the one that RCPT goes to');
is(scalar $own->recipients, 1, 'with its recipient');
$smtpd->{_transaction} = undef;
is(($smtpd->command('RCPT TO:<c@example.com>'))[0], 503, 'undef is a new one');

my $clone = $smtpd->connection->clone;
$clone->notes(cloned => 1);
$smtpd->{_connection} = $clone;
is($smtpd->connection->notes('cloned'), 1, 'a connection that is set');
ok(!$smtpd->connection->hello, 'has not greeted');
$smtpd->command('EHLO a');

# RFC 2104, for keys that are no longer than a block.
sub hmac_md5_hex {
    my ($data, $key) = @_;
    my $block = $key . "\0" x (64 - length $key);
    return md5_hex(($block ^ "\x5c" x 64) . md5(($block ^ "\x36" x 64) . $data));
}

# CRAM-MD5 with the true password, then PLAIN.
{
    no warnings 'redefine';
    my $answer;
    local *Test::Qpsmtpd::respond = sub {
        my ($self, $code, @lines) = @_;
        push @{$self->{said}}, [$code, @lines];
        return 1 if $code != 334;
        my $challenge = decode_base64($lines[0]);
        $answer = encode_base64('user ' . hmac_md5_hex($challenge, 'secret'), '');
        # The answer is read from STDIN, or through getline.
        close STDIN;
        open STDIN, '<', \"$answer\r\n" or die "no STDIN: $!";
        return 1;
    };
    local *Test::Qpsmtpd::getline = sub { scalar <STDIN> };
    is(($smtpd->command('AUTH CRAM-MD5'))[0], 235, 'CRAM-MD5');
}
is($smtpd->{_auth},           OK,         '{_auth}');
is($smtpd->{_auth_user},      'user',     '{_auth_user}');
is($smtpd->{_auth_mechanism}, 'cram-md5', '{_auth_mechanism}');
is($smtpd->authenticated, OK, 'authenticated');
like($smtpd->{auth}{ticket}, qr/^<.*\@mx\.example\.org>$/, 'the challenge stays there');

$smtpd->{_auth_user} = 'somebody';
is($smtpd->auth_user, 'somebody', 'a user that is set');
$smtpd->{_auth_mechanism} = 'own';
is($smtpd->auth_mechanism, 'own', 'a mechanism that is set');
is(($smtpd->command('AUTH PLAIN x'))[0], 503, 'one AUTH is enough');
$smtpd->{_auth} = undef;
isnt(($smtpd->command('AUTH PLAIN x'))[0], 503, 'unless {_auth} is taken away');
$smtpd->{auth}{ticket} = 'mine';
is($smtpd->{auth}{ticket}, 'mine', 'a challenge that is set');

{
    local $smtpd->{_auth_user} = 'for a while';
    is($smtpd->{_auth_user}, 'for a while', 'a localised key');
}
is($smtpd->{_auth_user}, 'somebody', 'and what was there before');

my $other = Test::Qpsmtpd->new;
ok(!defined $other->{_auth_user}, 'another session has keys of its own');
isnt($other->{_connection}, $smtpd->{_connection}, 'and a connection of its own');
done_testing;
