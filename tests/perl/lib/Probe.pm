package Probe;

# For the scripts in tests/perl/probes: a session object without a session, with
# everything that is done to it printed, so that the same script can run over
# Camelpost's modules and over the original's and its output be compared. No test
# logic is here.

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(show try new_session tell);
our $quiet  = 0;

$| = 1;

# Which modules a script saw is part of the proof.
END {
    my $want = $ENV{PROBE_MODULES} // '';
    for my $module (grep { m{^Qpsmtpd/} } sort keys %INC) {
        next if index($INC{$module}, $want) == 0;
        print "WRONG MODULE $INC{$module}\n";
        $? = 3;
    }
}

sub show {
    my $text = join ', ', map { !defined ? 'undef' : ref ? ref : "'$_'" } @_;
    $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    return $text;
}

sub tell { print @_, "\n" unless $quiet; return 1 }

sub _notes {
    my $notes = shift;
    return '{' . join(', ', map { "$_=" . show($notes->{$_}) } sort keys %$notes) . '}';
}

# What $code returns or dies with, and the notes afterwards.
sub try {
    my ($label, $session, $code) = @_;
    local $SIG{__WARN__} = sub { };
    my @result = eval { $code->() };
    (my $error = $@) =~ s/ at \S+ line \d+\.?$//mg;
    $error =~ s/\n//g;
    print "$label => (", show(@result), ')', length $error ? " died: $error" : '', ' ',
      _notes($session->{conn}{notes}), _notes($session->{txn}{notes}), "\n";
}

sub new_session { return Probe::Session->new(@_) }

package Probe::Session;

our $AUTOLOAD;

sub new {
    my ($class, %has) = @_;
    return bless {
        hooks   => {},
        returns => [909],
        conn    => bless({notes => {}, relay_client => 0}, 'Probe::Notes'),
        txn     => bless({notes => {}}, 'Probe::Notes'),
        %has,
    }, $class;
}

sub hooks       { return $_[0]{hooks} }
sub connection  { return $_[0]{conn} }
sub transaction { return $_[0]{txn} }
sub plugin_dirs { return @{$_[0]{dirs} || []} }

sub _register_hook {
    my ($self, $hook, $entry, $unshift) = @_;
    my $chain = $self->{hooks}{$hook} ||= [];
    $unshift ? unshift @$chain, $entry : push @$chain, $entry;
}

sub config {
    my ($self, $name) = @_;
    return $name eq 'me' ? 'mx.example.org' : ();
}

sub run_hooks {
    my ($self, @arguments) = @_;
    Probe::tell('  run_hooks(', Probe::show(map { /^<.*\@/ ? '<ticket>' : $_ } @arguments), ')');
    return @{$self->{returns}};
}

sub AUTOLOAD {
    my ($self, @arguments) = @_;
    (my $name = $AUTOLOAD) =~ s/.*:://;
    return if $name eq 'DESTROY';
    Probe::tell("  $name(", Probe::show(@arguments), ')');
    return "${name}_result";
}

package Probe::Notes;

sub notes {
    my ($self, $key, @value) = @_;
    $self->{notes}{$key} = $value[0] if @value;
    return $self->{notes}{$key};
}

sub relay_client {
    my ($self, @value) = @_;
    $self->{relay_client} = $value[0] if @value;
    return $self->{relay_client};
}

1;
