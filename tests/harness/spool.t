# The spool directory of a script's session: made when somebody first asks where it is, and no sooner.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Test::More;
use Test::Qpsmtpd;

my $home = tempdir(CLEANUP => 1);
mkdir "$home/config" or die "$home/config: $!";
open my $out, '>', "$home/config/spool_perms" or die "$home/config: $!";
print $out "0750\n";
close $out or die "$home/config: $!";
{
    package Spooling;
    our @ISA = ('Test::Qpsmtpd');
    sub config_dir { my ($self, $name) = @_; return -e "$home/config/$name" ? "$home/config" : $self->SUPER::config_dir($name) }
}
local $ENV{HOME} = $home;
umask 022;

my $smtpd = Spooling->new_conn;
$smtpd->command('HELO client.example');
ok(!-e "$home/tmp", 'a session that stores nothing makes no directory');
is($smtpd->spool_dir, "$home/tmp/", 'without spool_dir it is tmp in $HOME');
is(sprintf('%04o', (stat "$home/tmp")[2] & 07777), '0750', 'made with the rights of spool_perms');
like($smtpd->temp_file, qr{^\Q$home\E/tmp/\d+:$$:}, 'names of temporary files are in it');
ok(-d $smtpd->temp_dir, 'temporary directories, too');
done_testing;
