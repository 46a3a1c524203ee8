# The parts of a session that 1.00 has as methods, which test scripts call by themselves.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../harness/lib";
use Mail::Header;
use Test::More;
use Test::Output;
use Qpsmtpd::Address;
use Qpsmtpd::Constants;
use Test::Qpsmtpd;

{
    package Session;
    our @ISA = ('Test::Qpsmtpd');
    our %config;
    sub respond { my $self = shift; push @{$self->{all}}, [@_]; return [@_] }
    sub config { my ($self, $name) = (shift, @_); return exists $config{$name} ? $config{$name} : $self->SUPER::config(@_) }
}

sub session {
    my $smtpd = Session->new;
    $smtpd->connection->start(remote_ip => '192.0.2.1', remote_host => 'client.example', remote_info => 'client.example');
    return $smtpd;
}
my $smtpd = session();
%Session::config = (me => 'mx.example.org');

is_deeply($smtpd->helo_no_host('ehlo'), [501, 'ehlo requires domain/address - see RFC-2821 4.1.1.1'], 'a greeting without a host');
is_deeply($smtpd->helo_repeat_host, [503, 'but you already said HELO ...'], 'a second greeting');
is($smtpd->helo_hi_msg, 'mx.example.org Hi client.example [192.0.2.1]', 'the words of welcome');
is_deeply([$smtpd->ehlo_size], [], 'no limit, no SIZE');
{
    local $Session::config{databytes} = 1000;
    is_deeply([$smtpd->ehlo_size], ['SIZE 1000'], 'with a limit');
}
for my $case ([DENY, 550, 0], [DENY_DISCONNECT, 550, 1], [DENYSOFT, 450, 0], [DENYSOFT_DISCONNECT, 450, 1]) {
    my ($verdict, $code, $ends) = @$case;
    my $new = session();
    ok($new->is_deny_response($verdict, ['why']), "$verdict refuses");
    is_deeply($new->{all}, [[$code, 'why']], "with $code");
    is($new->connection->notes('disconnected') ? 1 : 0, $ends, $ends ? 'and the session ends' : 'and the session goes on');
}
ok(!$smtpd->is_deny_response($_, []), "$_ does not refuse") for OK, DECLINED, DONE;

my $fault;
stderr_like { $fault = $smtpd->fault } qr/\[$$\]: program fault - command not performed\n.*\[$$\]: Last system error: /s,
    'a fault is told on STDERR';
is_deeply($fault, [451, 'Internal error - try again later - program fault - command not performed'], 'and to the client');
stderr_like { $fault = $smtpd->fault('of my own') } qr/\[$$\]: of my own\n/, 'in the words that were given';
is($fault->[1], 'Internal error - try again later - of my own', 'the client, too');

for my $verb (qw(helo ehlo)) {
    my $method = "${verb}_respond";
    my $new    = session();
    $new->$method(DONE, ['x'], ['client.example']);
    is_deeply($new->{all}, undef, "$method says nothing where a plugin has");
    is($new->$method(OK, ['x'], ['client.example'])->[0], 250, 'and welcomes else');
}

# DATA, step by step.
{
    my $new = session();
    for my $case (
        [DONE,     undef],
        [DENY,     [554, 'Message denied']],
        [DENYSOFT, [451, 'Message denied temporarily']],
        [DECLINED, [503, 'MAIL first']],
    ) {
        $new->{all} = [];
        is($new->data_respond($case->[0]), 1, "data_respond after $case->[0] is true");
        is_deeply($new->{all}[-1], $case->[1], 'with its reply');
    }
    $new->transaction->sender(Qpsmtpd::Address->new('<a@b.example>'));
    $new->data_respond(DECLINED);
    is_deeply($new->{all}[-1], [503, 'RCPT first'], 'a sender alone will not do');
}

# Authentication-Results.
my $foreign = 'other.example; spf=pass';

sub with_header {
    my %fields = @_;
    my $new    = session();
    $new->transaction->header(Mail::Header->new(Modify => 0, MailFrom => 'COERCE'));
    $new->transaction->header->add($_, $fields{$_}) for keys %fields;
    return $new;
}

sub field {
    my ($new, $name) = @_;
    my $value = $new->transaction->header->get($name);
    return unless defined $value;
    chomp $value;
    return $value;
}
my $new = with_header('Authentication-Results' => $foreign);
$new->clean_authentication_results;
is(field($new, 'Authentication-Results'),          undef,    'results that came with the message are not ours');
is(field($new, 'Original-Authentication-Results'), $foreign, 'and have another name then');
$new = with_header('Authentication-Results' => $foreign, 'DKIM-Signature' => 'v=1; h=From:Authentication-Results:To; b=x');
$new->clean_authentication_results;
is(field($new, 'Authentication-Results'), $foreign, 'those that a signature covers stay');
{
    local $Session::config{'me-auth-results'} = 'none';
    $new = with_header('Authentication-Results' => $foreign);
    $new->clean_authentication_results;
    $new->authentication_results;
    is(field($new, 'Authentication-Results'), $foreign, 'all stay where the site wants none of ours');
}
$new = with_header();
$new->authentication_results;
is(field($new, 'Authentication-Results'), 'mx.example.org; auth=none', 'ours, without authentication');
@$new{qw(_auth _auth_mechanism _auth_user)} = (OK, 'login', 'me@example.org');
$new->authentication_results;
is(field($new, 'Authentication-Results'), 'mx.example.org; auth=pass (login) smtp.auth=me@example.org', 'with it');
$new->{_auth} = DENY;
$new->connection->notes('authentication_results', 'spf=none');
$new->authentication_results;
is(field($new, 'Authentication-Results'), 'mx.example.org; auth=fail (login) smtp.auth=me@example.org; spf=none',
    'with one that failed, and what plugins have found');
done_testing;
