package Qpsmtpd::DB::Camelpost;

# Keys and values in the store that config/store names, as native plugins have it: a plugin's db() and
# cx.store() of the same name are one. What is set between lock and unlock is stored by the unlock, all at
# once, and nobody else changes anything of that name meanwhile.

use strict;
use warnings;
use Fcntl qw(:flock);
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

my $patience = 10;    # seconds, for a lock that a server keeps
my $locks    = 0;

# Named arguments: the name counts; those of the other stores do not.
sub new {
    my ($class, %arg) = @_;
    return bless {name => $arg{name}}, $class;
}

# What plugins ask of a DBM file. Where it is need not be theirs.
sub dir            { return Camelpost::_store_place() }
sub candidate_dirs { return Camelpost::_store_place() }
sub validate_dir   { return 1 }
sub nfs_locking    { return }

#
# Locks
#

# True when the lock is held. A second lock of the same object is the first. Where it cannot be had, the
# reason is a warning, and the plugin decides.
sub lock {
    my $self = shift;
    return 1 if $self->{held};
    my %held = (name => $self->name, holder => join '.', Camelpost::pid(), time, ++$locks, int rand 1e9);
    my $until = time + $patience;
    my $lock;
    until ($lock = Camelpost::_store_lock(@held{qw(name holder)})) {
        return _no_lock("the store $held{name} is locked by somebody else for more than $patience s")
          if time > $until;
        select undef, undef, undef, 0.01;
    }
    if ($lock ne 1) {
        open $held{file}, '>>', $lock or return _no_lock("opening $lock failed: $!");
        flock $held{file}, LOCK_EX    or return _no_lock("flock of $lock failed: $!");
    }
    @$self{qw(held changed)} = (\%held, {});
    return 1;
}

sub _no_lock { warn "$_[0]\n"; return }

# What was set is stored before somebody else has the lock.
sub unlock {
    my $self = shift;
    my ($held, $changed) = delete @$self{qw(held changed)};
    return unless $held;
    my $stored = eval { Camelpost::_store_apply(@$held{qw(name holder)}, %$changed) if %$changed; 1 };
    my $error = $@;
    eval { Camelpost::_store_unlock(@$held{qw(name holder)}) };
    die $error unless $stored;
    return 1;
}

sub DESTROY {
    my $self = shift;
    local ($@, $!);
    $self->unlock if $self->{held};
}

#
# Keys and values
#

# Does some work with the lock: the one that is held, else one of its own.
sub _locked {
    my ($self, $work) = @_;
    return $work->() if $self->{held};
    $self->lock or return;
    my $result = eval { $work->() };
    my $error  = $@;
    $self->unlock;
    die $error if $error;
    return $result;
}

sub _name { return $_[0]{held} ? $_[0]{held}{name} : $_[0]->name }

sub get {
    my ($self, $key) = @_;
    Qpsmtpd::DB::_has_key('get', $key) or return;
    return ($self->mget($key))[0];
}

sub mget {
    my ($self, @keys) = @_;
    Qpsmtpd::DB::_has_key('mget', @keys) or return;
    my $changed = $self->{changed} || {};
    my %value;
    my @asked = grep { !exists $changed->{$_} } @keys;
    @value{@asked} = Camelpost::_store_get($self->_name, @asked) if @asked;
    return map { exists $changed->{$_} ? $changed->{$_} : $value{$_} } @keys;
}

# The value.
sub set {
    my ($self, $key, $value) = @_;
    Qpsmtpd::DB::_has_key('set', $key) or return;
    # An undefined value would be none.
    return scalar $self->_locked(sub { $self->{changed}{$key} = defined $value ? $value : '' });
}

# The number of keys that there were.
sub delete {
    my ($self, @keys) = @_;
    Qpsmtpd::DB::_has_key('delete', @keys) or return;
    return scalar $self->_locked(
        sub {
            my %is_asked = map { $_ => 1 } @keys;
            my @asked    = keys %is_asked;
            my %value;
            @value{@asked} = $self->mget(@asked);
            my @there = grep { defined $value{$_} } @asked;
            $self->{changed}{$_} = undef for @there;
            return scalar @there;
        }
    );
}

sub get_keys {
    my $self    = shift;
    my $changed = $self->{changed} || {};
    my %is_key  = map { $_ => 1 } Camelpost::_store_keys($self->_name);
    for my $key (keys %$changed) {
        defined $changed->{$key} ? $is_key{$key} = 1 : delete $is_key{$key};
    }
    return keys %is_key;
}

sub size {
    my $self = shift;
    return scalar(my @keys = $self->get_keys);
}

sub flush {
    my $self = shift;
    return scalar $self->_locked(sub { $self->{changed}{$_} = undef for $self->get_keys; 1 });
}

1;
