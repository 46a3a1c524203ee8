# The same probe script over Camelpost's modules and over the original's, whose
# output is recorded in tests/perl/expected. Where the original is installed, the
# record is checked against it as well. `UPDATE_EXPECTED=1` records anew.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use Test::More;

my $here     = dirname(abs_path(__FILE__));
my $modules  = abs_path("$here/../../perl");
my $original = '/usr/share/perl5';
my $has_original = -r "$original/Qpsmtpd/Plugin.pm";

sub output_over {
    my ($directory, $probe) = @_;
    local $ENV{PROBE_MODULES} = "$directory/Qpsmtpd";
    local $ENV{PERL5LIB};
    delete $ENV{PERL5LIB};
    chdir "$here/fixtures" or die "$here/fixtures: $!";
    open my $pipe, '-|', $^X, "-I$here/lib", "-I$directory", $probe or die "cannot run $^X: $!";
    local $/;
    my $output = <$pipe>;
    close $pipe;
    return $output . ($? ? "exit status $?\n" : '');
}

sub lines_differ {
    my ($got, $want, $name) = @_;
    return pass($name) if $got eq $want;
    my @got  = split /\n/, $got;
    my @want = split /\n/, $want;
    fail($name);
    my $shown = 0;
    for my $i (0 .. ($#got > $#want ? $#got : $#want)) {
        my ($have, $should) = map { $_ // '(end)' } $got[$i], $want[$i];
        next if $have eq $should;
        diag('line ' . ($i + 1) . "\n  got  $have\n  want $should");
        last if ++$shown == 10;
    }
}

for my $probe (sort glob "$here/probes/*.pl") {
    my $name = basename($probe, '.pl');
    my $file = "$here/expected/$name.txt";
    if ($ENV{UPDATE_EXPECTED}) {
        open my $out, '>', $file or die "$file: $!";
        print $out output_over($original, $probe);
        close $out or die "$file: $!";
    }
    open my $in, '<', $file or die "$file: $! (UPDATE_EXPECTED=1 records it)";
    my $recorded = do { local $/; <$in> };
    lines_differ(output_over($modules, $probe), $recorded, "$name: Camelpost answers as recorded from the original");
    lines_differ(output_over($original, $probe), $recorded, "$name: the original still answers as recorded")
      if $has_original;
}
done_testing;
