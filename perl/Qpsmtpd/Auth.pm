package Qpsmtpd::Auth;

# What auth plugins and harnesses call: checking an attempt against a stored
# password, and the SASL dialogues PLAIN, LOGIN and CRAM-MD5. In a running server
# the session holds the dialogue itself (_auth_sasl); the Perl one serves session
# objects that have only respond() and run_hooks(). No plugin is consulted here
# other than through run_hooks.

use strict;
use warnings;
use Digest::MD5 qw(md5 md5_hex);
use MIME::Base64 qw(encode_base64 decode_base64);
use Qpsmtpd::Constants;

# Base64 without the newline at the end.
sub e64 {
    my $encoded = encode_base64($_[0]);
    $encoded =~ s/\n\z//;
    return $encoded;
}

# RFC 2104, here so that CRAM-MD5 needs no module beyond perl's own.
sub hmac_md5_hex {
    my ($data, $key) = @_;
    $key = md5($key) if length $key > 64;
    my $block = $key . "\0" x (64 - length $key);
    return md5_hex(($block ^ "\x5c" x 64) . md5(($block ^ "\x36" x 64) . $data));
}

#
# For plugins
#

# Named arguments: src_clear and src_crypt are what is stored, attempt_clear and
# attempt_hash what the client sent, ticket the CRAM-MD5 challenge, method the
# mechanism, deny the verdict for a refusal. Returns (verdict, text); the text
# starts with the name of the plugin's file.
sub validate_password {
    my ($plugin, %is) = @_;
    my (undef, $file, $line) = caller;
    $is{method} or die "missing method at $file line $line.\n";
    my $name = $file =~ s{.*/}{}sr;
    my $deny = $is{deny} || DENY;
    my ($clear, $crypt) = @is{qw(src_clear src_crypt)};

    if (!$clear && !$crypt) {
        $plugin->log(LOGINFO, 'fail: missing password');
        return ($deny, "$name - no such user");
    }
    if (!$clear && $is{method} =~ /^cram-md5$/i) {
        $plugin->log(LOGINFO, 'skip: cram-md5 not supported w/o clear pass');
        return (DECLINED, $name);
    }

    my $how;
    if (defined(my $attempt = $is{attempt_clear})) {
        if ($clear && $clear eq $attempt) {
            $how = 'clear';
        }
        elsif ($crypt && $crypt eq (crypt($attempt, $crypt) // '')) {
            $how = 'crypt';
        }
    }
    if (!$how && $clear && defined $is{attempt_hash}) {
        if (!$is{ticket}) {
            $plugin->log(LOGERROR, 'skip: missing ticket');
            return (DECLINED, $name);
        }
        $how = 'hash' if $is{attempt_hash} eq hmac_md5_hex($is{ticket}, $clear);
    }

    if (!$how) {
        $plugin->log(LOGINFO, 'fail: wrong password');
        return ($deny, "$name - wrong password");
    }
    $plugin->log(LOGINFO, "pass: $how match");
    return (OK, $name);
}

#
# The dialogues. Each returns the details, or nothing after having replied.
#

# The client's answer to a prompt, decoded; undef where the client cancelled.
sub get_base64_response {
    my ($session, $prompt) = @_;
    $session->respond(334, e64($prompt));
    return _read_answer($session);
}

sub _read_answer {
    my $session = shift;
    my $line    = <STDIN>;
    return '' unless defined $line;
    $line =~ s/\r?\n\z//;
    my $answer = decode_base64($line);
    if ($line eq '*' || $answer eq '*') {
        $session->respond(501, 'Authentication canceled');
        return;
    }
    return $answer;
}

# (authorization identity, user, password)
sub get_auth_details_plain {
    my ($session, $initial) = @_;
    my $answer;
    if ($initial) {
        $answer = decode_base64($initial);
    }
    else {
        $session->respond(334, ' ');
        $answer = _read_answer($session);
        return unless defined $answer;
    }

    my ($as_whom, $user, $password) = split /\0/, $answer, -1;
    if (!$user) {
        my $hint = length($as_whom // '') ? " ($as_whom)" : '';
        $session->respond(535, "Authentication invalid$hint");
        return;
    }
    # Nobody may act for somebody else.
    if (length $as_whom && $as_whom ne $user) {
        $session->respond(535, "Authentication invalid for $user");
        return;
    }
    return ($as_whom, $user, $password);
}

# (user, password)
sub get_auth_details_login {
    my ($session, $initial) = @_;
    my $user =
      $initial ? decode_base64($initial) : get_base64_response($session, 'Username:');
    return _no_details($session, $user) unless $user;
    my $password = get_base64_response($session, 'Password:');
    return _no_details($session, $password) unless $password;
    return ($user, $password);
}

# A cancelled answer has had its reply already.
sub _no_details {
    my ($session, $answer) = @_;
    $session->respond(535, 'Authentication invalid') if defined $answer;
    return;
}

# (ticket, user, digest)
sub get_auth_details_cram_md5 {
    my ($session, $ticket) = @_;
    $ticket ||= sprintf '<%x.%x@%s>', rand 1_000_000, time, scalar $session->config('me');
    my $answer = get_base64_response($session, $ticket);
    return unless defined $answer;

    my ($user, $digest) = split / /, $answer;
    if (!$user || !$digest) {
        $session->respond(504, 'Invalid authentication string');
        return;
    }
    return ($ticket, $user, $digest);
}

# Returns OK, DENY, or DECLINED where it did not come to a verdict.
sub SASL {
    my ($session, $mechanism, $initial) = @_;
    return $session->_auth_sasl($mechanism, $initial) if $session->can('_auth_sasl');

    my ($user, $clear, $digest, $ticket);
    if ($mechanism eq 'plain') {
        (undef, $user, $clear) = get_auth_details_plain($session, $initial);
    }
    elsif ($mechanism eq 'login') {
        ($user, $clear) = get_auth_details_login($session, $initial);
    }
    elsif ($mechanism eq 'cram-md5') {
        ($ticket, $user, $digest) = get_auth_details_cram_md5($session);
    }
    else {
        $session->respond(500, 'Internal server error');
        return DECLINED;
    }
    return DECLINED unless $user;
    if (!$clear && !$digest) {
        _no_details($session, '');
        return DECLINED;
    }

    my @attempt = ($mechanism, $user, $clear, $digest, $ticket);
    my ($verdict, $text) = $session->run_hooks("auth-$mechanism", @attempt);
    ($verdict, $text) = $session->run_hooks('auth', @attempt) if $verdict == DECLINED;
    return _conclude($session, $mechanism, $user, $verdict, $text);
}

sub _conclude {
    my ($session, $mechanism, $user, $verdict, $text) = @_;
    my $passed = $verdict == OK;
    my $reply  = uc($mechanism) . ' authentication ' . ($passed ? 'successful' : 'failed') . " for $user";
    $reply .= " - $text" if $text;

    if (!$passed) {
        $session->respond(535, $reply);
        $session->log(LOGDEBUG, $reply);
        return DENY;
    }
    $session->respond(235, $reply);
    my $connection = $session->connection;
    $connection->relay_client(1);
    if ($connection->notes('naughty')) {
        $session->log(LOGINFO, 'auth success cleared naughty');
        $connection->notes('naughty', 0);
    }
    $session->log(LOGDEBUG, $reply);
    $session->{_auth_user}      = $user;
    $session->{_auth_mechanism} = $mechanism;
    return OK;
}

1;
