package Qpsmtpd::DSN;

# Reply texts with enhanced status codes (RFC 3463). A plugin says
#     return Qpsmtpd::DSN->mbox_full;
# and gives the chain (DENYSOFT, "Mailbox full. (#4.2.2)"). Each method takes an
# optional verdict and an optional text of the caller's. This file makes texts
# only; what the verdict does is the chain's matter.

use strict;
use warnings;
use Qpsmtpd::Constants;

# name => [verdict when none is given, subject, detail, text when none is given]
my %status = (
    unspecified                      => [DENYSOFT,  0, 0, 'Other or Undefined Status'],
    addr_unspecified                 => [DENYSOFT,  1, 0, 'Other address status.'],
    addr_bad_dest_mbox               => [DENY,      1, 1, 'Bad destination mailbox address.'],
    addr_bad_dest_system             => [DENY,      1, 2, 'Bad destination system address.'],
    addr_bad_dest_syntax             => [DENY,      1, 3, 'Bad destination mailbox address syntax.'],
    addr_dest_ambigous               => [DENYSOFT,  1, 4, 'Destination mailbox address ambiguous.'],
    addr_rcpt_ok                     => [OK,        1, 5, 'Destination address valid.'],
    addr_mbox_moved                  => [DENY,      1, 6, 'Destination mailbox has moved, No forwarding address.'],
    addr_bad_from_syntax             => [DENY,      1, 7, "Bad sender's mailbox address syntax."],
    addr_bad_from_system             => [DENY,      1, 8, "Bad sender's system address."],
    mbox_unspecified                 => [DENYSOFT,  2, 0, 'Other or undefined mailbox status.'],
    mbox_disabled                    => [DENY,      2, 1, 'Mailbox disabled, not accepting messages.'],
    mbox_full                        => [DENYSOFT,  2, 2, 'Mailbox full.'],
    mbox_msg_too_long                => [DENY,      2, 3, 'Message length exceeds administrative limit.'],
    mbox_list_expansion_problem      => [DENYSOFT,  2, 4, 'Mailing list expansion problem.'],
    sys_unspecified                  => [DENYSOFT,  3, 0, 'Other or undefined mail system status.'],
    sys_disk_full                    => [DENYSOFT,  3, 1, 'Mail system full.'],
    sys_not_accepting_mail           => [DENYSOFT,  3, 2, 'System not accepting network messages.'],
    sys_not_supported                => [DENYSOFT,  3, 3, 'System not capable of selected features.'],
    sys_msg_too_big                  => [DENY,      3, 4, 'Message too big for system.'],
    net_unspecified                  => [DENYSOFT,  4, 0, 'Other or undefined network or routing status.'],
    net_directory_server_failed      => [DENYSOFT,  4, 3, 'Directory server failure.'],
    net_system_congested             => [DENYSOFT,  4, 5, 'Mail system congestion.'],
    net_routing_loop                 => [DENY,      4, 6, 'Routing loop detected.'],
    proto_unspecified                => [DENYSOFT,  5, 0, 'Other or undefined protocol status.'],
    proto_invalid_command            => [DENY,      5, 1, 'Invalid command.'],
    proto_syntax_error               => [DENY,      5, 2, 'Syntax error.'],
    proto_rcpt_list_too_long         => [DENYSOFT,  5, 3, 'Too many recipients.'],
    too_many_rcpts                   => [DENYSOFT,  5, 3, 'Too many recipients.'],
    proto_invalid_cmd_args           => [DENY,      5, 4, 'Invalid command arguments.'],
    proto_wrong_version              => [DENYSOFT,  5, 5, 'Wrong protocol version.'],
    media_unspecified                => [DENYSOFT,  6, 0, 'Other or undefined media error.'],
    media_unsupported                => [DENY,      6, 1, 'Media not supported.'],
    media_conv_prohibited            => [DENY,      6, 2, 'Conversion required and prohibited.'],
    media_conv_unsupported           => [DENYSOFT,  6, 3, 'Conversion required but not supported.'],
    media_conv_lossy                 => [DENYSOFT,  6, 4, 'Conversion with loss performed.'],
    sec_unspecified                  => [DENYSOFT,  7, 0, 'Other or undefined security status.'],
    sec_sender_unauthorized          => [DENY,      7, 1, 'Delivery not authorized, message refused.'],
    sec_list_dest_prohibited         => [DENY,      7, 2, 'Mailing list expansion prohibited.'],
    sec_conv_failed                  => [DENY,      7, 3, 'Security conversion required but not possible.'],
    sec_feature_unsupported          => [DENY,      7, 4, 'Security features not supported.'],
    sec_crypto_failure               => [DENY,      7, 5, 'Cryptographic failure.'],
    sec_crypto_algorithm_unsupported => [DENYSOFT,  7, 6, 'Cryptographic algorithm not supported.'],
    sec_msg_integrity_failure        => [DENY,      7, 7, 'Message integrity failure.'],
);

# Names that read better in a plugin. An empty or zero text after a verdict
# counts as no text here, other than with the names above.
my %shorthand = (
    no_such_user         => [DENY,      1, 1, 'No such user'],
    too_many_hops        => [DENY,      4, 6, 'Too many hops'],
    temp_resolver_failed => [DENYSOFT,  4, 3, 'Temporary address resolution failure'],
    relaying_denied      => [DENY,      7, 1, 'Relaying denied'],
    bad_sender_ip        => [DENY,      7, 1, "Bad sender's IP"],
);

# The first digit of the status; any other verdict is a persistent transient
# failure.
my %class = (OK, 2, DONE, 2, DENY, 5, DENY_DISCONNECT, 5);

sub _reply {
    my ($entry, $verdict, $text) = @_;
    my ($default_verdict, $subject, $detail, $default_text) = @$entry;
    $verdict //= $default_verdict;
    $text    //= $default_text;
    my $class = $class{$verdict} || 4;
    return ($verdict, "$text (#$class.$subject.$detail)");
}

# A first argument that is not a number is the text.
sub _arguments {
    my ($first, $second) = @_;
    return (undef, $second) unless defined $first;
    return $first =~ /^[0-9]+$/ ? ($first, $second) : (undef, $first);
}

{
    no strict 'refs';
    for my $name (keys %status) {
        my $entry = $status{$name};
        *$name = sub { shift; return _reply($entry, _arguments(@_)) };
    }
    for my $name (keys %shorthand) {
        my $entry = $shorthand{$name};
        *$name = sub {
            shift;
            my ($verdict, $text) = _arguments(@_);
            undef $text if defined $verdict && !$text;
            return _reply($entry, $verdict, $text);
        };
    }
}

1;
