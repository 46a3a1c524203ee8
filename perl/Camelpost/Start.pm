package Camelpost::Start;

# Puts what finds the compiled-in modules first in @INC. Modules of the original that Camelpost does
# not have must not be found either: they would load the rest of the original.

use strict;
use warnings;

my $modules = sub {
    my (undef, $file) = @_;
    my $text = Camelpost::_embedded_file($file);
    if (!defined $text) {
        die "$file is part of the original qpsmtpd and not of Camelpost\n"
          if $file =~ m{^Qpsmtpd/(?:PollServer|(?:SMTP|TcpServer)/Prefork|Plugin/Async/\w+)\.pm$};
        return;
    }
    $INC{$file} = "perl/$file";
    open my $handle, '<', \$text or die "cannot read $file: $!";
    return (\qq{# line 1 "perl/$file"\n}, $handle);
};

# Takes the place of the sub that has found this file.
@INC = ($modules, grep { !ref || $_ != \&Camelpost::_module } @INC);
require Camelpost;
require Camelpost::Notes;
$Camelpost::modules = $modules;

# A plugin's `use lib` puts its directory first, before the same plugin's `use Qpsmtpd::DSN`.
require "Qpsmtpd/$_.pm" for qw(TcpServer Address Auth Base Command Config DB DSN Utils);

# `-MCamelpost::Start=script` stands before a script's own text.
sub import {
    my (undef, $for) = @_;
    return unless defined $for && $for eq 'script';
    require Camelpost::Script;
    return Camelpost::Script::prepare();
}

1;
