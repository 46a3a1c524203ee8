package Qpsmtpd::TcpServer;

# The class of the qp object.

use strict;
use warnings;
use Qpsmtpd::SMTP;

our @ISA = ('Qpsmtpd::SMTP');

1;
