package Qpsmtpd::Transaction;

# The mail transaction. Envelope, body and notes are XS; the header is a
# Mail::Header, made when it is first asked for.

use strict;
use warnings;

sub _parse_header {
    my @lines = split /^/m, $_[0];
    require Mail::Header;
    return Mail::Header->new(\@lines, Modify => 0, MailFrom => 'COERCE');
}

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
