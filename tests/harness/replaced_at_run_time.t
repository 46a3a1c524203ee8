# A method is also replaced by an assignment to its glob, from then on and only as long as it stands.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;

my $smtpd = Test::Qpsmtpd->new_conn;
$smtpd->command('HELO a');
is(join(' ', $smtpd->command('NOOP')), '250 OK', 'the host\'s own');

{
    no warnings 'redefine';
    local *Test::Qpsmtpd::respond = sub { $_[0]->{other} = "@_[1 .. $#_]"; return 1 };
    $smtpd->dispatch('NOOP');
    is($smtpd->{other}, '250 OK', 'a local respond');
}
is(join(' ', $smtpd->command('NOOP')), '250 OK', 'and what was there before it');

$smtpd->said;
my $own = \&Qpsmtpd::SMTP::noop_respond;
{
    no warnings 'redefine';
    *Qpsmtpd::SMTP::noop_respond = sub { my $self = shift; $self->respond(250, 'wrapped'); return $own->($self, @_) };
}
$smtpd->dispatch('NOOP');
is(join(' ', map { "@$_" } $smtpd->said), '250 wrapped 250 OK', 'a wrapper in the base class');
{
    no warnings 'redefine';
    *Qpsmtpd::SMTP::noop_respond = $own;
}
is(join(' ', $smtpd->command('NOOP')), '250 OK', 'put back');

@Heir::ISA = ('Test::Qpsmtpd');
my $heir = Heir->new_conn;
$heir->said;
is(join(' ', $heir->command('NOOP')), '250 OK', 'a subclass with nothing of its own');
*Heir::noop = sub { $_[0]->respond(250, 'heir') };
is(join(' ', $heir->command('NOOP')), '250 heir', 'a method that it gets while the session runs');
undef *Heir::noop;
@Heir::ISA = ('Heir::Parent');
@Heir::Parent::ISA = ('Test::Qpsmtpd');
is(join(' ', $heir->command('NOOP')), '250 OK', 'without it, and with another parent');
*Heir::Parent::noop = *Heir::Parent::noop = sub { $_[0]->respond(250, 'parent') };
is(join(' ', $heir->command('NOOP')), '250 parent', 'a method that the parent gets');
done_testing;
