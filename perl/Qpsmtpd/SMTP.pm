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
    return $self;
}

# Does with what a hook's chain returned ([CODE, TEXTS]) what its place in the session asks for.
sub hook_responder {
    my ($self, $hook, $returned, $args) = @_;
    my ($code, @texts) = @$returned;
    my $responder = $self->can("${hook}_respond") or return ($code, @texts);
    return $self->$responder($code, \@texts, $args);
}

# Parts of the replies to HELO and EHLO that 1.00 has as methods. The session does not ask them.
sub helo_no_host {
    my ($self, $verb) = @_;
    return $self->respond(501, "$verb requires domain/address - see RFC-2821 4.1.1.1");
}

sub helo_repeat_host { return $_[0]->respond(503, 'but you already said HELO ...') }

sub helo_hi_msg {
    my $self = shift;
    my $client = $self->connection;
    return sprintf '%s Hi %s [%s]', scalar $self->config('me'), $client->remote_info, $client->remote_ip;
}

sub ehlo_size {
    my $self = shift;
    my ($most) = $self->config('databytes');
    return $most ? "SIZE $most" : ();
}

# Replies to a denial, and says whether it was one.
sub is_deny_response {
    my ($self, $code, $texts) = @_;
    my $reply = {DENY, 550, DENY_DISCONNECT, 550, DENYSOFT, 450, DENYSOFT_DISCONNECT, 450}->{$code}
      or return;
    $self->respond($reply, @$texts);
    $self->disconnect if $code == DENY_DISCONNECT || $code == DENYSOFT_DISCONNECT;
    return 1;
}

# An error in the host or in the mail store: the client is told, the reason is
# logged.
sub fault {
    my $self = shift;
    my $text = shift || 'program fault - command not performed';
    $self->log(LOGERROR, "fault: $text ($!)");
    return $self->respond(451, 'Internal error - try again later - ' . $text);
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
