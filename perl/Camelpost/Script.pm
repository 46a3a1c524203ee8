package Camelpost::Script;

# What `camelpost perl` does before a script's own text is compiled: the host's modules are there,
# and session objects that the script makes have sessions.

use strict;
use warnings;
use Config ();

$Camelpost::is_script = 1;

# The version of the qpsmtpd whose modules the script would load without us: those in a directory that
# it, or whoever called it, has named. What is installed for all scripts says nothing about this one.
sub version_of_modules {
    my %is_perls = map { $_ => 1 } grep { defined } @Config::Config{
        qw(privlibexp archlibexp sitelibexp sitearchexp vendorlibexp vendorarchexp)};
    for my $dir (grep { !ref && !$is_perls{$_} } @INC) {
        open my $module, '<', "$dir/Qpsmtpd.pm" or next;
        while (my $line = <$module>) {
            return $1 if $line =~ /\$VERSION\s*=\s*['"]?([0-9][0-9.]*)/;
        }
    }
    return;
}

sub set_version { $Qpsmtpd::VERSION = $_[0]; return }

sub prepare {
    # What a script runs through $^X is perl itself.
    $^X = $Config::Config{perlpath} if -x $Config::Config{perlpath};
    $INC{'Camelpost/Start.pm'} = 'perl/Camelpost/Start.pm';
    Camelpost::_serve_scripts();
    return;
}

1;
