# Run by `do` each time: its variable is new each time.
my $n = 0;
++$n;
