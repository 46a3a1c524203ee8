package Camelpost::TlsSocket;

# The note tls_socket of a client whose TLS ends in the server: what plugins ask of IO::Socket::SSL's object
# after the handshake. What is read and printed goes through STDIN and STDOUT, which carry the client's TLS.
# It does no handshake, and has no openssl of its own.

use strict;
use warnings;

use overload
  '<>'     => sub { $_[0]->getline },
  '*{}'    => sub { \*STDOUT },
  'bool'   => sub { 1 },
  '""'     => sub { overload::StrVal($_[0]) },
  '=='     => sub { ref $_[1] && Scalar::Util::refaddr($_[0]) == Scalar::Util::refaddr($_[1]) },
  fallback => 1;
use Scalar::Util ();

my %NUMBER = (
    'SSLv3'   => [SSLv3   => 0x0300],
    'TLSv1'   => [TLSv1   => 0x0301],
    'TLSv1.1' => [TLSv1_1 => 0x0302],
    'TLSv1.2' => [TLSv1_2 => 0x0303],
    'TLSv1.3' => [TLSv1_3 => 0x0304],
);

sub of {
    my %facts = @_;
    return bless \%facts, __PACKAGE__;
}

# Plugins ask whether it is one of those.
sub isa {
    my ($self, $class) = @_;
    return 1 if $class =~ /\AIO::(?:Socket::(?:SSL|INET6?|IP)|Socket|Handle)\z/;
    return UNIVERSAL::isa($self, $class);
}

sub get_cipher         { return $_[0]{cipher} }
sub get_sslversion     { return ($NUMBER{$_[0]{version}} || [])->[0] }
sub get_sslversion_int { return ($NUMBER{$_[0]{version}} || [])->[1] }
sub get_servername     { return $_[0]{servername} }
sub get_session_reused { return $_[0]{reused} }
sub alpn_selected      { return undef }
sub is_SSL             { return 1 }
sub opened             { return 1 }
sub connected          { return 1 }
sub blocking           { return 1 }
sub pending            { return 0 }
sub autoflush          { return 1 }
sub fileno             { return CORE::fileno(STDIN) }
sub close              { return 1 }

sub get_peer_certificate { return $_[0] }
sub subject_name         { return $_[0]->peer_certificate('subject') }
sub issuer_name          { return $_[0]->peer_certificate('issuer') }

# The rest is what IO::Socket::SSL makes of the certificate.
sub _certificate {
    my $self = shift;
    return unless defined $self->{certificate};
    require IO::Socket::SSL;
    return $self->{x509} ||= do {
        my $bio = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
        Net::SSLeay::BIO_write($bio, $self->{certificate});
        my $x509 = Net::SSLeay::PEM_read_bio_X509($bio);
        Net::SSLeay::BIO_free($bio);
        $x509;
    };
}

sub peer_certificate {
    my ($self, $field) = @_;
    my $x509 = $self->_certificate or return;
    return $x509 unless $field;
    require Symbol;
    my $holder = bless Symbol::gensym(), 'Camelpost::TlsSocket::Certificate';
    ${*$holder}{_SSL_certificate} = $x509;
    return IO::Socket::SSL::peer_certificate($holder, $field);
}

sub get_fingerprint_bin {
    my ($self, $algorithm, $x509, $key_only) = @_;
    $x509 ||= $self->_certificate or return;
    return IO::Socket::SSL::get_fingerprint_bin($self, $algorithm, $x509, $key_only);
}

sub get_fingerprint {
    my ($self, $algorithm, $x509, $key_only) = @_;
    $x509 ||= $self->_certificate or return;
    return IO::Socket::SSL::get_fingerprint($self, $algorithm, $x509, $key_only);
}

sub dump_peer_certificate {
    my $self = shift;
    my ($subject, $issuer) = map { defined $_ ? $_ : '' } scalar $self->subject_name, scalar $self->issuer_name;
    return "Subject Name: $subject\nIssuer  Name: $issuer\n";
}

sub getline  { return scalar CORE::readline(*STDIN) }
sub readline { return wantarray ? CORE::readline(*STDIN) : scalar CORE::readline(*STDIN) }
sub getlines { return CORE::readline(*STDIN) }
sub getc     { return CORE::getc(STDIN) }
sub read     { return CORE::read(STDIN, $_[1], $_[2], $_[3] || 0) }
sub sysread  { return CORE::sysread(STDIN, $_[1], $_[2], $_[3] || 0) }
sub print    { my $self = shift; return print STDOUT @_ }
sub printf   { my ($self, $form) = splice @_, 0, 2; return printf STDOUT $form, @_ }
sub say      { my $self = shift; return print STDOUT @_, "\n" }
sub write    { return CORE::syswrite(STDOUT, $_[1], defined $_[2] ? $_[2] : length($_[1]), $_[3] || 0) }
sub syswrite { return CORE::syswrite(STDOUT, $_[1], defined $_[2] ? $_[2] : length($_[1]), $_[3] || 0) }

# STDIN and STDOUT are tied to this class while sysread and syswrite run.
sub READ {
    my (undef, undef, $length, $offset) = @_;
    my $read = Camelpost::_read_secured($length);
    if (!ref $read) {
        $! = $read;
        return;
    }
    $_[1] = '' unless defined $_[1];
    $offset = 0 unless defined $offset;
    $offset += length $_[1] if $offset < 0;
    $_[1] .= "\0" x ($offset - length $_[1]) if $offset > length $_[1];
    substr($_[1], $offset) = $$read;
    return length $$read;
}

sub WRITE {
    my (undef, $bytes, $length, $offset) = @_;
    $offset = 0 unless defined $offset;
    $bytes = defined $length ? substr $bytes, $offset, $length : substr $bytes, $offset;
    my $sent = Camelpost::_write_secured($bytes);
    if ($sent < 0) {
        $! = -$sent;
        return;
    }
    return $sent;
}

sub DESTROY {
    my $self = shift;
    return unless ref $self;
    Net::SSLeay::X509_free(delete $self->{x509}) if $self->{x509};
    return;
}

package Camelpost::TlsSocket::Certificate;

our @ISA = ('IO::Socket::SSL');

sub _get_ssl_object { return 1 }
sub DESTROY         { return }

1;
