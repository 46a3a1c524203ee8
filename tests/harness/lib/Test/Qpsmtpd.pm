package Test::Qpsmtpd;

# A session without a socket for test scripts, in the style that plugin authors use: a subclass of
# Qpsmtpd::SMTP keeps what is said to the client, and dispatches commands itself. It has no tests
# of its own and knows no plugin.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More ();
use Qpsmtpd::Constants;
use Test::Qpsmtpd::Plugin;
use Qpsmtpd::SMTP;

our @ISA = ('Qpsmtpd::SMTP');

my $root = dirname(abs_path(__FILE__)) . '/../..';

# A session whose client has connected and has been greeted.
sub new_conn {
    my ($class, %client) = @_;
    my $smtpd = $class->new;
    $smtpd->connection->start(
        remote_ip   => '192.0.2.1',
        remote_host => 'client.example',
        remote_info => 'client.example',
        %client,
    );
    $smtpd->load_plugins unless $class->has_plugins;
    $smtpd->start_conversation;
    return $smtpd;
}

# The table of hooks is the process's.
sub has_plugins { return scalar keys %{Qpsmtpd->hooks} }

# (code, lines) of the last reply.
sub response {
    my $self = shift;
    my $last = pop @{$self->{said} || []} or return;
    return @$last;
}

sub said { return @{delete $_[0]{said} || []} }

# Gives a command as a client would; what it says is the reply.
sub command {
    my ($self, $line) = @_;
    $line =~ s/\r?\n\z//;
    $self->dispatch(split / +/, $line, 2);
    return $self->response;
}

# The lines that DATA and AUTH read.
sub will_send { my $self = shift; push @{$self->{lines}}, map { "$_\r\n" } @_; return }

# (name of a directory below this one's parent): the plugins of these tests are there.
sub in_tests { return "$root/$_[0]" }

#
# In the place of the daemon's
#

sub respond {
    my ($self, $code, @lines) = @_;
    push @{$self->{said}}, [$code, @lines];
    return 1;
}

sub getline { return shift @{$_[0]{lines} || []} }
sub config_dir  { return in_tests('config') }
sub plugin_dirs { return in_tests('plugins') }

sub varlog {
    my ($self, $level, @rest) = @_;
    push @{$self->{log}}, [$level, @rest] if ref $self && $level <= LOGINFO;
    return;
}

#
# Plugins with tests of their own
#

# Loads the plugins with their tests, which then run.
sub run_plugin_tests {
    my ($self, $only) = @_;
    $self->{_test_mode} = 1;
    my @plugins = grep { !defined $only || $_->plugin_name eq $only } $self->load_plugins;
    $_->register_tests for @plugins;
    my $count = 0;
    $count += $_->total_tests for @plugins;
    Test::More::plan(tests => $count);
    $_->run_tests($self) for @plugins;
    return;
}

1;
