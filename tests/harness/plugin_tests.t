# Plugins that have tests of their own in t/plugin_tests run them, with Test::More at hand; behind the
# __END__ of a plugin there are none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Qpsmtpd;

chdir $FindBin::Bin or die "$FindBin::Bin: $!";
Test::Qpsmtpd->new->run_plugin_tests;
