# What a session logs goes through log and varlog, in the original's form.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Qpsmtpd::SMTP;
use Qpsmtpd::Constants;

my @warned;
local $SIG{__WARN__} = sub { my $line = shift; $line =~ s/^\Q$$\E/PID/; push @warned, $line };
Qpsmtpd->varlog(LOGERROR, 'one');
Qpsmtpd->varlog(LOGERROR, 'hook', 'two');
Qpsmtpd->varlog(LOGERROR, 'hook',  'plugin', 'three');
Qpsmtpd->varlog(LOGERROR, undef,   'plugin', 'four', 'five');
Qpsmtpd->varlog(LOGDEBUG, 'hook',  'plugin', 'not seen');
Qpsmtpd->log(LOGERROR, 'a', 'b');
is(join('', @warned), <<'LINES', 'without a logging plugin: warnings');
PID one
PID (hook) running plugin: two
PID (hook) plugin: three
PID plugin: four five
PID a b
LINES

{
    package Kept;
    our @ISA = ('Qpsmtpd::SMTP');
    our @lines;
    sub varlog { my ($self, @rest) = @_; push @lines, join '|', map { defined $_ ? $_ : 'undef' } @rest }
}
@warned = ();
my $kept = Kept->new;
$kept->log(LOGINFO, 'one', 'text');
is("@Kept::lines", '6|one text', 'log calls varlog with one text');
@Kept::lines = ();
push @{Qpsmtpd->hooks->{noop}}, {name => 'a_plugin', code => sub { return (DECLINED, 'why') }};
$kept->run_hooks_no_respond('noop');
push @{Qpsmtpd->hooks->{received_line}}, {name => 'a_plugin', code => sub { return (DECLINED, 'why') }};
$kept->run_hooks('received_line');
is(join(' / ', @Kept::lines), '7|received_line|a_plugin / 7|Plugin a_plugin, hook received_line returned DECLINED, why',
    'a chain logs each plugin');
is(scalar @warned, 0, 'and nothing else is written');

@Kept::lines = ();
my @hooked;
push @{Qpsmtpd->hooks->{logging}}, {
    name => 'logger',
    code => sub { my ($qp, $transaction, @line) = @_; push @hooked, join '|', ref $qp, map { defined $_ ? $_ : 'undef' } @line; return OK },
};
my $plain = Qpsmtpd::SMTP->new;
$plain->log(LOGINFO, 'to the hook');
is("@hooked", 'Qpsmtpd::SMTP|6|undef|undef|to the hook', 'a logging hook gets the session\'s object');
done_testing;
