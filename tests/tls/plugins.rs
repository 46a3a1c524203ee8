//! Perl plugins of the suite's own.

/// `HELP` tells what a plugin sees of the client's TLS.
pub const TELLS: &str = r#"
    sub hook_help {
        my $self = shift;
        my $socket = $self->connection->notes('tls_socket');
        return (OK, 'none') unless $socket;
        my @said = map { my $said = $socket->$_; "$_ " . (defined $said ? $said : 'undef') }
            qw(get_cipher get_sslversion get_sslversion_int get_servername get_session_reused is_SSL opened);
        push @said, 'certificate ' . (eval { $socket->peer_certificate('commonName') } // 'undef');
        push @said, map { "isa $_ " . ($socket->isa($_) ? 1 : 0) } qw(IO::Socket::SSL IO::Handle IO::File);
        push @said, map { "can $_ " . ($socket->can($_) ? 1 : 0) } qw(get_cipher getline print no_such_method);
        push @said, map { "$_ " . ($self->connection->notes($_) // 'undef') } qw(tls_enabled tls_socket_is_duped);
        return (OK, @said);
    }
"#;

/// Verbs that read from STDIN and print to STDOUT themselves.
pub const TALKS: &str = r#"
    use POSIX ();

    sub hook_unrecognized_command {
        my ($self, $transaction, $verb) = @_;
        if ($verb eq 'ask') {
            print STDOUT "350 your name?\r\n";
            my $name = <STDIN>;
            $name =~ s/\r?\n//;
            printf "250 %s, %d bytes\r\n", $name, length $name;
            return DONE;
        }
        if ($verb eq 'block') {
            print "350 ten bytes\r\n";
            my ($got, $block) = (0, '');
            while ($got < 10) {
                $got += sysread(STDIN, $block, 10 - $got, $got) || last;
            }
            print "250 got $block\r\n";
            return DONE;
        }
        if ($verb eq 'wait') {
            print "350 say something within a second\r\n";
            my $said = eval {
                local $SIG{ALRM} = sub { die "too late\n" };
                alarm 1;
                my $line = <STDIN>;
                alarm 0;
                $line;
            };
            my $why = $@;
            alarm 0;
            $said = $why unless defined $said;
            $said =~ s/\r?\n//;
            print "250 $said\r\n";
            return DONE;
        }
        if ($verb eq 'through') {
            my $socket = $self->connection->notes('tls_socket');
            print $socket "350 a line, please\r\n";
            my $line = <$socket>;
            $line =~ s/\r?\n//;
            $socket->print("250 $line\r\n");
            return DONE;
        }
        if ($verb eq 'much') {
            print '250-' . 'x' x 70 . "\r\n" for 1 .. 10_000;
            print "250 much\r\n";
            return DONE;
        }
        return DECLINED;
    }
"#;

/// `HELP` tells the process.
pub const WHERE: &str = r#"
    sub hook_help { return (OK, readlink '/proc/self') }
"#;

/// Hooks MAIL and does nothing there.
pub const IDLE: &str = r#"
    sub hook_mail { return DECLINED }
"#;
