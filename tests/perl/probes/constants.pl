# What `use Qpsmtpd::Constants` puts into a plugin's namespace, and both tables.
use strict;
use warnings;
use Probe;

package Importer;
use Qpsmtpd::Constants;

package main;

for my $name (sort keys %Importer::) {
    my $code = Importer->can($name) or next;
    my $prototype = prototype $code;
    print "$name", defined $prototype ? "($prototype) = " . $code->() : ' function', "\n"
      unless $name eq 'BEGIN';
}
my @names = qw(OK DENY DENYSOFT DENYHARD DENY_DISCONNECT DENYSOFT_DISCONNECT DECLINED DONE YIELD
  CONTINUATION ok NONE LOGRADAR LOGEMERG LOGALERT LOGCRIT LOGERROR LOGWARN LOGNOTICE LOGINFO
  LOGDEBUG loginfo INFO);
# Numbers that two names share, and numbers that are part of another (0, 1, 90),
# give a random name in the original.
for my $value (895 .. 902, 904 .. 910, 912, @names, '', undef, '0 but true') {
    print 'return_code ', show($value), ' = ', show(Qpsmtpd::Constants::return_code($value)), "\n";
}
for my $value (-2, 1 .. 12, @names, '', undef, '0 but true') {
    print 'log_level ', show($value), ' = ', show(Qpsmtpd::Constants::log_level($value)), "\n";
}
