# A message injected into a stand-in for Postfix's cleanup service: the records
# it gets and what its answers become.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use Probe;
use Qpsmtpd::Postfix;
use Qpsmtpd::Postfix::Constants;

no strict 'refs';
print "$_ = ", &$_, "\n" for sort grep { /^CLEANUP_/ } @Qpsmtpd::Postfix::Constants::EXPORT;
for my $table (qw(cleanup_soft cleanup_hard)) {
    print "$table $_: ${$table}{$_}\n" for sort keys %$table;
}
print "$postfix_version\n";

package Message;
sub new { my ($class, %notes) = @_; return bless {notes => {%notes}}, $class }
sub notes { return $_[0]{notes}{$_[1]} }
sub sender { return $_[0]{notes}{null} ? Message::Address->new('') : Message::Address->new('s@example.org') }
sub recipients { return map { Message::Address->new("r$_\@example.org") } 1, 2 }
sub header { return $_[0] }
sub as_string { return "Subject: x\nTo: y\n folded\nLong: " . 'h' x 1100 . "\n" }
sub body_resetpos { $_[0]{lines} = ["\n", "first\n", "\n", ".dot\n", map({ 'x' x $_ . "\n" } 127, 128, 1023, 1024, 1025, 2048, 2049, 20_000), 'no newline'] }
sub body_getline { return shift @{$_[0]{lines}} }

package Message::Address;
sub new { my ($class, $address) = @_; return bless {address => $address}, $class }
sub address { return $_[0]{address} }

package main;

my $path = tempdir(CLEANUP => 1) . '/cleanup';

sub records {
    my $bytes = shift;
    my ($flags, $rest) = $bytes =~ /^(flags\0\d+\0\0)(.*)/s or return 'no flags';
    my @record = show($flags);
    while (length $rest) {
        my $type = substr $rest, 0, 1, '';
        my ($length, $shift) = (0, 0);
        while (1) {
            my $byte = ord substr $rest, 0, 1, '';
            $length |= ($byte & 0x7f) << $shift;
            $shift += 7;
            last if $byte < 0x80;
        }
        my $data = substr $rest, 0, $length, '';
        push @record, $type eq 'T' ? 'T' : "$type$length " . substr $data, 0, 20;
    }
    return join "\n  ", @record;
}

sub inject {
    my ($label, $greeting, $answer, %notes) = @_;
    unlink $path;
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 1) or die "$path: $!";
    pipe my $reader, my $writer or die $!;
    defined(my $child = fork) or die $!;
    if (!$child) {
        alarm 10;
        my $client = $listener->accept;
        syswrite $client, $greeting;
        my $bytes = '';
        1 while $bytes !~ /E\0\z/ && sysread $client, $bytes, 65536, length $bytes;
        syswrite $client, $answer;
        print $writer records($bytes);
        close $writer;
        require POSIX;
        POSIX::_exit(0);
    }
    close $writer;
    my @result = eval { Qpsmtpd::Postfix->inject_mail(Message->new('postfix-queue-sockets' => ['/no/such/socket', $path], %notes)) };
    print "$label = ", show(@result), " $@\n";
    print '  ', scalar(do { local $/; <$reader> }), "\n" if $label =~ /records/;
    waitpid $child, 0;
}

# The original prints on standard error.
open STDERR, '>', '/dev/null' or die $!;
my $greeting = "queue_id\0ABC123\0\0";
inject('accepted, records', $greeting, "status\0000\0reason\0\0\0", 'postfix-queue-flags' => 114);
inject('null sender, records', $greeting, "status\0000\0reason\0fine\0\0", 'postfix-queue-flags' => 0, null => 1);
inject('too big', $greeting, "status\0004\0reason\0too big\0\0", 'postfix-queue-flags' => 0);
inject('no reason', $greeting, "status\0008\0\0", 'postfix-queue-flags' => 0);
