package Qpsmtpd::Postfix::Constants;

# Flags and status bits of Postfix's cleanup service, and the texts a plugin gives
# the client for a status. The numbers are Postfix's; nothing is computed here.

use strict;
use warnings;
use Exporter 'import';

my %number;

BEGIN {
    %number = (
        CLEANUP_FLAG_NONE             => 0,
        CLEANUP_FLAG_BOUNCE           => 1 << 0,
        CLEANUP_FLAG_FILTER           => 1 << 1,
        CLEANUP_FLAG_HOLD             => 1 << 2,
        CLEANUP_FLAG_DISCARD          => 1 << 3,
        CLEANUP_FLAG_BCC_OK           => 1 << 4,
        CLEANUP_FLAG_MAP_OK           => 1 << 5,
        CLEANUP_FLAG_MILTER           => 1 << 6,
        CLEANUP_FLAG_FILTER_ALL       => 1 << 1 | 1 << 6,
        CLEANUP_FLAG_MASK_EXTERNAL    => 1 << 1 | 1 << 6 | 1 << 4 | 1 << 5,
        CLEANUP_FLAG_MASK_INTERNAL    => 1 << 5,
        CLEANUP_FLAG_MASK_EXTRA       => 1 << 2 | 1 << 3,
        CLEANUP_STAT_OK               => 0,
        CLEANUP_STAT_BAD              => 1 << 0,
        CLEANUP_STAT_WRITE            => 1 << 1,
        CLEANUP_STAT_SIZE             => 1 << 2,
        CLEANUP_STAT_CONT             => 1 << 3,
        CLEANUP_STAT_HOPS             => 1 << 4,
        CLEANUP_STAT_RCPT             => 1 << 6,
        CLEANUP_STAT_PROXY            => 1 << 7,
        CLEANUP_STAT_DEFER            => 1 << 8,
        CLEANUP_STAT_MASK_CANT_BOUNCE => 1 << 0 | 1 << 1 | 1 << 8,
        CLEANUP_STAT_MASK_INCOMPLETE  => 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8,
    );
}

use constant \%number;

our $postfix_version = '2.4';

our %cleanup_soft = (
    CLEANUP_STAT_BAD   => 'internal protocol error (#4.3.0)',
    CLEANUP_STAT_DEFER => 'service unavailable (#4.7.1)',
    CLEANUP_STAT_PROXY => 'queue file write error (#4.3.0)',
    CLEANUP_STAT_WRITE => 'queue file write error (#4.3.0)',
);

our %cleanup_hard = (
    CLEANUP_STAT_CONT => 'message content rejected (#5.7.1)',
    CLEANUP_STAT_HOPS => 'too many hops (#5.4.0)',
    CLEANUP_STAT_RCPT => 'no recipients specified (#5.1.0)',
    CLEANUP_STAT_SIZE => 'message file too big (#5.3.4)',
);

our @EXPORT = (sort(keys %number), qw(%cleanup_soft %cleanup_hard $postfix_version));

1;
