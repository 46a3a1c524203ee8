package Qpsmtpd::Config;

# Config values by the name that qpsmtpd 1.00 has for what reads them. The reading itself is the
# host's; this class passes on to it. It caches nothing: %config_cache is there for test scripts
# that empty it.

use strict;
use warnings;
use POSIX ();
use Qpsmtpd::Base;

our @ISA = ('Qpsmtpd::Base');

our %config_cache;
our %dir_memo;
our %defaults = (me => (POSIX::uname())[1], timeout => 1200);

sub new {
    my ($class, %args) = @_;
    return bless {%args}, ref $class || $class;
}

# config(QP, NAME) and config(QP, NAME, 'map'), with the hooks that QP has.
sub config {
    my ($self, $qp, $name, $type) = @_;
    return $qp->config($name, $type);
}

# The same without hooks: a file's lines, or the default.
sub get_qmail {
    my ($self, $name, $type) = @_;
    return Qpsmtpd->_config_map($name) if defined $type && $type eq 'map';
    my @values = Qpsmtpd->_config_of_file($name);
    return wantarray ? @values : $values[0];
}

sub get_qmail_map {
    my ($self, $name) = @_;
    return Qpsmtpd->_config_map($name);
}

sub default {
    my ($self, $name) = @_;
    return $defaults{$name};
}

sub config_dir {
    my ($self, $name) = @_;
    return Qpsmtpd->config_dir($name);
}

sub clear_cache {
    (%config_cache, %dir_memo) = ();
    return;
}

1;
