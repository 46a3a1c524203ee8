package HookTable;

# Stands in for the sub of the host that gives the names of all hooks: they are read from the table's source,
# so that these tests need no Camelpost.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $table = dirname(abs_path(__FILE__)) . '/../../../src/hook/table.rs';
open my $file, '<', $table or die "cannot read $table: $!";
my @names = map { /^            [A-Z]\w* \{ "([^"]+)"/ ? $1 : () } <$file>;
@names > 30 or die "$table: its rows have another form than this file takes them to have";

sub Camelpost::hook_names { return @names }

1;
