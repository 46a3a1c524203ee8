package Qpsmtpd::Utils;

# One function that plugins of qpsmtpd 0.94 call: a path's leading ~ or ~user
# becomes the home directory. Nothing else of a path is touched.

use strict;
use warnings;

sub tildeexp {
    my $path = shift;
    $path =~ s{^~([^/]*)}{_home($1)}e;
    return $path;
}

sub _home {
    my $user = shift;
    return (getpwnam $user)[7] // "~$user" if length $user;
    return $ENV{HOME} || $ENV{LOGDIR} || (getpwuid $>)[7];
}

1;
