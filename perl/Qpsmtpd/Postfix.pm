package Qpsmtpd::Postfix;

# Hands a message to Postfix's cleanup service, for plugins that queue there. It
# speaks the record protocol of that service and nothing else: which socket and
# which flags is the plugin's choice, what a status means to the client too.

use strict;
use warnings;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Qpsmtpd::Postfix::Constants;

my $usual_socket = '/var/spool/postfix/public/cleanup';

# The transaction's notes postfix-queue-sockets (paths and host:port, tried in
# order) and postfix-queue-flags say where and how. Returns (status, queue id,
# reason); status 0 is success. Dies where no socket can be opened.
sub inject_mail {
    my ($class, $transaction) = @_;
    my $sockets = $transaction->notes('postfix-queue-sockets') || [$usual_socket];
    my $cleanup = _connect(@$sockets);

    # A cleanup that closes early has said why: that is read below.
    local $SIG{PIPE} = 'IGNORE';
    my $queue_id = _read_attributes($cleanup, 'queue_id')->{queue_id};
    _send_message($cleanup, $transaction) if defined $queue_id;
    my $answer = _read_attributes($cleanup, 'status');
    close $cleanup;

    # Without a status the message is not queued, whatever was sent.
    return (CLEANUP_STAT_WRITE, $queue_id, 'lost connection with the cleanup service')
      unless defined $answer->{status};
    return ($answer->{status}, $queue_id, $answer->{reason} // '');
}

sub _connect {
    my @tried;
    for my $address (@_) {
        # Whoever names the socket, in a config file or the environment, is trusted with it, as in the original.
        my $socket =
            $address =~ m{^(/.*)\z}s ? IO::Socket::UNIX->new(Peer => "$1")
          : $address =~ /^(.+):([0-9]+)$/
          ? IO::Socket::IP->new(PeerHost => "$1", PeerPort => "$2", Timeout => 30)
          : undef;
        return $socket if $socket;
        push @tried, "$address: " . ($address =~ m{^/|:[0-9]+$} ? $! : 'neither a path nor host:port');
    }
    die 'Unable to open any cleanup sockets! (' . (@tried ? join('; ', @tried) : 'none given') . ")\n";
}

# Lists of NAME NUL VALUE NUL, each ended by an empty name. Newer versions of
# Postfix name their protocol in a list before the one that is waited for.
sub _read_attributes {
    my ($cleanup, $wanted) = @_;
    my %attribute;
    local $/ = "\0";
    while (defined(my $name = <$cleanup>)) {
        chomp $name;
        if (length $name) {
            my $value = <$cleanup>;
            last unless defined $value;
            chomp $value;
            $attribute{$name} = $value;
        }
        elsif (exists $attribute{$wanted}) {
            last;
        }
    }
    return \%attribute;
}

sub _send_message {
    my ($cleanup, $transaction) = @_;
    my $flags = $transaction->notes('postfix-queue-flags') || 0;
    print $cleanup "flags\0$flags\0\0";

    _record($cleanup, T => time);
    _record($cleanup, S => $transaction->sender->address || '');
    _record($cleanup, R => $_->address) for $transaction->recipients;

    _record($cleanup, M => '');
    _line($cleanup, $_) for split /\r?\n/, $transaction->header->as_string;
    $transaction->body_resetpos;
    while (defined(my $line = $transaction->body_getline)) {
        $line =~ s/\r?\n\z//;
        _line($cleanup, $line);
    }
    _record($cleanup, X => '');
    _record($cleanup, E => '');
    $cleanup->flush;
}

# A long line is in pieces, all but the last marked as going on.
sub _line {
    my ($cleanup, $line) = @_;
    _record($cleanup, L => substr $line, 0, 1024, '') while length $line > 1024;
    _record($cleanup, N => $line);
}

# A type, the length in groups of seven bits with the lowest first, the data.
sub _record {
    my ($cleanup, $type, $data) = @_;
    my $length = length $data;
    my $bytes  = '';
    while ($length > 0x7f) {
        $bytes .= chr($length & 0x7f | 0x80);
        $length >>= 7;
    }
    print $cleanup $type, $bytes, chr $length, $data;
}

1;
