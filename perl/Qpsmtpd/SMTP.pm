package Qpsmtpd::SMTP;

# The session as plugins see it through the qp object. The session itself is
# Rust; its methods are XS.

use strict;
use warnings;
use Qpsmtpd;
use Qpsmtpd::Constants;
use Qpsmtpd::Connection;
use Qpsmtpd::Transaction;
use Qpsmtpd::Plugin;

our @ISA = ('Qpsmtpd');

# The arguments stay readable in {args}, as plugins know them. The table of commands: plugins add
# verbs, each of which is then a method of the qp object, and take verbs away. AUTH comes with the
# reply to EHLO that offers it.
sub new {
    my ($class, %args) = @_;
    my $self = $class->SUPER::new;
    $self->{args} = {%args};
    $self->{_commands} =
      { map { $_ => '' } qw(helo ehlo mail rcpt data rset vrfy noop help quit) };
    $self->_restart(%args) if $Camelpost::is_script;
    return $self;
}

# An error in the host or in the mail store: the client is told, the reason is
# logged. A script has no log but its STDERR, where 0.94 and 1.00 each word it their way.
sub fault {
    my $self = shift;
    my $text = shift || 'program fault - command not performed';
    if (!$Camelpost::is_script) {
        $self->log(LOGERROR, "fault: $text ($!)");
    }
    else {
        my $reason = "$!";
        my $who    = (split ' ', $0)[0] . "[$$]";
        print STDERR Camelpost::is_1_00()
          ? "$who: $text\n$who: Last system error: $reason (which may be of something else)\n"
          : "$who: $text ($reason)\n";
    }
    return $self->respond(451, 'Internal error - try again later - ' . $text);
}

#
# Parts of the replies to HELO and EHLO, which 1.00 has as methods. The session does not ask for them.
#

sub helo_no_host {
    my ($self, $verb) = @_;
    return $self->respond(501, "$verb requires domain/address - see RFC-2821 4.1.1.1");
}

sub helo_repeat_host { return $_[0]->respond(503, 'but you already said HELO ...') }

sub helo_hi_msg {
    my $self   = shift;
    my $client = $self->connection;
    return $self->config('me') . ' Hi ' . $client->remote_info . ' [' . $client->remote_ip . ']';
}

# The line of EHLO's reply that tells databytes, if there is a limit.
sub ehlo_size {
    my $self = shift;
    my ($limit) = $self->config('databytes');
    return $limit ? "SIZE $limit" : ();
}

# Whether a verdict refuses; the client is told, and gone where the verdict says so.
sub is_deny_response {
    my ($self, $code, $texts) = @_;
    my $is_hard = $code == DENY || $code == DENY_DISCONNECT;
    return unless $is_hard || $code == DENYSOFT || $code == DENYSOFT_DISCONNECT;
    $self->respond($is_hard ? 550 : 450, @$texts);
    $self->disconnect if $code == DENY_DISCONNECT || $code == DENYSOFT_DISCONNECT;
    return 1;
}

# The next line from the client with its line end, or undef at its end or when
# the time (seconds) is up. What the session has read ahead is in STDIN.
sub getline {
    my ($self, $timeout) = @_;
    my $line;
    my $in_time = eval {
        local $SIG{ALRM} = sub { die "time is up\n" };
        alarm $timeout if $timeout;
        $line = <STDIN>;
        alarm 0 if $timeout;
        1;
    };
    return $in_time ? $line : undef;
}

1;
