package Qpsmtpd::DB::File::DBM;

# Keys and values in a DBM file, NAME.dbm in the database directory, with a lock
# file beside it. Between lock and unlock the file stays open. A single operation
# outside of them, which qpsmtpd refuses with a warning, opens and closes it here.

use strict;
use warnings;

# The first that is installed, as qpsmtpd has them: files keep their format.
BEGIN { @AnyDBM_File::ISA = qw(DB_File GDBM_File NDBM_File SDBM_File ODBM_File) unless $INC{'AnyDBM_File.pm'} }
use AnyDBM_File;
use Fcntl qw(:DEFAULT :flock);
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

sub new {
    my ($class, %arg) = @_;
    return bless {%arg}, $class;
}

#
# Where the file is
#

# A directory that is named is taken, or the call dies. Without one: the directory in use, else the
# first candidate that will do; what was wrong with those before it is a warning, as data may be there.
# Of several that are named, as karma does it, the first good one comes before the candidates (1.00 takes
# the first and dies of it).
sub dir {
    my ($self, @named) = @_;
    @named = grep { $_ } @named;
    if (@named == 1) {
        $self->validate_dir($named[0]);
        return $self->{dir} = $named[0];
    }
    return $self->{dir} if $self->{dir} && !@named;

    for my $dir (@named) {
        return $self->{dir} = $dir if eval { $self->validate_dir($dir) };
    }
    my @errors;
    for my $candidate ($self->candidate_dirs) {
        if (eval { $self->validate_dir($candidate) }) {
            $self->{dir} = $candidate;
            last;
        }
        push @errors, $@;
    }
    die join "\n", 'Unable to find a useable database directory!', '', @errors unless $self->{dir};
    warn join "\n", 'Encountered errors while selecting database directory:', '', @errors,
      "Selected database directory: $self->{dir}. Data is now stored in:", '', $self->path, '',
      'It is recommended to manually specify a useable database directory',
      "and move any important data into this directory.\n"
      if @errors;
    return $self->{dir};
}

# What the caller names, then the usual ones; remembered.
sub candidate_dirs {
    my ($self, @named) = @_;
    if (@named || !$self->{candidate_dirs}) {
        my $home = $self->qphome;
        $self->{candidate_dirs} = [@named, "$home/var/db", "$home/config"];
    }
    return @{$self->{candidate_dirs}};
}

# True, or the reason as an error.
sub validate_dir {
    my ($self, $dir) = @_;
    die "Empty DB directory supplied\n"          unless $dir;
    die "DB directory '$dir' does not exist\n"   unless -d $dir;
    die "DB directory '$dir' is not writeable\n" unless -w $dir;
    return 1;
}

# The directory of the program.
sub qphome {
    my ($home) = $0 =~ m{\A(.*?)/[^/]+\z}s;
    return $home;
}

sub path { return $_[0]->dir . '/' . $_[0]->name . '.dbm' }

#
# Locks
#

# Whether locks are such as hold over NFS (with the Perl module File::NFSLock).
sub nfs_locking {
    my $self = shift;
    $self->{nfs_locking} = shift if @_;
    return $self->{nfs_locking};
}

# True when the lock is held. A second lock of the same object is the first. Where it cannot be had,
# the reason is a warning, and the plugin decides.
sub lock {
    my $self = shift;
    return 1 if $self->{tied};
    my $held = $self->nfs_locking ? $self->nfs_file_lock : $self->file_lock;
    return $held ? $self->tie_dbm : ();
}

sub file_lock {
    my $self = shift;
    my $path = $self->path . '.lock';
    open my $lock, '>', $path or return _no_lock("opening $path failed: $!");
    flock $lock, LOCK_EX or return _no_lock("flock of $path failed: $!");
    $self->{lock} = $lock;
    return 1;
}

# A lock that is half an hour old belongs to nobody any more.
sub nfs_file_lock {
    my $self = shift;
    require File::NFSLock;
    my $path   = $self->path . '.lock';
    my %wanted = (lock_type => LOCK_EX, blocking_timeout => 10, stale_lock_timeout => 1800);
    my $lock   = File::NFSLock->new({file => $path, %wanted});
    if (!$lock) {
        no warnings 'once';
        return _no_lock("no NFS lock of $path within 10 s: " . ($File::NFSLock::errstr || $!));
    }
    $self->{lock} = $lock;
    return 1;
}

sub _no_lock { warn "$_[0]\n"; return }

sub tie_dbm {
    my $self = shift;
    my $path = $self->path;
    if (!tie my %tied, 'AnyDBM_File', $path, O_CREAT | O_RDWR, 0640) {
        my $reason = "$!";
        $self->unlock;
        return _no_lock("tie to database $path failed: $reason");
    }
    else {
        $self->{tied} = \%tied;
    }
    return 1;
}

# What was written is in the file before somebody else has the lock, whose end is its release.
sub unlock {
    my $self = shift;
    my $tied = delete $self->{tied};
    untie %$tied if $tied;
    my $lock = delete $self->{lock};
    return $tied || $lock ? 1 : ();
}

sub DESTROY { $_[0]->unlock }

#
# Keys and values
#

# Does some work with the open file. Outside of a lock, with one of its own.
sub _with_file {
    my ($self, $work) = @_;
    return $work->($self->{tied}) if $self->{tied};
    $self->lock or return;
    my @result = eval { $work->($self->{tied}) };
    my $error = $@;
    $self->unlock;
    die $error if $error;
    return wantarray ? @result : $result[-1];
}

sub get {
    my ($self, $key) = @_;
    Qpsmtpd::DB::_has_key('get', $key) or return;
    return scalar $self->_with_file(sub { my $value = $_[0]{$key}; $value });
}

sub mget {
    my ($self, @keys) = @_;
    Qpsmtpd::DB::_has_key('mget', @keys) or return;
    return $self->_with_file(sub { my @values = @{$_[0]}{@keys}; @values });
}

# The value.
sub set {
    my ($self, $key, $value) = @_;
    Qpsmtpd::DB::_has_key('set', $key) or return;
    return scalar $self->_with_file(sub { $_[0]{$key} = $value });
}

# The number of keys that there were.
sub delete {
    my ($self, @keys) = @_;
    Qpsmtpd::DB::_has_key('delete', @keys) or return;
    return scalar $self->_with_file(
        sub {
            my $tied = shift;
            # Not every DBM has exists.
            my @there = grep { defined $tied->{$_} } @keys;
            delete $tied->{$_} for @there;
            return scalar @there;
        }
    );
}

sub get_keys {
    my $self = shift;
    return $self->_with_file(sub { my @keys = keys %{$_[0]}; @keys });
}

sub size {
    my $self = shift;
    return scalar(my @keys = $self->get_keys);
}

sub flush {
    my $self = shift;
    return scalar $self->_with_file(sub { %{$_[0]} = (); 1 });
}

1;
