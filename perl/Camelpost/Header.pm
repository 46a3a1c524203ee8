package Camelpost::Header;

# Mail::Header at less cost: reading a message's header, and looking fields up in
# it, are a large part of what a message costs, and are done by XSUBs here as long
# as a trial shows that they do what the class does. What is out of the ordinary
# is left to the class, and where fast paths are off, everything.

use strict;
use warnings;
use Mail::Header ();

# The object that the class itself makes of the text.
sub parse {
    my @lines = split /^/m, shift;
    return Mail::Header->new(\@lines, Modify => 0, MailFrom => 'COERCE');
}

# The class's own subs, for what the XSUBs leave to them.
BEGIN {
    no warnings 'once';
    *own_get    = Mail::Header->can('get');
    *own_add    = Mail::Header->can('add');
    *own_delete = Mail::Header->can('delete');
    *own_spell  = Mail::Header->can('_tag_case') || sub { return $_[0] };
}

sub _hasten {
    my $blank = Mail::Header->new(Modify => 0, MailFrom => 'COERCE');
    my $text  = "Received: a\n\tb\nX-mime-ID: 1\nreceived:  c\nSubject: d \nTo:\n";
    my ($one, $other) = (_filled($blank, $text), parse($text));
    return unless $one && _shape($one) eq _shape($other);
    _fill_from($blank);

    return unless Mail::Header->can('_tag_case');
    for my $tag (qw(Received received Received: x-mime-id SUBJECT To Cc), 'X y ', '', "\xe9") {
        return unless _spell($tag) eq own_spell($tag);
        my @got = map { join '|', $_->($one, $tag), 'scalar', scalar($_->($one, $tag)) // 'undef' }
          \&_get, \&own_get;
        return unless $got[0] eq $got[1];
    }
    my @said = map {
        my ($header, $add, $delete) = @$_;
        join '|', $add->($header, 'X-Ours', ' one ', 0), $add->($header, 'subject:', 'two'),
          $delete->($header, 'X-Nothing'), scalar $delete->($header, 'X-Nothing');
    } [$one, \&_add, \&_delete], [$other, \&own_add, \&own_delete];
    return unless $said[0] eq $said[1] && _shape($one) eq _shape($other);
    no warnings 'redefine';
    *Mail::Header::get       = \&_get;
    *Mail::Header::add       = \&_add;
    *Mail::Header::delete    = \&_delete;
    *Mail::Header::_tag_case = \&_spell;
    return;
}

# Which keys there are, and which field each tag refers to.
sub _shape {
    my $header = shift;
    my %place;
    my $list = $header->{mail_hdr_list};
    $place{\$list->[$_]} = $_ for 0 .. $#$list;
    my $hash = $header->{mail_hdr_hash};
    return join "\n", ref $header, @$list,
      (map { ref $header->{$_} ? "$_=" . ref $header->{$_} : "$_=$header->{$_}" } sort keys %$header),
      (map { ref $_ || $_ } %{$header->{mail_hdr_lengths}}{sort keys %{$header->{mail_hdr_lengths}}}),
      map { ($_, map { $place{$_} // 'elsewhere' } @{$hash->{$_}}) } sort keys %$hash;
}

_hasten() if Camelpost::is_fast();

1;
