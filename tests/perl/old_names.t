# registry.txt of the package lists its plugins with the names that they had before:
# each of these is a plugin of the package still, or one that ships with Camelpost.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $package = '/usr/share/qpsmtpd/plugins';
my $shipped = abs_path(dirname(__FILE__) . '/../../compat-plugins');
open my $list, '<', "$package/registry.txt"
  or BAIL_OUT("$package/registry.txt is missing: install Debian's package qpsmtpd");

my @names;
while (my $line = <$list>) {
    next if $line =~ /^\s*(?:#|$)/;
    my ($id, $name, $short, $longer, $aliases) = split ' ', $line;
    # Those with :: are the log's forms of names that still are.
    push @names, grep { !/::/ } split /,/, $aliases // '';
}
cmp_ok(scalar @names, '>', 12, 'it has a dozen older names');
for my $name (@names) {
    ok(-f "$package/$name" || -f "$shipped/$name", "the older name $name is to be had");
}
is(-x "$package/registry.txt", '', 'registry.txt is a list and no program');

done_testing;
