# The policy helpers and log levels of Qpsmtpd::Plugin for every setting of
# reject, reject_type, loglevel and the notes they look at.
use strict;
use warnings;
use Probe;
use HookTable;
use Qpsmtpd::Plugin;
use Qpsmtpd::Constants;

package Qpsmtpd::Plugin::example;
our @ISA = ('Qpsmtpd::Plugin');
sub plugin_name { 'example' }

package main;

my ($session, $plugin);

sub fresh {
    my (%args) = @_;
    delete $args{$_} for grep { !defined $args{$_} } keys %args;
    $session = new_session();
    $plugin = Qpsmtpd::Plugin::example->new;
    @$plugin{qw(_qp _hook _args)} = ($session, 'helo', {%args});
}

for my $type (undef, '', '0', qw(perm temp soft hard disconnect temp_disconnect PERM Temp SOFT Hard
    DISCONNECT Temp_Disconnect xtemp temporary permanent disconnects junk 901), "temp\n", 'temp disconnect') {
    for my $arguments ([], ['default'], ['default', 'temp_disconnect'], [DENYSOFT], [undef, 'temp'],
        ['default', 'junk'], [undef, undef], ['default', '']) {
        fresh(reject_type => $type);
        try('get_reject_type(' . show(@$arguments) . ') with reject_type ' . show($type), $session,
            sub { scalar $plugin->get_reject_type(@$arguments) });
    }
}

for my $reject (undef, '', '0', '1', '2', 'yes', 'naughty', 'Naughty') {
    for my $type (undef, 'temp', 'disconnect') {
        for my $arguments ([], ['msg'], ['msg', 'log'], ['', 'log'], ['msg', ''], ['0', '0'], [undef, 'log'], ['msg', 'log', 'third']) {
            fresh(reject => $reject, reject_type => $type);
            try('get_reject(' . show(@$arguments) . ') with ' . show($reject, $type), $session, sub { $plugin->get_reject(@$arguments) });
        }
    }
}
for my $notes ({naughty => 'earlier'}, {naughty => 'earlier', naughty_reject_type => 'perm'}, {naughty => 0}, {rejected => 1}) {
    for my $method (qw(get_reject store_deferred_reject is_naughty)) {
        fresh(reject => 'naughty', reject_type => 'temp');
        $session->{conn}{notes} = {%$notes};
        try("$method with notes", $session, sub { $plugin->$method('msg', 'log') });
        fresh(reject => 'naughty');
        $session->{conn}{notes} = {%$notes};
        try("$method with notes, no type", $session, sub { $plugin->$method('msg', 'log') });
    }
}
fresh();
for my $text ('first', 'second', '', undef, 'last') {
    try('store_deferred_reject ' . show($text), $session, sub { $plugin->store_deferred_reject($text) });
}
fresh();
for my $text ('spf=pass', 'iprev=fail', '', 'dkim=none') {
    try('store_auth_results ' . show($text), $session, sub { $plugin->store_auth_results($text) });
}

for my $state ({}, {relay_client => 1}, {relay_client => 0}, {conn => {whitelisthost => 'why'}}, {conn => {whitelisthost => 0}},
    {txn => {whitelistsender => 'why'}}, {txn => {whitelisthost => 1}}, {conn => {whitelistsender => 1}},
    {conn => {naughty => 'bad'}}, {conn => {whitelisthost => 1}, relay_client => 1},
    {conn => {naughty => 'bad', whitelisthost => 1}}, {conn => {karma => 9}}, {conn => {naughty => 0}}) {
    for my $arguments (['is_immune'], ['is_naughty'], ['is_naughty', 1], ['is_naughty', 0], ['is_naughty', 'text'],
        ['is_naughty', undef], ['is_naughty', '']) {
        my ($method, @arguments) = @$arguments;
        for my $context (qw(list scalar)) {
            fresh();
            $session->{conn}{relay_client} = $state->{relay_client} || 0;
            $session->{conn}{notes}        = {%{$state->{conn} || {}}};
            $session->{txn}{notes}         = {%{$state->{txn}  || {}}};
            try("$context $method(" . show(@arguments) . ')', $session,
                $context eq 'list' ? sub { $plugin->$method(@arguments) } : sub { scalar $plugin->$method(@arguments) });
        }
    }
}

for my $karma (undef, 0, 3, -2) {
    for my $value (1, -1, 0, 2.5) {
        fresh();
        $session->{conn}{notes}{karma} = $karma if defined $karma;
        try("adjust_karma($value)", $session, sub { $plugin->adjust_karma($value) });
    }
}

for my $wanted (undef, '', 0, 1, 7, '+1', '-1', '+3', '-9', '+9', '+0', '-0') {
    for my $level (0, 4, 6, 7) {
        fresh(loglevel => $wanted);
        try('log ' . show($level) . ' with loglevel ' . show($wanted), $session, sub { $plugin->log($level, 'text'); () });
        try('adjust_log_level', $session, sub { scalar $plugin->adjust_log_level($level, 'example') });
    }
}
fresh(loglevel => '+1');
$plugin->log(LOGINFO, 'a', 'list', 'of texts');
$plugin->log(LOGINFO);
$plugin->{_hook} = 'logging';
$plugin->log(LOGINFO, 'not from a logging hook');
delete @$plugin{qw(_hook _args)};
$plugin->log(LOGINFO, 'outside of a hook');
