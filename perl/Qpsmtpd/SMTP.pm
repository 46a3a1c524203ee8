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

sub address {
    my $self = shift;
    require Qpsmtpd::Address;
    return Qpsmtpd::Address->new(@_);
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
