package Qpsmtpd::DB::File::DBM;

# Keys and values in a DBM file, NAME.dbm in the database directory, with a lock
# file beside it. Between lock and unlock the file stays open; a single operation
# outside of them opens and closes it.

use strict;
use warnings;
use Fcntl qw(:DEFAULT :flock);
use Qpsmtpd::DB;

our @ISA = ('Qpsmtpd::DB');

# The kind of file, in the order of 1.00, whatever AnyDBM_File has been told: what its stores have
# is found again.
my $kind;

sub _kind {
    my @kinds = qw(DB_File GDBM_File NDBM_File SDBM_File ODBM_File);
    ($kind) = grep { eval "require $_" } @kinds unless $kind;
    return $kind || die 'no DBM file can be made: none of ' . join(', ', @kinds) . " is there\n";
}

sub new {
    my ($class, %arg) = @_;
    return bless {%arg, name => $arg{name} // 'db'}, $class;
}

# A directory that is given has to be good, and is used from then on. Of several, as karma gives
# them, and of the candidates it is the first good one (1.00 takes the first and dies of it).
sub dir {
    my ($self, @given) = @_;
    if (@given == 1 && $given[0]) {
        $self->validate_dir($given[0]);
        return $self->{dir} = $given[0];
    }
    @given = grep { $_ } @given;
    return $self->{dir} if $self->{dir} && !@given;

    my @all = (@given, $self->candidate_dirs);
    my ($dir) = grep { -d && -w } @all;
    die 'no database directory: none of ' . join(', ', @all) . " exists and can be written to\n"
      unless defined $dir;
    return $self->{dir} = $dir;
}

# Where the file may be: what the caller names, then the usual ones.
sub candidate_dirs {
    my ($self, @candidates) = @_;
    if (@candidates || !$self->{candidate_dirs}) {
        (my $home = $0) =~ s{[^/]*\z}{.};
        my @usual = map { "$home/$_" } qw(../var/db var/db ../config config);
        $self->{candidate_dirs} = [@candidates, '/var/lib/qpsmtpd/db', @usual];
    }
    return @{$self->{candidate_dirs}};
}

# Dies where a directory is none in which a file can be made.
sub validate_dir {
    my ($self, $dir) = @_;
    die "Empty DB directory supplied\n"          unless $dir;
    die "DB directory '$dir' does not exist\n"   unless -d $dir;
    die "DB directory '$dir' is not writeable\n" unless -w $dir;
    return 1;
}

# Where the program is.
sub qphome {
    my ($home) = $0 =~ m{^(.*?)/[^/]+$};
    return $home;
}

sub path { return $_[0]->dir . '/' . $_[0]->name . '.dbm' }

# Whether locks are such as hold over NFS (with the Perl module File::NFSLock).
sub nfs_locking {
    my $self = shift;
    $self->{nfs_locking} = shift if @_;
    return $self->{nfs_locking};
}

# True when the lock is held. A second lock of the same object is the first.
sub lock {
    my $self = shift;
    return 1 if $self->{tied};
    my $path = $self->path;
    my $lock = $self->nfs_locking ? _nfs_lock("$path.lock") : _file_lock("$path.lock");
    tie my %tied, _kind(), $path, O_CREAT | O_RDWR, 0640 or die "$path: $!\n";
    @$self{qw(tied lock)} = (\%tied, $lock);
    return 1;
}

sub _file_lock {
    my $path = shift;
    open my $lock, '>>', $path or die "$path: $!\n";
    flock $lock, LOCK_EX or die "$path: cannot lock: $!\n";
    return $lock;
}

# A lock that is half an hour old belongs to nobody any more.
sub _nfs_lock {
    my $path = shift;
    require File::NFSLock;
    my %wanted = (lock_type => LOCK_EX, blocking_timeout => 10, stale_lock_timeout => 1800);
    return File::NFSLock->new({file => $path, %wanted}) || die "$path: cannot lock within 10 s\n";
}

sub unlock {
    my $self = shift;
    my $tied = delete $self->{tied} or return;
    untie %$tied;
    # Its end is that of the lock.
    delete $self->{lock};
    return 1;
}

sub DESTROY { $_[0]->unlock }

sub _with_file {
    my ($self, $work) = @_;
    return $work->($self->{tied}) if $self->{tied};
    $self->lock;
    my @result = eval { $work->($self->{tied}) };
    my $error = $@;
    $self->unlock;
    die $error if $error;
    return wantarray ? @result : $result[-1];
}

sub get {
    my ($self, $key) = @_;
    return scalar $self->_with_file(sub { my $value = $_[0]{$key}; $value });
}

sub mget {
    my ($self, @keys) = @_;
    return $self->_with_file(sub { my @values = @{$_[0]}{@keys}; @values });
}

sub set {
    my ($self, $key, $value) = @_;
    return scalar $self->_with_file(sub { $_[0]{$key} = $value });
}

# The number of keys that there were.
sub delete {
    my ($self, @keys) = @_;
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
