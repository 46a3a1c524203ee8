package Qpsmtpd::TcpServer;

# The class of the qp object.

use strict;
use warnings;
use Qpsmtpd::SMTP;

our @ISA = ('Qpsmtpd::SMTP');

# Asked by plugins that look names up: the server takes both kinds of addresses.
sub has_ipv6 { return 1 }

1;
