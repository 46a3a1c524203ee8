package Qpsmtpd::Transaction;

# The mail transaction. Envelope, body and notes are XS; the header is a
# Mail::Header, made when it is first asked for (Camelpost::Header).

use strict;
use warnings;
use IO::File ();
use Camelpost::Header ();
use Qpsmtpd;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd');

# What a transaction inherits for itself alone.
sub transaction { return $_[0] }

# The rest of a transaction ends with it in Rust; these two are the plugins'.
sub DESTROY {
    my $self = shift;
    return unless $self->{_temp_files} || $self->{_temp_dirs};
    return if Camelpost::is_stray_child();
    unlink grep { -e } @{$self->{_temp_files}} if $self->{_temp_files};
    if (my $dirs = $self->{_temp_dirs}) {
        require File::Path;
        File::Path::remove_tree(grep { -d } @$dirs);
    }
    return;
}

1;
