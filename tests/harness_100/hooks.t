# The table of hooks, the chains that scripts start themselves, and what these return.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../harness/lib";
use Test::More;
use Qpsmtpd::Constants;
use Qpsmtpd::Plugin;
use Test::Qpsmtpd;

{
    # A session that knows the last reply: what its respond returns.
    package Session;
    our @ISA = ('Test::Qpsmtpd');
    sub respond { my $self = shift; $self->{last} = [@_]; return $self->{last} }
    sub log { my ($self, @line) = @_; push @{$self->{logged}}, [@line] if $line[0] < LOGDEBUG(); return }
    sub varlog { return }
    *LOGDEBUG = \&Qpsmtpd::Constants::LOGDEBUG;
}

sub hook {
    my ($hook, @answers) = @_;
    Qpsmtpd->hooks->{$hook} = [map { my $answer = $_; {name => 'of_test', code => ref $answer eq 'CODE' ? $answer : sub { @$answer }} } @answers];
    return;
}

#
# hooks
#

my $base = bless {}, 'Qpsmtpd';
is_deeply($base->hooks, {}, 'before anything is loaded the table is empty');
is_deeply(Qpsmtpd::hooks(), {}, 'also when hooks is called as a function');
is_deeply(scalar $base->hooks('noop'), [], 'the list of a hook that nobody has is empty');
is_deeply([$base->hooks('noop')], [], 'in list context, too');
hook(noop => [DECLINED], [OK]);
is($base->hooks('noop'), Qpsmtpd->hooks->{noop}, 'the list of a hook is that of the table');
is(scalar(() = $base->hooks('noop')), 2, 'in list context its entries');

#
# register_hook
#

{
    package Registers;
    our @ISA = ('Qpsmtpd::Plugin');
    sub plugin_name { return 'registers' }
    sub asked { my $self = shift; return 'asked ' . $self->hook_name . ' ' . ref($self->qp) . " @_" }
}
my $smtpd  = Session->new;
my $plugin = Registers->new;
ok(!eval { $plugin->register_hook('no_such_hook', 'asked'); 1 }, 'a hook that there is not');
like($@, qr/^registers: Invalid hook: no_such_hook/, 'is refused by its name, before there is a session');
$plugin->{_qp} = $smtpd;
$plugin->register_hook('noop', 'asked');
is($smtpd->hooks->{noop}[-1]{name}, 'registers', 'a hook is registered under the name of the plugin, at the end');
is($smtpd->hooks->{noop}[-1]{code}->($smtpd, 'a', 'b'), 'asked noop Session a b', 'its code calls the method');
$plugin->register_hook('noop', sub { return 'code' }, 1);
is($smtpd->hooks->{noop}[0]{code}->($smtpd), 'code', 'or a code reference, and stands first where that is wanted');
$smtpd->_register_hook('noop', 'whatever it is');
is($smtpd->hooks->{noop}[-1], 'whatever it is', '_register_hook takes an entry as it is');
%{Qpsmtpd->hooks} = ();

#
# run_hooks
#

is_deeply([$base->run_hooks('none')], [0, ''], 'a hook that nobody has returns no verdict');
is_deeply([$smtpd->run_hooks_no_respond('none')], [0, ''], 'neither where nobody answers');
hook(received_line => [OK, "two\nlines", 'and more']);
is_deeply([$smtpd->run_hooks('received_line')], [OK, 'two', 'lines', 'and more'], 'a hook that the session does not answer gives its verdict');
is(scalar $smtpd->run_hooks('received_line'), 3, 'in scalar context the number of texts');

hook(connect => [DECLINED]);
is(ref $smtpd->run_hooks('connect'), 'ARRAY', 'what the session answers gives what its respond returned');
is($smtpd->run_hooks('connect')->[0], 220, 'which was the greeting');
like($smtpd->run_hooks('connect')->[1], qr/ ESMTP qpsmtpd \Q@{[$smtpd->version]}\E ready/, 'in the name of the original, for scripts that look');
hook(connect => [DENY, 'no']);
is_deeply([$smtpd->run_hooks('connect')], [], 'nothing where the session has ended');
is_deeply($smtpd->{last}, [550, 'no'], 'after a reply');
my ($code, $text) = $base->hook_responder('of nobody', [OK, 'a text']);
is_deeply([$code, $text], [OK, 'a text'], 'a verdict that nobody answers is its responder\'s value');
is($smtpd->hook_responder('connect', [OK, 'a text'])->[0], 220, 'one that is answered gives the reply');

#
# run_continuation
#

sub dies_with {
    my ($todo, $expected, $name) = @_;
    $smtpd->{_continuation} = $todo;
    ok(!eval { $smtpd->run_continuation; 1 }, $name);
    like($@, qr/^\Q$expected\E/, 'is an error');
}
dies_with(undef, "No continuation in progress\n", 'a chain that nobody has put off');
dies_with([], 'No hook in the continuation', 'one without a hook');
dies_with(['helo'], 'No hook args in the continuation', 'one without arguments');

for my $case (
    ['a refusal', [550, 'no'], 0, [[DENY, 'no']]],
    ['a refusal that ends the session', [550, 'no'], 1, [[DENY_DISCONNECT, 'no']]],
    ['a temporary one', [450, 'later'], 0, [[DENYSOFT, 'later']]],
    ['the second plugin\'s', [550, 'no'], 0, [[DECLINED], [DENY, 'no']]],
    ['the one after a plugin that died', [550, 'no'], 0, [sub { die "oops\n" }, [DENY, 'no']], [LOGCRIT, 'FATAL PLUGIN ERROR [of_test]: ', 'oops']],
    ['the one after a plugin that returned nothing', [550, 'no'], 0, [[undef], [DENY, 'no']], [LOGERROR, 'Plugin of_test, hook helo returned undef!']],
    ['the one after a verdict that there is not', [550, 'no'], 0, [[4711], [DENY, 'no']], [LOGERROR, 'Plugin of_test, hook helo returned 4711']],
) {
    my ($name, $reply, $ends, $answers, @logged) = @$case;
    hook(helo => @$answers);
    $smtpd = Session->new;
    $smtpd->{_continuation} = ['helo', ['client.example'], @{delete Qpsmtpd->hooks->{helo}}];
    $smtpd->run_continuation;
    is_deeply($smtpd->{last}, $reply, "a chain that goes on: $name");
    is($smtpd->connection->notes('disconnected') ? 1 : 0, $ends, $ends ? 'which was its end' : 'and the session goes on');
    is_deeply([grep { $_->[0] <= LOGERROR } @{$smtpd->{logged} || []}], \@logged, 'with its line in the log') if @logged;
    ok(!Qpsmtpd->hooks->{helo}, 'the table is as it was');
}

#
# The beginning of everything
#

{
    my @loaded;
    no warnings 'redefine';
    local *Qpsmtpd::_load_plugin = sub { push @loaded, $_[1]; return $_[1] };
    local $Qpsmtpd::LOGGING_LOADED = 0;
    hook(logging => [OK]);
    is_deeply([$base->load_logging], [], 'with a logger in the table none is loaded');
    hook(queue => [OK]);
    $smtpd->load_plugins;
    is_deeply(\@loaded, [], 'with a plugin that queues no plugin is');
}
Session->new(restart => 1);
is_deeply(Qpsmtpd->hooks, {}, 'a session that is made with restart empties the table');
done_testing;
