//! The Perl plugins of the soak test: one that does in a hook what the mail's sender says, and
//! the sink that counts.

/// The hooks in which a plugin misbehaves; `disconnect` comes after the client's last reply.
pub const HOOKS: &[&str] = &["mail", "rcpt", "data", "data_post", "queue", "disconnect"];

/// The ways in which it does.
pub const WAYS: &[&str] = &[
    "die",
    "die_object",
    "exit",
    "exit_now",
    "segv",
    "abort",
    "term",
    "stop",
    "loop",
    "catch",
    "sleep",
    "block",
    "recurse",
    "grow",
    "leak",
    "children",
    "child_returns",
    "exec",
    "no_stdin",
    "no_stdout",
    "no_handles",
    "chdir",
    "umask",
    "signals",
    "alarm",
    "separators",
    "selected",
    "environment",
    "stray_local",
    "much_log",
];

/// Those that close the connection without a reply, as in the original: the plugin asked for it.
pub const CLOSE: &[&str] = &["exit", "stray_local"];

/// The sender is `HOOK.WAY.NUMBER@…`.
pub const FAULTY: &str = r#"
    use POSIX ();
    our (@leaked, %grown);

    sub hook_mail {
        my ($self, $transaction, $sender) = @_;
        my ($hook, $way) = $sender->user =~ /^(\w+)\.(\w+)\.\d+$/ or return DECLINED;
        $self->connection->notes(soak => [$hook, $way]);
        return $self->misbehave('mail');
    }
    sub hook_rcpt { return $_[0]->misbehave('rcpt') }
    sub hook_data { return $_[0]->misbehave('data') }
    sub hook_data_post { return $_[0]->misbehave('data_post') }
    sub hook_queue { return $_[0]->misbehave('queue') }
    sub hook_disconnect { return $_[0]->misbehave('disconnect') }

    sub misbehave {
        my ($self, $hook) = @_;
        my $wanted = $self->connection->notes('soak') or return DECLINED;
        return DECLINED if $wanted->[0] ne $hook;
        $self->connection->notes(soak => undef);
        my $way = $self->can("way_$wanted->[1]") or die "no way $wanted->[1]";
        $way->($self);
        return DECLINED;
    }

    sub way_die { die "on purpose\n" }
    sub way_die_object { die bless {}, 'On::Purpose' }
    sub way_exit { exit 3 }
    sub way_exit_now { POSIX::_exit(4) }
    # Reads from an address where nothing is.
    sub way_segv { my $text = unpack 'p', pack 'J', 16 }
    sub way_abort { POSIX::abort() }
    sub way_term { kill TERM => readlink('/proc/self') =~ /(.+)/ }
    sub way_stop { kill STOP => readlink('/proc/self') =~ /(.+)/ }
    sub way_loop { my $n = 0; while (1) { $n++ } }
    sub way_catch { while (1) { eval { while (1) { eval { sleep 1000; 1 } } } } }
    sub way_sleep { sleep 1000 }
    sub way_block {
        my $all = POSIX::SigSet->new;
        $all->fillset;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all);
        sleep 1000;
    }
    sub way_recurse {
        no warnings 'recursion';
        my ($deeper, $depth);
        $deeper = sub { my @held = (1) x 100; $deeper->(@held) if ++$depth < 20_000 };
        $deeper->();
    }
    sub way_grow { my $text = ''; $text .= 'x' x 1_000_000 for 1 .. 40 }
    sub way_leak { my $loop = {}; $loop->{self} = $loop; $loop->{text} = 'x' x 5_000_000; push @leaked, $loop }
    sub way_children {
        for (1 .. 3) {
            next if fork // die "fork: $!";
            sleep 2;
            POSIX::_exit(0);
        }
    }
    sub way_child_returns {
        my $child = fork // die "fork: $!";
        # The child goes back to its caller as if nothing had happened.
    }
    sub way_exec { exec 'true' }
    sub way_no_stdin { close STDIN }
    sub way_no_stdout { close STDOUT }
    sub way_no_handles { close STDIN; close STDOUT; close STDERR }
    sub way_chdir { chdir '/' }
    sub way_umask { umask 0777 }
    sub way_signals { $SIG{$_} = 'IGNORE' for qw(TERM INT HUP URG CHLD PIPE ALRM); $SIG{__DIE__} = sub { 1 }; }
    sub way_alarm { alarm 1 }
    sub way_separators { undef $/; $\ = "\n"; $, = '-'; $| = 1 }
    sub way_selected { select STDERR }
    sub way_environment { %ENV = (RELAYCLIENT => 1) }
    sub way_stray_local { local $_ = 'x'; no strict 'refs'; local *STDOUT; exit 5 }
    sub way_much_log { $_[0]->log(LOGINFO, "x" x 5000) for 1 .. 20 }
"#;

/// Takes a message by putting it in its place in one step, under its number and a number that no
/// other delivery has.
pub const SINK: &str = r#"
    use Time::HiRes ();
    my $count = 0;

    sub register { my ($self, $qp, $directory) = @_; $self->{_directory} = $directory }
    sub hook_rcpt { return OK }
    sub hook_queue {
        my ($self, $transaction) = @_;
        # The other plugin may have changed them for this session.
        local ($\, $,, $/) = (undef, undef, "\n");
        my $id = $transaction->header->get('X-Soak');
        # A file is named by it, so it must not be tainted.
        $id = join '', $id =~ /(\d+)/g;
        my $name = join '.', $id, $$, ++$count, Time::HiRes::time();
        my $path = "$self->{_directory}/$name";
        open my $file, '>:raw', "$path.part" or die "$path.part: $!";
        print $file $transaction->header->as_string or die $!;
        $transaction->body_resetpos;
        while (defined(my $line = $transaction->body_getline)) { print $file $line or die $! }
        close $file or die "$path.part: $!";
        chmod 0644, "$path.part";
        rename "$path.part", "$path.taken" or die "$path: $!";
        return (OK, "taken as $name");
    }
"#;
