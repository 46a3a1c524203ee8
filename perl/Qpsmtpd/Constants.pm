package Qpsmtpd::Constants;

# The verdicts a plugin returns and the log levels, with qpsmtpd's numbers, and
# their translation to names and back. Everything is exported: plugins write
# DENY and LOGWARN bare. No behaviour hangs on these here.

use strict;
use warnings;
use Exporter 'import';

my (%verdict, %level, %verdict_name, %level_name);

BEGIN {
    %verdict = (
        OK                  => 900,
        DENY                => 901,
        DENYSOFT            => 902,
        DENYHARD            => 903,
        DENY_DISCONNECT     => 903,
        DENYSOFT_DISCONNECT => 904,
        DECLINED            => 909,
        DONE                => 910,
        YIELD               => 911,
        CONTINUATION        => 911,
    );
    %level = (
        LOGRADAR  => 0,
        LOGEMERG  => 0,
        LOGALERT  => 1,
        LOGCRIT   => 2,
        LOGERROR  => 3,
        LOGWARN   => 4,
        LOGNOTICE => 5,
        LOGINFO   => 6,
        LOGDEBUG  => 7,
    );
    # Where two names share a number, logs show the one qpsmtpd shows.
    %verdict_name = (reverse(%verdict), 903 => 'DENY_DISCONNECT', 911 => 'YIELD');
    %level_name   = (reverse(%level), 0 => 'LOGRADAR');
}

use constant {%verdict, %level};

our @EXPORT = (sort(keys %verdict), sort(keys %level), qw(return_code log_level));
our @EXPORT_OK;

sub return_code { return _translate($_[0], \%verdict, \%verdict_name) }

sub log_level { return _translate($_[0], \%level, \%level_name) }

# A number gives its name ('' when there is none), a name its number (undef when
# there is none).
sub _translate {
    my ($test, $number_of, $name_of) = @_;
    return $name_of->{$test} // '' if $test =~ /\A[0-9]+\z/;
    return $number_of->{$test};
}

1;
