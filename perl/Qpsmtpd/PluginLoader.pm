package Qpsmtpd::PluginLoader;

# From a line of config/plugins to a registered plugin: the line's words, the
# search for the file or module, the package, and messages that say what to do.
# It reads no config file and knows no line numbers: its caller puts
# "FILE line N: " before what it dies with. Compiling is Qpsmtpd::Plugin's.

use strict;
use warnings;
use Errno ();
use Qpsmtpd::Constants;
use Qpsmtpd::Plugin;

# Returns the plugin object.
sub load_plugin {
    my ($qp, $line, @dirs) = @_;

    die "unsafe characters in config line: $line\n" if $line =~ /[\x00-\x08\x0a-\x1f\x7f]/;
    # Whoever says which plugins there are may say anything.
    ($line) = $line =~ /\A(.*)\z/s;
    my ($name, @args) = split ' ', $line;
    die "no plugin name in '$line'\n" unless defined $name;

    my $package =
      $name =~ /::/
      ? _load_module($qp, $line, $name)
      : _load_file($qp, $line, $name, @dirs);

    my $plugin = $package->new;
    if (!eval { $plugin->_register($qp, @args); 1 }) {
        die "plugin $name: " . explain($@);
    }
    return $plugin;
}

# queue/qmail-queue is Qpsmtpd::Plugin::queue::qmail_2dqueue.
sub plugin_package { return 'Qpsmtpd::Plugin::' . plugin_name($_[0]) }

sub plugin_name {
    my $name = shift;
    $name =~ s/([^A-Za-z0-9_\/])/sprintf '_%2x', ord $1/eg;
    $name =~ s{/+([0-9]?)}{'::' . (length $1 ? sprintf '_%2x', ord $1 : '')}eg;
    return $name;
}

# NAME:N is the file NAME in a package of its own.
sub plugin_file {
    my ($name, @dirs) = @_;
    (my $base = $name) =~ s/:[0-9]+$//;
    my $closed;
    for my $dir (@dirs) {
        my $file = $dir =~ s{/+\z}{}r . "/$base";
        return $file if -f $file;
        $closed //= $file if $!{EACCES};
    }
    if (defined $closed) {
        my $user = getpwuid $> // $>;
        die "plugin $name: permission denied as user $user: $closed "
          . "(let that user enter each directory on the way there, or name another one in plugin_dirs)\n";
    }
    my $searched = @dirs ? join ', ', @dirs : 'none (see plugin_dirs)';
    if (grep { !m{^/} } @dirs) {
        require Cwd;
        $searched .= ' (relative to ' . (Cwd::getcwd() // '.') . ')';
    }
    die "plugin $name not found; directories searched: $searched\n";
}

sub _load_file {
    my ($qp, $line, $name, @dirs) = @_;
    my $package = plugin_package($name);
    return $package if Qpsmtpd::Plugin::_is_compiled($package);

    my $file = plugin_file($name, @dirs);
    _refuse_async($name, $file, @dirs) if $name =~ m{^async/};
    my $test_mode = ref $qp && $qp->{_test_mode};
    eval {
        Qpsmtpd::Plugin->compile(plugin_name($name), $package, $file, $test_mode, $name);
        1;
    } or die "plugin $name does not compile: " . explain($@);
    # A line that speaks of logging is loaded without a word, as in the original.
    $qp->log(LOGDEBUG, "Loading $line from $file") unless $line =~ /logging/;
    return $package;
}

# A plugin of qpsmtpd-async hands the client back to that server's event loop, and would wait for ever.
sub _refuse_async {
    my ($name, $file, @dirs) = @_;
    return if Qpsmtpd::Plugin::_read_text($file) !~ /\b(?:YIELD|CONTINUATION|AddTimer|Plugin::Async|Danga)\b/;
    (my $twin = $name) =~ s{^async/}{};
    my $advice =
      eval { plugin_file($twin, @dirs) }
      ? "use $twin in its place, which does the same"
      : "there is no $twin to use in its place";
    die "plugin $name is written for the event loop of qpsmtpd-async, which Camelpost does not have: $advice\n";
}

sub _load_module {
    my ($qp, $line, $name) = @_;
    die "plugin $name: a plugin that is a module cannot be loaded under a number\n"
      if $name =~ /:[0-9]+$/;
    die "plugin $name: not the name of a module\n"
      unless $name =~ /^[A-Za-z_]\w*(?:::\w+)+$/;

    (my $file = "$name.pm") =~ s{::}{/}g;
    if (!eval { require $file; 1 }) {
        my $error = $@;
        my $what = $error =~ /^Can't locate \Q$file\E in \@INC/
          ? "plugin $name not found: no $file in any directory of \@INC: " . join(', ', grep { !ref } @INC) . "\n"
          : "plugin $name does not compile: " . explain($error);
        die $what;
    }
    die "plugin $name: $INC{$file} does not inherit from Qpsmtpd::Plugin\n"
      unless $name->can('_register');

    Qpsmtpd::Plugin::_define_name($name, $name, 0)
      unless Qpsmtpd::Plugin::_is_compiled($name);
    $qp->log(LOGDEBUG, "Loading $name ($line)");
    return $name;
}

#
# Messages
#

# Debian calls the package of Foo::Bar libfoo-bar-perl, if there is one. These are
# called otherwise, come inside another distribution, or are not packaged (undef):
# module prefix => [Debian package, CPAN name].
my %distribution = (
    'Apache2'              => ['libapache2-mod-perl2',       'mod_perl2'],
    'APR'                  => ['libapache2-mod-perl2',       'mod_perl2'],
    'BSD::getloadavg'      => [undef,                        'BSD::getloadavg'],
    'DBD::SQLite'          => ['libdbd-sqlite3-perl',        'DBD::SQLite'],
    'Date::Parse'          => ['libtimedate-perl',           'TimeDate'],
    'Date::Format'         => ['libtimedate-perl',           'TimeDate'],
    'HTTP::Request'        => ['libhttp-message-perl',       'HTTP::Message'],
    'HTTP::Response'       => ['libhttp-message-perl',       'HTTP::Message'],
    'LWP'                  => ['libwww-perl',                'LWP'],
    'LWP::Protocol::https' => ['liblwp-protocol-https-perl', 'LWP::Protocol::https'],
    'Mail::Address'        => ['libmailtools-perl',          'MailTools'],
    'Mail::Field'          => ['libmailtools-perl',          'MailTools'],
    'Mail::Header'         => ['libmailtools-perl',          'MailTools'],
    'Mail::Internet'       => ['libmailtools-perl',          'MailTools'],
    'Mail::Mailer'         => ['libmailtools-perl',          'MailTools'],
    'Mail::Send'           => ['libmailtools-perl',          'MailTools'],
    'Mail::Util'           => ['libmailtools-perl',          'MailTools'],
    'Mail::DomainKeys'     => [undef,                        'Mail::DomainKeys'],
    'Mail::SPF::Query'     => [undef,                        'Mail::SPF::Query'],
    'Mail::SpamAssassin'   => ['spamassassin',               'Mail::SpamAssassin'],
    'MIME'                 => ['libmime-tools-perl',         'MIME::Tools'],
    'Net::Milter'          => [undef,                        'Net::Milter'],
    'ParaDNS'              => [undef,                        'ParaDNS'],
    'Qmail::Deliverable'   => [undef,                        'Qmail::Deliverable'],
    'Text::Netstring'      => [undef,                        'Text::Netstring'],
    'URI'                  => ['liburi-perl',                'URI'],
    'XML::LibXML'          => ['libxml-libxml-perl',         'XML::LibXML'],
);

# Modules inside a distribution that is named after their prefix.
$distribution{$_} = [_by_rule($_), $_]
  for qw(DBI Danga::Socket Geo::IP Mail::DKIM Mail::DMARC Mail::SPF Net::DNS Net::LDAP
         Net::IP IO::Socket::SSL Redis XML::Parser);

sub _by_rule {
    my $package = lc "lib$_[0]-perl";
    $package =~ s/::|_/-/g;
    return $package;
}

# For a module: Debian's package (undef where none is known), the CPAN name, and
# whether it is known that there is none.
sub distribution {
    my $module = shift;
    for (my $prefix = $module ; ; $prefix =~ s/::\w+$// or last) {
        my $found = $distribution{$prefix} or next;
        return (@$found, !defined $found->[0]);
    }
    my $package = _by_rule($module);
    return (_is_package($package) ? $package : undef, $module, '');
}

# Whether this machine's package manager knows a package by that name.
sub _is_package {
    my $name = shift;
    my ($apt) = grep { -x } '/usr/bin/apt-cache' or return;
    local ($?, $!);
    local $SIG{CHLD} = 'DEFAULT';
    open my $names, '-|', $apt, 'pkgnames', $name or return;
    my $found = grep { $_ eq "$name\n" } <$names>;
    close $names;
    return $found;
}

# A missing module is named with where to get it; every other message is perl's
# and stays as it is.
sub explain {
    my $error = shift;
    $error .= "\n" unless $error =~ /\n\z/;
    return $error
      unless $error =~ m{^Can't locate ([\w/]+)\.pm in \@INC .*\) at (.+? line [0-9]+)\.}m;

    my ($module, $place) = ($1, $2);
    $module =~ s{/}{::}g;
    # Where a module needs it, the plugin's own line stands last.
    my @places = $error =~ / at (.+? line [0-9]+)\.$/mg;
    my ($plugin_place) = grep { !/^\(eval/ && index($_, __FILE__) != 0 } reverse @places;
    $place .= ", loaded from $plugin_place"
      if defined $plugin_place && index($place, $plugin_place) < 0;
    my ($package, $cpan, $unpackaged) = distribution($module);
    my $debian = defined $package ? "Debian package $package; " : $unpackaged ? 'not packaged by Debian; ' : '';
    my $searched = join ' ', grep { !ref } @INC;
    return "the Perl module $module is missing (${debian}on CPAN: $cpan), needed at $place (\@INC contains: $searched)\n";
}

1;
