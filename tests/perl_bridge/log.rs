//! What a log line costs: nothing of Perl's where nobody wants to see it. And Perl's list of hooks, which
//! is the table's.

use camelpost::hook::Hook;

use crate::bridge::Bridge;
use crate::cases;

cases![
    a_line_below_loglevel_runs_no_perl_code_without_a_logging_hook,
    every_line_reaches_a_logging_hook,
    perl_registers_the_hooks_of_the_table_in_its_order,
];

/// An object that logs as a plugin does.
const PLUGIN: &str = r#"
    { package Logs::Lines; our @ISA = 'Qpsmtpd::Plugin'; no warnings 'redefine'; sub plugin_name { 'logs_lines' } }
    my $plugin = bless {_qp => $qp}, 'Logs::Lines';
"#;

fn a_line_below_loglevel_runs_no_perl_code_without_a_logging_hook(bridge: &Bridge) {
    // The bridge's loglevel is 4.
    let text = r#"
        our $asked = 0;
        { package Counted; use overload '""' => sub { $main::asked++; 'a text' }, fallback => 1; }
        my $text = bless {}, 'Counted';
        local $Qpsmtpd::hooks->{logging} = [];
        $plugin->log(LOGDEBUG, $text) for 1 .. 10;
        $qp->log(LOGINFO, $text) for 1 .. 10;
        "asked $asked times""#;
    assert_eq!(bridge.perl(&format!("{PLUGIN}{text}")), "asked 0 times");
    // The chain's own lines, with a hook that would see them.
    let text = r#"
        hook('noop', sub { return DECLINED }) for 1 .. 5;
        $Qpsmtpd::hooks->{logging} = [];
        1"#;
    assert_eq!(bridge.perl(text), "1");
    bridge.run(Hook::Noop).unwrap();
    assert_eq!(bridge.perl("scalar @log"), "0");
}

fn every_line_reaches_a_logging_hook(bridge: &Bridge) {
    let text = r#"
        @log = ();
        $plugin->log(LOGDEBUG, 'below'); $plugin->log(LOGCRIT, 'above');
        "@log""#;
    assert_eq!(bridge.perl(&format!("{PLUGIN}{text}")), "below above");
}

fn perl_registers_the_hooks_of_the_table_in_its_order(bridge: &Bridge) {
    let table: Vec<&str> = Hook::ALL.iter().map(|hook| hook.name()).collect();
    let listed = bridge.perl(r#"join " ", @Qpsmtpd::Plugin::hooks"#);
    assert_eq!(listed.split(' ').collect::<Vec<_>>(), table);
}
