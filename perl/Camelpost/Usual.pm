package Camelpost::Usual;

# What plugins have always found, since the original's programs set it up before they loaded any:
# modules that need not be named, the search path of programs, and a perl behind $^X.

use strict;
use warnings;
use Config ();

# What the original's programs and its own modules load. Those that a plugin does not need may be
# missing here, as one that names them says so itself.
my @modules = qw(
  Carp Cwd Encode Errno Exporter::Heavy File::Basename File::Path File::Spec Getopt::Long IO::File
  IO::Select IO::Socket IO::Socket::INET IO::Socket::UNIX List::Util MIME::Base64 POSIX Scalar::Util
  Socket Storable Sys::Hostname Time::HiRes Digest::HMAC_MD5 Mail::Header Net::DNS Net::IP
  base bytes integer lib parent
);

sub prepare {
    my $config_dir = shift;
    for my $module (@modules) {
        my $file = $module =~ s{::}{/}gr . '.pm';
        local ($@, $!);
        local $SIG{__DIE__} = 'DEFAULT';
        eval { require $file };
    }
    $ENV{PATH} = '/bin:/usr/bin:/var/qmail/bin';
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
    # Tainted in taint mode, as what comes from outside is under the original.
    my $outside = substr $^X, 0, 0;
    $ENV{QPSMTPD_CONFIG} = $config_dir . $outside if defined $config_dir;
    $^X = $Config::Config{perlpath} . $outside if -x $Config::Config{perlpath};
    return;
}

1;
