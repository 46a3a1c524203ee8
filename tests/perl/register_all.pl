# register_all.pl DIRECTORY PLUGIN...: compiles and registers each plugin with
# usual arguments, in a process and a directory of its own, and prints its hooks
# or why it does not load. Run by bundled.t.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Probe;
use HookTable;
use Qpsmtpd::Plugin;

# The session's classes are not what is looked at; a plugin may require them.
$INC{"Qpsmtpd/$_.pm"} = "$ENV{PROBE_MODULES}/$_.pm" for qw(SMTP TcpServer Transaction Connection Address);
$INC{'Qpsmtpd.pm'} = 'none';

my %arguments = (
    'logging/file'       => ['loglevel', 'LOGWARN', 'log.txt'],
    'logging/adaptive'   => ['accept', 'LOGINFO', 'reject', 'LOGDEBUG'],
    'queue/maildir'      => ['Maildir'],
    'queue/smtp-forward' => ['127.0.0.1', '2526'],
    'queue/qmail-queue'  => ['/bin/true'],
    'http_config'        => ['http://127.0.0.1/'],
    'rcpt_map'           => ['domain', 'example.org', 'file', 'map'],
    'milter'             => ['name', '127.0.0.1:1'],
    'loadcheck'          => ['max_load', 7],
);
my ($directory, @names) = @ARGV;
$Probe::quiet = 1;
$SIG{__WARN__} = sub { };
open STDERR, '>', '/dev/null' or die $!;

sub register {
    my $name    = shift;
    my $session = new_session(dirs => [$directory]);
    (my $package = $name) =~ s/\W/_/g;
    Qpsmtpd::Plugin->compile($package, "Qpsmtpd::Plugin::$package", "$directory/$name", 0, $name);
    "Qpsmtpd::Plugin::$package"->new->_register($session, @{$arguments{$name} || []});
    my $hooks = $session->hooks;
    return join ' ', map { my $hook = $_; map { "$hook=$_->{name}" } @{$hooks->{$hook}} } sort keys %$hooks;
}

for my $name (@names) {
    print "$name: ";
    defined(my $child = fork) or die "fork: $!";
    if ($child) {
        waitpid $child, 0;
        next;
    }
    chdir tempdir(CLEANUP => 1) or die $!;
    mkdir 'Maildir';
    open my $map, '>', 'map' or die $!;
    print $map "user\@example.org OK allowed\n";
    close $map or die $!;
    alarm 20;
    my $hooks = eval { register($name) };
    my ($error) = split /\n/, $@ // '';
    $error =~ s/^eval |\(\@INC (?:contains|entries checked).*?\)| at \S*Qpsmtpd\/\S+ line \d+\.//g if defined $error;
    print defined $hooks ? "hooks $hooks\n" : "error $error\n";
    exit;
}
