package Qpsmtpd::Config;

# Config values by the name that qpsmtpd 1.00 has for what reads them; works without a session, too. The
# reading itself is the host's; this class passes on to it. It keeps no values: %config_cache is there
# for test scripts that empty it. In a script %dir_memo has what config_dir has found, as qpsmtpd's has;
# in a server, which outlives its files, each call looks.

use strict;
use warnings;
use POSIX ();
use Qpsmtpd::Base;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd::Base');

our %config_cache;
our %dir_memo;
our %defaults = (me => (POSIX::uname())[1], timeout => 1200);

sub new {
    my ($class, %args) = @_;
    return bless {%args}, ref $class || $class;
}

# What goes wrong while logging may not be there yet: from LOGWARN on, and past the logging plugins
# until they have been loaded. (Reading config files must not make the logger read them again.)
sub log {
    my ($self, $level, @texts) = @_;
    return if $level > LOGWARN;
    no warnings 'once';
    return Qpsmtpd->log($level, @texts) if $Qpsmtpd::LOGGING_LOADED;
    return warn join(' ', $$, @texts) . "\n";
}

# config(QP, NAME) and config(QP, NAME, 'map'), with the hooks that QP has.
sub config {
    my ($self, $qp, $name, $type) = @_;
    return $qp->config($name, $type);
}

# The same without hooks and defaults.
sub get_qmail {
    my ($self, $name, $type) = @_;
    return $self->get_qmail_map($name) if defined $type && $type eq 'map';
    return $self->from_file($name);
}

# A hash tied to NAME.cdb, or to this file.
sub get_qmail_map {
    my ($self, $name, $file) = @_;
    return Qpsmtpd->_config_map($name) unless defined $file;
    return {} unless -e $file;
    return Qpsmtpd->_map_of_file($file);
}

# The lines that count of NAME's file, or of this one with what it includes. In scalar context the
# first.
sub from_file {
    my ($self, $name, $file) = @_;
    my @lines = Qpsmtpd->_config_of_file($name, defined $file ? $file : ());
    return wantarray ? @lines : $lines[0];
}

# The files that a line `$include PATH` stands for: those of a directory, or the path.
sub expand_inclusion {
    my ($self, $path, $place) = @_;
    return $path unless -d $path;
    opendir my $dir, $path or do {
        $self->log(LOGERROR, "cannot open the directory $path, included from $place: $!");
        return;
    };
    return grep { -f } map { "$path/$_" } grep { !/^\./ } sort readdir $dir;
}

# What a name is where no file says so; nothing for most.
sub default {
    my ($self, $name) = @_;
    return exists $defaults{$name} ? scalar $defaults{$name} : ();
}

sub config_dir {
    my ($self, $name) = @_;
    return $dir_memo{$name} if exists $dir_memo{$name};
    my $dir = Qpsmtpd->_found_config_dir($name);
    $dir_memo{$name} = $dir if $Camelpost::is_script;
    return $dir;
}

sub clear_cache {
    (%config_cache, %dir_memo) = ();
    return;
}

1;
