package Qpsmtpd::Plugin;

# The base class of every Perl plugin: compiling a plugin's text into a package
# of its own, registering its hooks, and the methods a plugin calls on itself.
# It holds no session state (that is the qp object's) and does not look for
# plugin files beyond isa_plugin's parent (that is Qpsmtpd::PluginLoader's).

# Plugin text sees no lexical of this file, strict and all warnings, which is
# why this stands above everything else. The text carries its own #line.
sub _evaluate { package main; use strict; use warnings; eval shift; return $@ }

use strict;
use warnings;
use Qpsmtpd::Base;
use Qpsmtpd::Constants;

our @ISA = ('Qpsmtpd::Base');

# The host's table of hooks, in the order in which hook_* methods are registered (src/hook/table.rs).
our @hooks = Camelpost::hook_names();
our %hooks = map { $_ => 1 } @hooks;

sub new {
    my $invocant = shift;
    return bless {}, ref $invocant || $invocant;
}

#
# Compiling
#

# For which plugin a text is compiled, where that is another's parent.
our $owner;

# $plugin_name is what plugin_name() answers, $orig_name the name as configured.
# In test mode the plugin's file in t/plugin_tests becomes part of it. Dies with
# perl's own message, which names the plugin's file and line.
sub compile {
    my ($class, $plugin_name, $package, $file, $test_mode, $orig_name) = @_;

    my $text = _read_text($file);
    my ($data) = $text =~ /^__DATA__\r?\n(.*)/ms;
    _add_tests(\$text, $orig_name // $plugin_name) if $test_mode;
    _load_net_dns() if $text =~ /\bNet::DNS\b/;

    no strict 'refs';
    _define_name($package, $plugin_name, $text =~ /\bsub\s+plugin_name\b/);
    @{"${package}::ISA"} = ('Qpsmtpd::Plugin');
    _open_data($package, $data) if defined $data;

    # Tests are written as if Test::More were there, and so may the plugin's own text be.
    my $preamble = "package $package; use Qpsmtpd::Constants;" . ($test_mode ? ' use Test::More;' : '');
    # Whoever may write the plugin's file may say anything.
    my ($trusted) = ("$preamble\n" . _line_directive($file) . $text) =~ /\A(.*)\z/s;
    my $error = _evaluate($trusted);
    if (!length $error) {
        Camelpost::compiled($owner // $plugin_name, $file =~ tr/"\n//dr, $package, _packages($text))
          if defined &Camelpost::compiled;
        return 1;
    }

    # A second try must not find a half-made plugin.
    delete ${"${package}::"}{plugin_name};
    die $error;
}

# The packages that a text declares.
sub _packages {
    my $text = shift;
    my %packages = map { s/'/::/gr => 1 } $text =~ /^\s*package\s+([A-Za-z_][\w:']*)/mg;
    return grep { $_ ne 'main' } keys %packages;
}

# A constant is the cheapest thing to call, and log() calls it each time; a
# plugin with a plugin_name of its own could not redefine it silently.
sub _define_name {
    my ($package, $name, $redefined) = @_;
    no strict 'refs';
    *{"${package}::plugin_name"} = $redefined ? sub { $name } : sub () { $name };
}

sub _is_compiled {
    my $package = shift;
    no strict 'refs';
    return defined &{"${package}::plugin_name"};
}

sub _read_text {
    my $file = shift;
    if (!open my $handle, '<:raw', $file) {
        my $why = "$!";
        $why .= ' as user ' . (getpwuid $> // $>) if $!{EACCES};
        die "could not open $file: $why\n";
    }
    else {
        local $/;
        return scalar <$handle> // '';
    }
}

sub _line_directive {
    my $file = shift;
    $file =~ tr/"\n//d;
    return qq{# line 1 "$file"\n};
}

# Tests are the end of the plugin's text, as in qpsmtpd: behind __END__, and behind POD that is left
# open, they are not compiled.
sub _add_tests {
    my ($text, $name) = @_;
    my $file = "t/plugin_tests/$name";
    return unless -f $file;
    $$text .= "\n" . _line_directive($file) . _read_text($file);
}

sub _open_data {
    my ($package, $data) = @_;
    open my $handle, '<', \$data or return;
    no strict 'refs';
    *{"${package}::DATA"} = $handle;
}

# Plugins that only name Net::DNS::Resolver have always found it loaded. It is
# large, so the others do without; a plugin's own use reports a missing one.
sub _load_net_dns { return eval { require Net::DNS; 1 } }

# Inherit from another plugin: its text is compiled again below the caller's
# package, which keeps its variables apart from those of the plugin itself.
sub isa_plugin {
    my ($self, $parent) = @_;
    my $heir = caller;

    (my $safe_name = $parent) =~ s/\W/_/g;
    my $package = "${heir}::_isa_$safe_name";
    return if _is_compiled($package);

    my @dirs = $self->qp->plugin_dirs;
    my ($file) = grep { -f } map { "$_/$parent" } @dirs;
    _die_at_caller("cannot find plugin '$parent' (searched " . join(', ', @dirs) . ')')
      unless defined $file;

    # A parent of a parent belongs to the plugin that is loaded, too.
    local $owner = $owner // $self->plugin_name;
    $self->compile($self->plugin_name . "_isa_$safe_name", $package, $file);
    warn "---- $package\n";
    no strict 'refs';
    return push @{"${heir}::ISA"}, $package;
}

# The message ends with the line of the plugin that made the call.
sub _die_at_caller {
    my $message = shift;
    my (undef, $file, $line) = caller 1;
    die "$message at $file line $line.\n";
}

#
# Hooks
#

# $qp is there for init and register, as it is for hooks; the hook's name is not.
sub _register {
    my ($self, $qp, @args) = @_;
    local $self->{_qp} = $qp;
    $self->init($qp, @args) if $self->can('init');
    $self->_register_standard_hooks($qp, @args);
    $self->register($qp, @args) if $self->can('register');
}

sub _register_standard_hooks {
    my $self = shift;
    for my $hook (@hooks) {
        (my $method = "hook_$hook") =~ s/\W/_/g;
        $self->register_hook($hook, $method) if $self->can($method);
    }
}

# What is put into the chain is called as $code->($qp, $transaction, @arguments).
sub register_hook {
    my ($plugin, $hook, $method, $unshift) = @_;

    _die_at_caller($plugin->plugin_name . ($plugin->_is_1_00 ? '' : ' ') . ": Invalid hook: $hook")
      unless $hooks{$hook};

    my $qp = $plugin->qp;
    $qp->log(LOGDEBUG, $plugin->plugin_name, 'hooking', $hook) unless $hook eq 'logging';

    my %entry = (
        name => $plugin->plugin_name,
        code => sub {
            # A hook may run another hook of the same plugin, so both are put
            # back, also after a die.
            local @$plugin{'_qp', '_hook'} = (shift, $hook);
            return $plugin->$method(@_);
        },
    );
    # The host calls the method itself, as the code above would.
    Camelpost::own_hook($entry{code}, $plugin, $method, $hook) if defined &Camelpost::own_hook;
    return $qp->_register_hook($hook, \%entry, $unshift) if $qp->can('_register_hook');
    my $chain = $qp->hooks->{$hook} ||= [];
    return $unshift ? unshift @$chain, \%entry : push @$chain, \%entry;
}

#
# Surroundings
#

sub qp             { return shift->{_qp} }
sub hook_name      { return $_[0]{_hook} }
sub connection     { return $_[0]->qp->connection }
sub transaction    { return $_[0]->qp->transaction }
sub auth_user      { return $_[0]->qp->auth_user }
sub auth_mechanism { return $_[0]->qp->auth_mechanism }
sub spool_dir      { return $_[0]->qp->spool_dir }

# Files and directories that end with the transaction.
sub temp_file {
    my $self = shift;
    my $name = $self->qp->temp_file;
    push @{$self->qp->transaction->{_temp_files}}, $name;
    return $name;
}

sub temp_dir {
    my $self = shift;
    my $name = $self->qp->temp_dir;
    push @{$self->qp->transaction->{_temp_dirs}}, $name;
    return $name;
}

# The plugin's own store (1.00), opened by the first call.
sub db {
    my ($self, @args) = @_;
    $self->validate_db_args($self, @args);
    return $self->{db} if $self->{db};
    require Qpsmtpd::DB;
    return $self->{db} = Qpsmtpd::DB->new($self->db_args(@args));
}

# What the store is made with: the arguments, or those of the call before; the plugin's name, and a
# second to reach a server in.
sub db_args {
    my ($self, @args) = @_;
    $self->validate_db_args($self, @args);
    $self->{db_args} = {@args} if @args;
    my $for_store = $self->{db_args} ||= {};
    $for_store->{name}        ||= $self->plugin_name;
    $for_store->{cnx_timeout} ||= 1;
    return %$for_store;
}

# Names and values, behind the object that they are for.
sub validate_db_args {
    my (undef, undef, @args) = @_;
    die "Invalid db arguments\n" if @args % 2;
}

#
# Logging
#

# Classes with an adjust_log_level of their own.
my %adjusts;

# A logging hook cannot log: it would never end. Without a qp object (outside of
# any hook) the class logs.
sub _log {
    my $self = shift;
    my $hook = $self->{_hook};
    return if defined $hook && $hook eq 'logging';

    my $level = shift;
    my $name  = $self->plugin_name;
    $level = $self->adjust_log_level($level, $name)
      if $self->{_args}{loglevel}
      || ($adjusts{ref $self} //= $self->can('adjust_log_level') != \&adjust_log_level);
    return ($self->{_qp} || 'Qpsmtpd')->varlog($level, $hook, $name, @_);
}

# The plugin argument loglevel: N sets the level of all of a plugin's lines, +N
# and -N move each. Anything else leaves the level as it is, and one line says so.
sub adjust_log_level {
    my ($self, $level, $name) = @_;
    my $wanted = $self->{_args}{loglevel} or return $level;

    if ($wanted =~ /^([+-])([0-9])$/) {
        my $sum = ($level || 0) + ($1 eq '+' ? $2 : -$2);
        return $sum < LOGRADAR ? LOGRADAR : $sum > LOGDEBUG ? LOGDEBUG : $sum;
    }
    return $wanted if $wanted =~ /^[0-7]$/;

    my $by_name = Qpsmtpd::Constants::log_level($wanted);
    return $by_name if defined $by_name && $by_name =~ /^[0-7]$/;

    if (!$self->{_bad_loglevel_told}++) {
        $self->log(LOGERROR,
            "loglevel '$wanted' is none of N, +N, -N (N from 0 to 7) or a name like LOGINFO: ignored");
    }
    return $level;
}

#
# Policy: what the plugin arguments reject and reject_type, and the notes of
# other plugins, make of a finding
#

# ($smtp_message, $log_message): the plugin's return value.
sub get_reject {
    my ($self, $message, $log_message) = @_;
    $message ||= 'unspecified error';
    $log_message = $log_message ? ", $log_message" : '';

    my $reject = $self->{_args}{reject};
    if (defined $reject && !$reject) {
        $self->log(LOGINFO, "fail, tolerated$log_message");
        return DECLINED;
    }
    if (defined $reject && $reject eq 'naughty') {
        $self->log(LOGINFO, "fail, NAUGHTY$log_message");
        # 1.00 says whose word it is, as the client hears it much later.
        $message = '(' . $self->plugin_name . ") $message" if $self->_is_1_00;
        return $self->store_deferred_reject($message);
    }
    $self->log(LOGINFO, "fail$log_message");
    return ($self->get_reject_type, $message);
}

# ($default, $type): the verdict that a type, else the argument reject_type,
# stands for.
sub get_reject_type {
    my ($self, $default, $type) = @_;
    $default = DENY unless defined $default;
    $type ||= $self->{_args}{reject_type} or return $default;

    return DENYSOFT            if $type =~ /^(?:temp|soft)$/i;
    return DENY                if $type =~ /^(?:perm|hard)$/i;
    return DENY_DISCONNECT     if $type eq 'disconnect';
    return DENYSOFT_DISCONNECT if $type eq 'temp_disconnect';
    return $default;
}

# Leaves the rejection to the plugin naughty; the first plugin's reject_type counts.
sub store_deferred_reject {
    my ($self, $message) = @_;
    my $connection = $self->connection;
    my $earlier    = $connection->notes('naughty');
    $connection->notes('naughty', $earlier ? "$earlier\r\n$message" : $message);
    $connection->notes('naughty_reject_type', $self->{_args}{reject_type})
      unless $connection->notes('naughty_reject_type');
    return DECLINED;
}

# A result for the Authentication-Results header.
sub store_auth_results {
    my ($self, $result) = @_;
    my $connection = $self->connection;
    my $earlier    = $connection->notes('authentication_results');
    if (!$earlier) {
        $connection->notes('authentication_results', $result);
        return;
    }
    my $all = join '; ', $earlier, $result;
    $self->log(LOGDEBUG, "auth-results: $all");
    return $connection->notes('authentication_results', $all);
}

# True for clients and senders that no policy shall touch.
sub _is_immune {
    my $self = shift;
    my $qp   = $self->qp;
    my $why =
        $qp->connection->relay_client             ? 'relay client'
      : $qp->connection->notes('whitelisthost')   ? 'whitelisted host'
      : $qp->transaction->notes('whitelistsender') ? 'whitelisted sender'
      :                                             return;
    $self->log(LOGINFO, "skip, $why");
    return 1;
}

# Without an argument: the note. With one: sets it.
sub is_naughty {
    my ($self, $value) = @_;
    my $connection = $self->connection;
    return $connection->notes('naughty') unless defined $value;

    $connection->notes('naughty',  $value);
    $connection->notes('rejected', $value);
    return unless $value;
    $self->log(LOGINFO, 'skip, naughty');
    return 1;
}

sub adjust_karma {
    my ($self, $value) = @_;
    my $karma = ($self->connection->notes('karma') || 0) + $value;
    $self->log(LOGINFO, "karma $value ($karma)");
    $self->connection->notes('karma', $karma);
    return $value;
}

# Called some fifty times a message: the host does it where nothing is out of the ordinary.
{
    no warnings 'once';
    my $is_fast = defined &Camelpost::is_fast && Camelpost::is_fast();
    *log       = $is_fast ? \&Camelpost::plugin_log : \&_log;
    *is_immune = $is_fast ? \&Camelpost::is_immune  : \&_is_immune;
}

1;
