# Password checks and SASL dialogues, other than where the original gives no
# reply at all (a cancelled LOGIN, an empty password).
use strict;
use warnings;
use Probe;
use Digest::MD5;
use MIME::Base64 qw(encode_base64);
use Qpsmtpd::Auth;
use Qpsmtpd::Constants;

my $ticket = '<1.2@x>';
my $hash   = Qpsmtpd::Auth::hmac_md5_hex($ticket, 'pw');
my $crypt  = crypt 'pw', 'ab';
print "$hash ", Qpsmtpd::Auth::hmac_md5_hex('data', 'k' x 100), "\n";
print show(map { Qpsmtpd::Auth::e64($_) } '', 'abc', 'user', "\0u\0p", 'x' x 100, "\xe9"), "\n";

for my $method ('plain', 'login', 'cram-md5', 'CRAM-MD5', 'other', undef) {
    for my $deny (DENY, DECLINED) {
        for my $given ({src_clear => 'pw', attempt_clear => 'pw'}, {src_clear => 'pw', attempt_clear => 'no'},
            {src_crypt => $crypt, attempt_clear => 'pw'}, {src_crypt => $crypt, attempt_clear => 'no'},
            {src_clear => 'pw', attempt_hash => $hash}, {src_clear => 'pw', attempt_hash => 'bad'},
            {src_crypt => $crypt, attempt_hash => 'bad'}, {src_clear => 'pw'}, {attempt_clear => 'pw'}, {},
            {src_clear => 'x', src_crypt => $crypt, attempt_clear => 'pw'}, {src_clear => '', attempt_clear => ''},
            {src_clear => 'pw', attempt_clear => '', attempt_hash => $hash}, {src_clear => '0', attempt_clear => '0'},
            {src_crypt => '!', attempt_clear => 'x'}, {src_clear => 'pw', attempt_hash => $hash, ticket => undef}) {
            my $session = new_session();
            my %all = (method => $method, ticket => $ticket, deny => $deny, %$given);
            try('validate_password ' . show(map { $_ => $all{$_} } sort keys %all), $session, sub {
                my @verdict = Qpsmtpd::Auth::validate_password($session, %all);
                return @verdict;
            }) if defined $method;
        }
    }
}

sub b { return encode_base64($_[0], '') }

sub dialogue {
    my ($returns, $mechanism, $initial, @lines) = @_;
    my $session = new_session(returns => $returns, naughty => 1);
    $session->{conn}{notes}{naughty} = 'bad' if $mechanism eq 'login';
    my $input = join '', map { "$_\r\n" } @lines;
    close STDIN;
    open STDIN, '<', \$input or die $!;
    $Probe::quiet = $mechanism eq 'cram-md5';
    try('SASL ' . show($mechanism, $initial, @lines, @$returns), $session, sub { Qpsmtpd::Auth::SASL($session, $mechanism, $initial) });
    $Probe::quiet = 0;
    print '  as ', show(@$session{qw(_auth_user _auth_mechanism)}), ", relay client $session->{conn}{relay_client}\n";
}

for my $returns ([OK], [OK, 'welcome'], [DENY], [DENY, 'go away'], [DECLINED], [DENYSOFT, 'later'], [DENY_DISCONNECT], [DONE]) {
    dialogue($returns, 'plain', b("\0user\0pass"));
    dialogue($returns, 'plain', undef, b("\0user\0pass"));
    dialogue($returns, 'login', undef, b('user'), b('pass'));
    dialogue($returns, 'login', b('user'), b('pass'));
    dialogue($returns, 'cram-md5', undef, b('user 0123456789abcdef'));
}
dialogue([OK], 'plain', b("authz\0user\0pass"));
dialogue([OK], 'plain', b("user\0user\0pass"));
dialogue([OK], 'plain', b("user\0pass"));
dialogue([OK], 'plain', b('x'));
dialogue([OK], 'plain', b("\0\0pass"));
dialogue([OK], 'plain', '=');
dialogue([OK], 'cram-md5', undef, b('user'));
dialogue([OK], 'other', undef);
dialogue([OK], 'PLAIN', b("\0user\0pass"));
