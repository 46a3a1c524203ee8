//! Plugins that more than one suite loads: name and text.

/// Runs what `RUN ...` says as Perl code in a hook, and replies 250 with what it gives.
pub const RUNNER: (&str, &str) = (
    "runner",
    r#"
    sub hook_unrecognized_command {
        my ($self, $transaction, $command, @words) = @_;
        return DECLINED if lc $command ne 'run';
        no strict;
        my $qp = $self->qp;
        my ($code) = join(' ', @words) =~ /\A(.*)\z/s;
        my @value = eval $code;
        my $text = $@ ? "died: $@" : join ' ', map { defined $_ ? $_ : 'undef' } @value;
        $qp->respond(250, split /\n/, length $text ? $text : 'nothing');
        return DONE;
    }
    "#,
);

/// Takes every recipient and every message.
pub const TAKER: (&str, &str) = (
    "taker",
    "sub hook_rcpt { return OK } sub hook_queue { return (OK, 'Taken') }",
);

/// Takes every recipient and every message, and does as it is told in between.
pub const OBEDIENT: &str = r#"
    sub hook_rcpt { return OK }
    sub hook_queue { return (OK, 'Taken') }
    sub hook_noop { exit 7 }
    sub hook_vrfy { my ($self) = @_; my $c = $self->connection;
        return (OK, join ' ', map { defined $_ ? $_ : 'undef' } $c->remote_ip, $c->remote_host,
            $c->remote_info, $c->remote_port, $c->local_ip, $c->local_port) }
"#;

/// A line of config/plugins that needs no file.
pub fn line(text: &str) -> (&str, &str) {
    (text, "")
}
