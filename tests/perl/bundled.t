# Every plugin of Debian's package compiled and registered over Camelpost's
# modules and, where its modules are visible, over the original's: the same ones
# load, and each registers the same hooks in the same order.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find qw(find);
use Test::More;

my $here     = dirname(abs_path(__FILE__));
my $modules  = abs_path("$here/../../perl");
my $original = '/usr/share/perl5';
my $plugins  = '/usr/share/qpsmtpd/plugins';

-d $plugins or BAIL_OUT("$plugins is missing: install Debian's package qpsmtpd");

sub start_over {
    my ($directory, @names) = @_;
    local $ENV{PROBE_MODULES} = "$directory/Qpsmtpd";
    local $ENV{PERL5LIB};
    delete $ENV{PERL5LIB};
    open my $pipe, '-|', $^X, "-I$here/lib", "-I$directory", "$here/register_all.pl", $plugins, @names
      or die "cannot run $^X: $!";
    return $pipe;
}

sub answers {
    my $pipe = shift;
    my (%answer, $name);
    while (my $line = <$pipe>) {
        chomp $line;
        if ($line =~ /^(\S+): (.*)/) { $answer{$name = $1} = $2 }
        else                         { $answer{$name} .= "\n$line" }
    }
    return %answer;
}

my @names;
find({no_chdir => 1, wanted => sub { push @names, substr $_, 1 + length $plugins if -f && !/\.txt$/ }}, $plugins);

# These must load with what the test set-up installs.
my %required = map { $_ => 1 } qw(hosts_allow relay earlytalker count_unrecognized_commands badmailfrom
  badmailfromto badrcptto helo rcpt_ok headers loop bogus_bounce noop_counter quit_fortune connection_time
  naughty help dont_require_anglebrackets parse_addr_withhelo rcpt_regexp rcpt_map queue/maildir
  queue/qmail-queue queue/smtp-forward logging/warn logging/file logging/adaptive auth/auth_flat_file
  auth/authdeny);

# async needs qpsmtpd-async, the others are programs.
@names = grep { !m{^async/|_tool$|^tls_cert$|^stunnel$} } sort @names;
my $has_original = -r "$original/Qpsmtpd/Plugin.pm";
my $ours_pipe     = start_over($modules, @names);
my $original_pipe = $has_original ? start_over($original, @names) : undef;
my %ours          = answers($ours_pipe);
my %original      = $has_original ? answers($original_pipe) : ();
for my $name (@names) {
    like($ours{$name}, qr/^hooks /, "$name loads") if $required{$name};
    is($ours{$name}, $original{$name}, "$name registers as under the original") if $has_original;
}
done_testing;
