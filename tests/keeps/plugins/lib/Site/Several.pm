package Site::Several;

# Several packages in one file.

use strict;

our $count = 0;
sub next_one { return ++$count }

package Site::Several::Second;

my $second = 0;
sub next_one { return ++$second }

package Site::Several::Silent;

$Site::Several::Silent::count = 0;

package Other::Package;

our %table = (n => 0);
sub next_one { return ++$table{n} }

1;
