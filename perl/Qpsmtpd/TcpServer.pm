package Qpsmtpd::TcpServer;

# The class of the qp object. In a server the session is Rust; what is written
# out here serves scripts that drive a session on STDIN and STDOUT themselves.

use strict;
use warnings;
use Qpsmtpd::SMTP;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd::SMTP');

# Asked by plugins that look names up: the server takes both kinds of addresses.
sub has_ipv6 { return 1 }

# These two are this class's, as plugins know them, and lead to the session's.
sub respond    { return shift->SUPER::respond(@_) }
sub disconnect { return shift->SUPER::disconnect(@_) }

# The client is the one that inetd's and tcpserver's variables name.
sub start_connection {
    my ($self, %args) = @_;
    my $ip   = $ENV{TCPREMOTEIP};
    my $host = $ENV{TCPREMOTEHOST} || (defined $ip ? "[$ip]" : 'localhost');
    my $info = $ENV{TCPREMOTEINFO};
    my %client = (
        remote_ip   => defined $ip     ? $ip            : '127.0.0.1',
        remote_host => $host,
        remote_info => defined $info   ? "$info\@$host" : $host,
        remote_port => $ENV{TCPREMOTEPORT},
        local_ip    => $ENV{TCPLOCALIP},
        local_port  => $ENV{TCPLOCALPORT},
        %args,
    );
    return $self->connection->start(map { ($_ => $client{$_}) } grep { defined $client{$_} } keys %client);
}

# A whole session.
sub run {
    my $self = shift;
    $self->start_conversation;
    return $self->read_input;
}

sub read_input {
    my $self = shift;
    my $timeout = $self->config('timeoutsmtpd') || $self->config('timeout') || 1200;
    while (defined(my $line = $self->getline($timeout))) {
        $line =~ s/\r?\n\z//;
        $self->log(LOGINFO, "dispatching $line");
        $self->connection->notes('original_string', $line);
        $self->dispatch(split / +/, $line, 2);
        return if $self->connection->notes('disconnected');
    }
    $self->reset_transaction;
    $self->run_hooks($_) for qw(disconnect post-connection);
    return;
}

1;
