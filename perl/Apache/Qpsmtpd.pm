package Apache::Qpsmtpd;

# The original's way of being run inside Apache. Camelpost is a server of its own and cannot be: a
# configuration that asks for it is told so, instead of getting half of the original.

use strict;
use warnings;

die "Apache::Qpsmtpd: Camelpost does not run inside Apache (mod_perl). Start `camelpost serve` with "
  . "the same config directory (--config) and leave Apache out of it; a plugin or test script that "
  . "only needs the classes uses Qpsmtpd::SMTP\n";
