package Qpsmtpd;

# The base class of the qp object: config, logging, hooks, plugins, spool
# names. Its state is the host's, in Rust; what is here is what plugins and
# subclasses may see as Perl. Not here: the SMTP session (Qpsmtpd::SMTP).

use strict;
use warnings;
use Qpsmtpd::Base;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd::Base');
our $VERSION;         # set by the host
our $hooks = {};      # HOOK => [ { name, code }, ... ]
our $LOGGING_LOADED = 0;
our $Size_threshold;

# For a script that begins anew: no plugins, no logging, nothing remembered.
sub _restart {
    my ($self, %args) = @_;
    return unless $args{restart};
    $self->conf->clear_cache;
    $hooks          = {};
    $LOGGING_LOADED = 0;
    $Size_threshold = undef;
    _set_trace_level(LOGWARN);
    return;
}

sub TRACE_LEVEL { return trace_level() }

sub new {
    my ($class, %args) = @_;
    return bless {%args}, ref $class || $class;
}

# An address that knows in whose session it is (1.00): its config() asks there.
sub address {
    my $self = shift;
    require Qpsmtpd::Address;
    my $address = Qpsmtpd::Address->new(@_);
    $address->qp($self) if ref $self && $address;
    return $address;
}

# An object that is no session has none.
sub transaction { return {} }

# The table; hooks(NAME) is a hook's list (1.00; 0.94 gives the table in any case): its entries, or in
# scalar context a reference to it.
sub hooks {
    my ($self, $hook) = @_;
    return $hooks unless $hook && Qpsmtpd::Base::_is_1_00();
    my $list = $hooks->{$hook} || [];
    return wantarray ? @$list : $list;
}

# An entry at the end of a hook's list, or at its beginning.
sub _register_hook {
    my ($self, $hook, $entry, $at_beginning) = @_;
    my $list = $hooks->{$hook} ||= [];
    return $at_beginning ? unshift @$list, $entry : push @$list, $entry;
}

# Goes on with a chain that somebody has put into {_continuation}: [HOOK, [ARGUMENTS], ENTRIES...].
sub run_continuation {
    my $self = shift;
    my $chain = $self->{_continuation} or die "No continuation in progress\n";
    $self->{_continuation} = undef;
    my ($hook, $args, @entries) = @$chain;
    $hook or die 'No hook in the continuation';
    $args or die 'No hook args in the continuation';
    local $hooks->{$hook} = \@entries;
    return $self->run_hooks($hook, @$args);
}

# What a hook's chain has returned, as [CODE, TEXTS], for the method that answers for it.
sub hook_responder {
    my ($self, $hook, $returned, $args) = @_;
    my ($code, @texts) = @$returned;
    my $responder = $self->can("${hook}_respond") or return ($code, @texts);
    return $self->$responder($code, \@texts, $args);
}

# What reads config values (1.00), one for each object.
sub conf {
    my $self = shift;
    require Qpsmtpd::Config;
    return Qpsmtpd::Config->new unless ref $self;
    return $self->{_config} ||= Qpsmtpd::Config->new;
}

# The level of config/loglevel, a number or a name, from now on.
sub init_logger {
    my $self  = shift;
    my $level = $self->config('loglevel');
    $level = Qpsmtpd::Constants::log_level($level) if defined $level && $level !~ /^[0-9]+$/;
    _set_trace_level($level) if defined $level;
    return trace_level();
}

# The lines of config/logging, unless a logging plugin is there already.
sub load_logging {
    my $self = shift;
    return if $LOGGING_LOADED || $hooks->{logging};
    my @plugins = map { $self->_load_plugin($_, $self->plugin_dirs) } $self->config('logging');
    $LOGGING_LOADED = 1 if @plugins;
    return @plugins;
}

# config(NAME, 'map') or config(NAME, ADDRESS): what a plugin gives, else a
# reference to a hash tied to NAME.cdb, or the values. What plugins know of an
# address (1.00, user_config) comes before what they know of all. config(NAME) is an XSUB.
sub _config_for {
    my ($self, $name, $type) = @_;
    if (ref $type) {
        my ($code, @values) = $self->run_hooks_no_respond('user_config', $type, $name);
        return wantarray ? @values : $values[0] if $code == OK;
        return $self->_config($name);
    }
    return $self->_config($name) if $type ne 'map';
    my ($answered, @values) = $self->_config_of_hook($name);
    return wantarray ? @values : $values[0] if $answered;
    return $self->_config_map($name);
}

sub get_qmail_config {
    my ($self, $name, $type) = @_;
    return $self->config($name, $type);
}

sub _config_map {
    my ($self, $name) = @_;
    my $file = $self->_config_map_file($name);
    return {} unless defined $file;
    return $self->_map_of_file($file);
}

# Whether the map of a name has a key, for plugins that are not Perl's.
sub _map_has {
    my ($self, $name, $key) = @_;
    my $map = $self->config($name, 'map');
    return exists $map->{$key} ? 1 : 0;
}

# What a name has for a recipient, for the same.
sub _config_of_recipient {
    my ($self, $name, $recipient) = @_;
    return $self->config($name, {rcpt => $recipient});
}

sub _map_of_file {
    my ($self, $file) = @_;
    if (!eval { require CDB_File; 1 }) {
        $self->log(LOGERROR,
            "No CDB Support! Did NOT read $file, could not load CDB_File module: $@"
              . 'install libcdb-file-perl (CPAN: CDB_File)');
        return {};
    }
    my %map;
    if (!tie %map, 'CDB_File', $file) {
        $self->log(LOGERROR, "tie of $file failed: $!");
        return {};
    }
    return \%map;
}

# In a script what was found is remembered, as 1.00 has it (Qpsmtpd::Config).
sub config_dir {
    my ($self, $name) = @_;
    return Qpsmtpd::Config->config_dir($name) if $Camelpost::is_script;
    return $self->_found_config_dir($name);
}

sub _found_config_dir {
    my ($self, $name) = @_;
    my $path = $self->_config_path($name);
    # A name may have a slash in it. Plugins ask for each recipient: no pattern is compiled for it.
    my $end = length($name) + 1;
    return length $path > $end && substr($path, -$end) eq "/$name" ? substr($path, 0, -$end) : $path;
}

# In a script the first who asks decides for all, as in qpsmtpd, or whoever sets the variable.
sub size_threshold {
    my $self = shift;
    return $self->_size_threshold unless $Camelpost::is_script;
    $Size_threshold = $self->_size_threshold unless defined $Size_threshold;
    return $Size_threshold;
}

# Always with a slash at its end.
sub spool_dir {
    my $self = shift;
    (my $dir = $self->_spool_dir) =~ s{/*\z}{/};
    return $dir;
}

my $temp_count = 0;

# The name of a file that is not there yet. It has the process's id: what a process has left
# behind is found by it.
sub temp_file {
    my $self = shift;
    return $self->spool_dir . join ':', time, Camelpost::pid(), 't' . $temp_count++;
}

# A new directory with these rights (default 0700). It is not removed by itself.
sub temp_dir {
    my ($self, $mode) = @_;
    my $dir = $self->temp_file;
    mkdir $dir, defined $mode ? $mode : 0700
      or die "Could not create temporary directory $dir: $!";
    return $dir;
}

# The objects; where something queues messages already, plugins have been loaded, and the lines are all.
sub load_plugins {
    my $self  = shift;
    my @lines = $self->config('plugins');
    return @lines if $hooks->{queue};
    return map { $self->_load_plugin($_, $self->plugin_dirs) } @lines;
}

sub _load_plugin {
    my ($self, $line, @dirs) = @_;
    require Qpsmtpd::PluginLoader;
    return Qpsmtpd::PluginLoader::load_plugin($self, $line, @dirs);
}

1;
