package Qpsmtpd::Config;

# Config values by the name that qpsmtpd 1.00 has for what reads them. The reading by name is the
# host's; this class passes on to it, and reads only a file that is given by its path. It caches
# nothing: %config_cache is there for test scripts
# that empty it.

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

# config(QP, NAME) and config(QP, NAME, 'map'), with the hooks that QP has.
sub config {
    my ($self, $qp, $name, $type) = @_;
    return $qp->config($name, $type);
}

# The same without hooks: a file's lines, or the default.
sub get_qmail {
    my ($self, $name, $type) = @_;
    return Qpsmtpd->_config_map($name) if defined $type && $type eq 'map';
    return $self->from_file($name);
}

# The same, or what a file says that is given by its path.
sub from_file {
    my ($self, $name, $file, $outer) = @_;
    my @values = $file ? $self->_lines($name, $file, $outer || []) : Qpsmtpd->_config_of_file($name);
    return wantarray ? @values : $values[0];
}

# A file's lines without comments and white space around; $include FILE stands for the lines there.
sub _lines {
    my ($self, $name, $file, $outer) = @_;
    return unless -e $file;
    open my $handle, '<', $file or do {
        warn "$file: $!\n";
        return;
    };
    my @lines;
    for my $line (grep { /\S/ && !/^\s*#/ } <$handle>) {
        $line =~ s/^\s+|\s+$//g;
        my ($part) = $line =~ /^\$include\s+(\S+)$/ or push(@lines, $line), next;
        $part = $self->config_dir($part) . "/$part" unless $part =~ m{^/};
        if (grep { $_ eq $part } @$outer, $file) {
            $self->log(LOGERROR, "config $name: $part includes itself: " . join ' -> ', @$outer, $file);
            return;
        }
        push @lines, map { $self->_lines($name, $_, [@$outer, $file]) } $self->expand_inclusion($part, $file);
    }
    return @lines;
}

# The files that an $include stands for: of a directory all, in order, but those with a dot.
sub expand_inclusion {
    my ($self, $part, $file) = @_;
    return $part unless -d $part;
    opendir my $handle, $part or do {
        $self->log(LOGERROR, "$part: $! (included by $file)");
        return;
    };
    return grep { -f } map { "$part/$_" } grep { !/^\./ } sort readdir $handle;
}

# Only what is wrong: while logging is being set up, nothing else has a place to go.
sub log {
    my ($self, $level, @words) = @_;
    return if $level > LOGWARN;
    return Qpsmtpd->log($level, @words);
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
