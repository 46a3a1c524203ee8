package Qpsmtpd::Transaction;

# The mail transaction. Envelope, body and notes are XS; the header is a
# Mail::Header, made when it is first asked for.

use strict;
use warnings;
use IO::File ();
use Mail::Header ();
use Qpsmtpd;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd');

# What a transaction inherits for itself alone.
sub transaction { return $_[0] }

# The object that Mail::Header itself would make of the text. Its own parser is a
# large part of a message's cost; the fields here are known to be well formed, so
# they are put where it would put them, as long as a trial shows that it would.
my $fast;
my %tag_case;

# Mail::Header spells a tag anew each time it is asked for it, with two expressions a
# word: some forty times a message.
if (my $spell = Mail::Header->can('_tag_case')) {
    no warnings 'redefine';
    *Mail::Header::_tag_case = sub {
        my $known = defined $_[0] ? $tag_case{$_[0]} : undef;
        return $known if defined $known;
        my $tag = $spell->(@_);
        %tag_case = () if keys %tag_case > 1000;
        $tag_case{$_[0]} = $tag if defined $_[0];
        return $tag;
    };
}

sub _parse_header {
    my $text = shift;
    $fast = _fast_is_right() unless defined $fast;
    return $fast && _parse_fast($text) || _parse_slowly($text);
}

sub _parse_slowly {
    my @lines = split /^/m, shift;
    return Mail::Header->new(\@lines, Modify => 0, MailFrom => 'COERCE');
}

# What `new` would make each time.
my $blank;

sub _parse_fast {
    $blank ||= Mail::Header->new(Modify => 0, MailFrom => 'COERCE');
    my $header = bless {
        %$blank,
        mail_hdr_list    => [],
        mail_hdr_hash    => {},
        mail_hdr_lengths => {%{$blank->{mail_hdr_lengths} || {}}},
      },
      ref $blank;
    return _fill_header(@$header{qw(mail_hdr_list mail_hdr_hash)}, $_[0]) ? $header : undef;
}

sub _fast_is_right {
    my $text = "Received: a\n\tb\nX-mime-ID: 1\nreceived:  c\nSubject: d \n";
    my ($one, $other) = (_parse_fast($text), _parse_slowly($text));
    return 0 unless $one && join("\n", @{$one->{mail_hdr_list}}) eq join "\n", @{$other->{mail_hdr_list}};
    my @shapes = map { _shape($_) } $one, $other;
    return $shapes[0] eq $shapes[1] ? 1 : 0;
}

# Which keys there are, and which field each tag refers to.
sub _shape {
    my $header = shift;
    my %place;
    my $list = $header->{mail_hdr_list};
    $place{\$list->[$_]} = $_ for 0 .. $#$list;
    my $hash = $header->{mail_hdr_hash};
    return join ' ', ref $header,
      (map { ref $header->{$_} ? "$_=" . ref $header->{$_} : "$_=$header->{$_}" } sort keys %$header),
      (grep { ref } values %{$header->{mail_hdr_lengths}}),
      map { ($_, map { defined $place{$_} ? $place{$_} : 'elsewhere' } @{$hash->{$_}}) } sort keys %$hash;
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
