# A script is run as perl runs it: $0, @ARGV, handles, END blocks, its own modules.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;

like($0, qr{(?:^|/)process\.t\z}, '$0 is the script');
is(scalar @ARGV, 0, 'no argument was given');
is(join('', <DATA>), "first\nsecond\n", 'what stands after __END__ of the script is DATA');
like($INC{'Qpsmtpd/SMTP.pm'}, qr{Qpsmtpd/SMTP\.pm\z}, 'the host\'s modules are in %INC');
like($INC{'Qpsmtpd.pm'}, qr{Qpsmtpd\.pm\z}, 'all of them');
is(join(' ', grep { !Test::Qpsmtpd->can($_) } qw(config log varlog connection transaction respond dispatch)), '',
    'and their methods');
is(eval { Test::Qpsmtpd->new->nothing; 1 }, undef, 'a method that is not there');
like($@, qr/^Can't locate object method "nothing" via package "Test::Qpsmtpd" at \S*process\.t line \d+/, 'is perl\'s error');

my $pid = fork;
if (!$pid) {
    my $smtpd = Test::Qpsmtpd->new_conn;
    require POSIX;
    POSIX::_exit(($smtpd->response)[0] == 220 ? 7 : 1);
}
waitpid $pid, 0;
is($? >> 8, 7, 'a forked child has sessions, too');
is(`echo shell`, "shell\n", 'programs run');
is(system($^X, '-e', 'exit 5') >> 8, 5, '$^X is a perl');

# A signal, an alarm, a local $@.
{
    local $SIG{ALRM} = sub { die "in time\n" };
    alarm 1;
    eval { select undef, undef, undef, 10 };
    alarm 0;
    is($@, "in time\n", 'an alarm ends a wait');
}
done_testing;

__END__
first
second
