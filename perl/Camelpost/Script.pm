package Camelpost::Script;

# What `camelpost perl` does before a script's own text is compiled: the host's modules are there,
# and session objects that the script makes have sessions.

use strict;
use warnings;
use Config ();

$Camelpost::is_script = 1;

sub prepare {
    # What a script runs through $^X is perl itself.
    $^X = $Config::Config{perlpath} if -x $Config::Config{perlpath};
    $INC{'Camelpost/Start.pm'} = 'perl/Camelpost/Start.pm';
    Camelpost::_serve_scripts();
    return;
}

1;
