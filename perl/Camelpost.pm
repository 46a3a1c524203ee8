package Camelpost;

# What the Rust side of the host asks of Perl. Loaded first.

use strict;
use warnings;

our $modules;      # what finds the compiled-in modules
our $is_script;    # whether a script drives the sessions

# Another plugin's `use lib` may have put directories before it.
sub modules_first {
    return if ref $INC[0] && $INC[0] == $modules;
    @INC = ($modules, grep { !ref || $_ != $modules } @INC);
    return;
}

# Directories that plugins have added to @INC since this was asked last.
my %dirs = map { $_ => 1 } grep { !ref } @INC;

sub added_dirs { return grep { !ref && length && !$dirs{$_}++ } map { s{(?<=.)/+\z}{}r } grep { !ref } @INC }

# An object's own conversion to text, which may run code and die.
sub stringify { return "$_[0]" }

# The text of what a plugin gives for an address.
sub address_text {
    my $given = shift;
    my $text = ref $given && eval { $given->can('address') } ? $given->address : "$given";
    return defined $text ? $text : '';
}

# A warning of a sub written in Rust: it belongs to the line that called it.
sub warn_of_caller {
    my $text = shift;
    my (undef, $file, $line) = caller;
    warn "$text at $file line $line.\n";
    return;
}

# The read position of a handle on the spool file. One that a plugin has closed has none.
sub rewind {
    my ($handle, $position) = @_;
    return seek($handle, $position, 0) || !defined fileno $handle;
}

# Adds a field on top of a header that plugins have seen.
sub add_header {
    my ($header, $name, $value) = @_;
    return $header->add($name, $value, 0);
}

sub rename_header {
    my ($header, $from, $to) = @_;
    my @values = $header->get($from);
    $header->delete($from);
    $header->add($to, $_) for @values;
    return;
}

# The header is these lines from now on, and the object stays the same.
sub set_header_text {
    my ($header, $text) = @_;
    $header->empty;
    $header->extract([split /^/m, $text]);
    return;
}

sub get_header {
    my ($header, $name) = @_;
    return $header->get($name);
}

# The client behind a handle that a plugin has put in the place of STDIN and
# STDOUT: what came (nothing at its end), or undef when the time (seconds) is up.
sub read_client {
    my $timeout = shift;
    my ($bytes, $got) = ('');
    my $in_time = eval {
        local $SIG{ALRM} = sub { die "time is up\n" };
        alarm $timeout;
        $got = sysread STDIN, $bytes, 65536;
        alarm 0;
        1;
    };
    alarm 0;
    return $in_time ? $bytes : $@ eq "time is up\n" ? undef : '';
}

sub write_client {
    my $bytes = shift;
    local ($\, $,);
    local $SIG{PIPE} = 'IGNORE';
    return eval { print STDOUT $bytes } ? 1 : 0;
}

# The parameters of MAIL and RCPT that mail_pre_respond and its like got.
sub parameters { return ref $_[0] eq 'HASH' ? %{$_[0]} : () }

# The client's socket for {__client_socket}: what comes through it passes the host by.
sub client_handle {
    my $fd = shift;
    require IO::Socket::IP;
    return IO::Socket::IP->new_from_fd($fd, 'r+');
}

# A line of the log where a script runs, which may have a handler for warnings.
sub warn_line { warn $_[0]; return }

sub cipher {
    my $socket = shift;
    return $socket->can('get_cipher') ? $socket->get_cipher : undef;
}

sub header_text { return $_[0]->as_string }

# As perl itself has it of a program that was named on its command line: tainted, in taint mode.
sub set_program_name { $0 = $_[0] . substr $0, 0, 0; return }

sub set_globals {
    my ($version, $threshold, $is_1_00) = @_;
    $Qpsmtpd::VERSION        = $version;
    $Qpsmtpd::Size_threshold = $threshold unless $is_script;
    # The host loads the logging plugins before all others. 0.94 says so only where there are some.
    $Qpsmtpd::LOGGING_LOADED = 1 if $is_1_00;
    return;
}

# What a parser from a parse hook gets as its first argument.
sub command_object {
    require Qpsmtpd::Command;
    return Qpsmtpd::Command->new;
}

# A verb of a plugin's, with the rest of its line: true if its method gave a value.
sub obey {
    my ($qp, $verb, @rest) = @_;
    my ($value) = eval { $qp->$verb(@rest) };
    $qp->log(Qpsmtpd::Constants::LOGERROR(), "XX: $@") if $@;
    return defined $value;
}

# The process state of a session: taken once, before the worker's first, and put
# back after one that has changed it.
my %noted;
my $table;    # of hooks
my @require_hooks = qw(require__before require__after);

sub note_state {
    $table = $Qpsmtpd::hooks;
    %noted = %{take_state()};
    # Else every message of perl's would name the handle that a plugin has read last while it was loaded.
    no warnings;
    tell STDIN;
    return;
}

# What take_state gives, put_state puts in force again.
sub take_state {
    # An assignment each: in one expression with what is tainted all would be.
    my %env  = %ENV;
    my @vars = ($/, $\, $,, $0);
    return {
        env    => \%env,
        sig    => { map { $_ => $SIG{$_} } grep { defined $SIG{$_} } keys %SIG },
        vars   => \@vars,
        hooks  => _hooks(),
        handle => select(),
        # Those of perl 5.38 and newer.
        require => {map { $_ => ${^HOOK}{$_} } grep { defined ${^HOOK}{$_} } @require_hooks},
    };
}

# The table of hooks: HOOK => [ [ENTRY, CODE], ... ]
sub _hooks {
    my $table = $Qpsmtpd::hooks;
    return { map { $_ => [map { [$_, $_->{code}] } @{$table->{$_}}] } keys %$table };
}

sub _put_hooks {
    my $then  = shift;
    my $table = $Qpsmtpd::hooks;
    $_->[0]{code} = $_->[1] for map { @$_ } values %$then;
    for my $hook (keys %$table) {
        my $list = $then->{$hook} or delete $table->{$hook}, next;
        @{$table->{$hook}} = map { $_->[0] } @$list;
    }
    $table->{$_} ||= [map { $_->[0] } @{$then->{$_}}] for keys %$then;
    return;
}

sub restore_state {
    $Qpsmtpd::hooks = $table;
    put_state(\%noted);
    select STDOUT;
    return;
}

sub put_state {
    my $then = shift;
    my $env  = $then->{env};
    for my $name (grep { !/^TCP(?:LOCALIP|REMOTEIP|REMOTEHOST)\z/ } keys %ENV) {
        delete $ENV{$name} unless exists $env->{$name};
    }
    for my $name (grep { !/^TCP(?:LOCALIP|REMOTEIP|REMOTEHOST)\z/ } keys %$env) {
        my $is_same = defined $ENV{$name} && $ENV{$name} eq $env->{$name}
          && !_is_tainted($ENV{$name}) == !_is_tainted($env->{$name});
        $ENV{$name} = $env->{$name} unless $is_same;
    }
    _put_hooks($then->{hooks});
    my $sig = $then->{sig};
    for my $name (keys %{{%SIG, %$sig}}) {
        my ($now, $was) = ($SIG{$name}, $sig->{$name});
        next if !defined $now && !defined $was;
        next if defined $now && defined $was && $now eq $was;
        if    (defined $was)                              { $SIG{$name} = $was }
        elsif ($name eq '__WARN__' || $name eq '__DIE__') { delete $SIG{$name} }
        else                                              { $SIG{$name} = 'DEFAULT' }
    }
    for my $name (@require_hooks) {
        my ($now, $was) = (${^HOOK}{$name}, $then->{require}{$name});
        next if !defined $now && !defined $was;
        if (defined $was) { ${^HOOK}{$name} = $was }
        else              { delete ${^HOOK}{$name} }
    }
    select $then->{handle} if defined $then->{handle};
    my $name;
    ($/, $\, $,, $name) = @{$then->{vars}};
    $0 = $name if $0 ne $name;
    return;
}

1;
