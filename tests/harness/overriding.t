# Each method of the session that a subclass overrides is called in the place of the host's, with
# the arguments that qpsmtpd gives it, and the host's own is there through SUPER.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Qpsmtpd;
use Qpsmtpd::Constants;

my @calls;

sub shown {
    return join ',', map {
            !defined       ? 'undef'
          : ref eq 'ARRAY' ? '[' . shown(@$_) . ']'
          : ref eq 'HASH'  ? '{' . shown(%$_) . '}'
          : ref            ? ref
          :                  $_
    } @_;
}

# A subclass of its own for each method, which notes the call and passes it on.
sub overriding {
    my $method = shift;
    my $class  = "Overrides::$method";
    no strict 'refs';
    @{"${class}::ISA"} = ('Test::Qpsmtpd');
    *{"${class}::$method"} = sub {
        my $self = shift;
        push @calls, "$method(" . shown(@_) . ')';
        my $super = Test::Qpsmtpd->can($method);
        return $super->($self, @_);
    };
    return $class;
}

my @dialogue = (
    'HELO a',
    'MAIL FROM:<a@b.example> SIZE=7',
    'RCPT TO:<c@example.com>',
    'DATA', 'RSET', 'VRFY x', 'HELP me', 'NOOP', 'BLAH x y', 'QUIT'
);

# The session whose class overrides a method, and what came of a dialogue.
sub session_of {
    my $class = shift;
    @calls = ();
    my $smtpd = $class->new_conn;
    $smtpd->will_send('Subject: s', '', 'b', '.');
    for my $line (@dialogue) {
        $smtpd->dispatch(split / +/, $line, 2);
    }
    return $smtpd;
}

sub codes { return join ' ', map { $_->[0] } @_ }

my $codes = codes(session_of('Test::Qpsmtpd')->said);
is($codes, '220 250 250 250 354 250 250 252 214 250 500 221', 'the dialogue with nothing overridden');

# What a chain without any plugin gives is not what this is about.
my $any   = qr/\d+/;
my $texts = qr/\[[^\]]*\]/;
my %wanted = (
    helo                         => [qr/^helo\(a\)$/],
    mail                         => [qr/^mail\(FROM:<a\@b\.example> SIZE=7\)$/],
    rcpt                         => [qr/^rcpt\(TO:<c\@example\.com>\)$/],
    data                         => [qr/^data\(\)$/],
    rset                         => [qr/^rset\(\)$/],
    vrfy                         => [qr/^vrfy\(x\)$/],
    help                         => [qr/^help\(me\)$/],
    noop                         => [qr/^noop\(\)$/],
    quit                         => [qr/^quit\(\)$/],
    connect_respond              => [qr/^connect_respond\($any,$texts,\[\]\)$/],
    helo_respond                 => [qr/^helo_respond\($any,$texts,\[a\]\)$/],
    mail_parse_respond           => [qr/^mail_parse_respond\($any,$texts,\[FROM:<a\@b\.example> SIZE=7\]\)$/],
    mail_pre_respond             => [qr/^mail_pre_respond\($any,$texts,\[<a\@b\.example>,\{size,7\}\]\)$/],
    rcpt_parse_respond           => [qr/^rcpt_parse_respond\($any,$texts,\[TO:<c\@example\.com>\]\)$/],
    rcpt_pre_respond             => [qr/^rcpt_pre_respond\($any,$texts,\[<c\@example\.com>,\{\}\]\)$/],
    mail_respond                 => [qr/^mail_respond\($any,$texts,\[Qpsmtpd::Address,size,7\]\)$/],
    rcpt_respond                 => [qr/^rcpt_respond\(900,\[\],\[Qpsmtpd::Address\]\)$/],
    data_respond                 => [qr/^data_respond\($any,$texts,\[\]\)$/],
    data_post_respond            => [qr/^data_post_respond\($any,$texts,\[\]\)$/],
    queue                        => [qr/^queue\(Qpsmtpd::Transaction\)$/],
    queue_pre_respond            => [qr/^queue_pre_respond\($any,$texts,\[\]\)$/],
    queue_respond                => [qr/^queue_respond\(900,\[kept\],\[\]\)$/],
    queue_post_respond           => [qr/^queue_post_respond\($any,$texts,\[\]\)$/],
    vrfy_respond                 => [qr/^vrfy_respond\($any,$texts,\[\]\)$/],
    noop_respond                 => [qr/^noop_respond\($any,$texts,\[\]\)$/],
    help_respond                 => [qr/^help_respond\($any,$texts,\[me\]\)$/],
    quit_respond                 => [qr/^quit_respond\($any,$texts,\[\]\)$/],
    unrecognized_command_respond => [qr/^unrecognized_command_respond\($any,$texts,\[blah,x y\]\)$/],
    reset_transaction            => [(qr/^reset_transaction\(\)$/) x 3],
    disconnect                   => [qr/^disconnect\(\)$/],
    received_line                => [qr/^received_line\(/],
    getline                      => [(qr/^getline\(1200\)$/) x 4],
    dispatch                     => [map { my $words = join ',', split / +/, $_, 2; qr/^dispatch\(\Q$words\E\)$/ } @dialogue],
    start_conversation           => [qr/^start_conversation\(\)$/],
);

for my $method (sort keys %wanted) {
    my $smtpd = session_of(overriding($method));
    my @want  = @{$wanted{$method}};
    is(codes($smtpd->said), $codes, "$method: the dialogue is the same");
    my $right = 0;
    $right += grep { $calls[$_] =~ $want[$_] } grep { $_ < @calls } 0 .. $#want;
    # A transaction is reset in more places in one version than in the other.
    my $same = $method eq 'reset_transaction' ? @calls >= @want : @calls == @want;
    ok($same && $right == @want, "$method: called with what qpsmtpd gives it") or diag join "\n", @calls;
}

session_of(overriding('run_hooks'));
my %ran = map { /^run_hooks\((\w+)/ ? ($1 => 1) : () } @calls;
is(join(' ', grep { !$ran{$_} } qw(connect helo mail_parse mail_pre mail rcpt data data_post queue vrfy quit disconnect reset_transaction)),
    '', 'run_hooks: every hook goes through it');

# Those that answer themselves.
{
    package Own;
    our @ISA = ('Test::Qpsmtpd');
    sub mail_respond { my ($self, $code, $texts, $args) = @_; $self->respond(250, "own: " . $args->[0]->address); $self->transaction->sender($args->[0]); return 1 }
    sub noop { my $self = shift; return $self->respond(250, 'own noop') }
    sub helo { die "no greeting today\n" }
    sub config { my ($self, $name) = (shift, @_); return 'own.example' if $name eq 'me'; return $self->SUPER::config(@_) }
}
my $own = Own->new_conn;
like(join(' ', $own->response), qr/^220 own\.example /, 'config: what the session asks goes through it');
is(join(' ', $own->command('HELO a')), "451 Internal error - try again later - command 'helo' failed unexpectedly",
    'a method that dies makes the command fail');
ok((grep { "@$_" =~ /^3 .*no greeting today/ } @{$own->{log}}), 'and is in the log');
is(join(' ', $own->command('NOOP')), '250 own noop', 'a command of one\'s own');
$own->command('EHLO a');
is(join(' ', $own->command('MAIL FROM:<x@y.example>')), '250 own: x@y.example', 'a responder of one\'s own');
is(($own->command('RCPT TO:<c@example.com>'))[0], 250, 'and the dialogue goes on with what it did');
done_testing;
