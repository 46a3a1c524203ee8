//! `camelpost prove`: perl's own test harness over test scripts that each run through
//! `camelpost perl` in a process of its own.

use std::ffi::OsString;

/// App::Prove with every option of it. What prove would give perl on the command line (-I, -l, -b,
/// -w, -t, -T) each test gets here, as it does the switches of its first line that perl wants
/// repeated.
const PROGRAM: &str = r#"
package Camelpost::Prove;
use strict;
use warnings;
use App::Prove;
our @ISA = ('App::Prove');

my $program = shift @ARGV;

sub _get_args {
    my $self = shift;
    my ($args, @rest) = $self->SUPER::_get_args;
    if (!$self->exec) {
        my @switches = map { "-I$_" } @{delete $args->{lib} || []};
        push @switches, ref $args->{switches} ? @{$args->{switches}} : grep { defined } $args->{switches};
        delete $args->{switches};
        $args->{exec} = sub {
            my (undef, $file) = @_;
            return unless -f $file;
            open my $test, '<', $file or return;
            my $first = <$test> // '';
            my @taint = $first =~ /^#!.*\bperl.*\s(-\w*[tT])/ ? $1 =~ /T/ ? '-T' : '-t' : ();
            return [$program, 'perl', @switches, @taint, $file];
        };
    }
    return ($args, @rest);
}

my $app = __PACKAGE__->new;
$app->process_args(@ARGV);
exit($app->run ? 0 : 1);
"#;

/// Runs test scripts: the words of prove's command line after its name. The result is the exit
/// status.
pub fn run(words: Vec<OsString>) -> i32 {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("camelpost: cannot find this program to run the tests with: {error}");
            return 1;
        }
    };
    let mut all: Vec<OsString> = ["camelpost", "-e", PROGRAM, "--"].map(Into::into).to_vec();
    all.push(program.into());
    all.extend(words);
    crate::perl::ffi::interpreter::run(all);
    crate::perl::ffi::interpreter::stop()
}
