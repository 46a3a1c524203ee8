package Qpsmtpd::ConfigServer;

# The console of qpsmtpd-async, a client object of its event loop. There is no such loop here, so
# none can be made; a plugin that only loads the class goes on.

use strict;
use warnings;

sub new {
    my $class = shift;
    my (undef, $file, $line) = caller;
    die "$class: the console of qpsmtpd-async runs in the event loop of Danga::Socket, which "
      . "Camelpost does not have: stop, reload and look at the server by its signals and its log "
      . "at $file line $line.\n";
}

1;
