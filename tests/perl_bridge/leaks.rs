//! What is used often leaves nothing behind: neither Perl values nor memory.

use camelpost::hook::Hook;
use camelpost::perl::ffi::interpreter::count_values;
use camelpost::perl::release_dropped;

use crate::bridge::Bridge;
use crate::cases;

cases![
    addresses_leave_nothing_behind,
    transactions_leave_nothing_behind,
    connections_leave_nothing_behind,
    notes_leave_nothing_behind,
    bodies_and_handles_leave_nothing_behind,
    calls_that_die_leave_nothing_behind,
    calls_that_exit_leave_nothing_behind,
    log_lines_leave_nothing_behind,
    nested_hooks_leave_nothing_behind,
    chains_that_rust_runs_leave_nothing_behind,
    sessions_leave_nothing_behind,
];

/// Values and memory that a run may add once more, as tables grow.
const VALUES: usize = 60;
const KILOBYTES: usize = 3000;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn stays_flat(run: impl Fn(u32), count: u32) {
    run(count / 20);
    release_dropped().unwrap();
    let (values, memory) = (count_values(), resident());
    run(count);
    release_dropped().unwrap();
    let (values_after, memory_after) = (count_values(), resident());
    assert!(
        values_after <= values + VALUES,
        "{values} values, then {values_after}"
    );
    assert!(
        memory_after <= memory + KILOBYTES,
        "{memory} kB, then {memory_after}"
    );
}

fn perl_stays_flat(bridge: &Bridge, text: &str, count: u32) {
    let run = |count: u32| {
        let text = format!("for my $n (1 .. {count}) {{ {text} }} 'ran'");
        assert_eq!(bridge.perl(&text), "ran");
    };
    stays_flat(run, count);
}

fn addresses_leave_nothing_behind(bridge: &Bridge) {
    let text = r#"my $a = Qpsmtpd::Address->new("<u$n\@d.example>"); $a->notes(n => [$n]);
        my $text = "$a"; $a->{_mine} = $text; my $b = Qpsmtpd::Address->parse('<broken');"#;
    perl_stays_flat(bridge, text, 100_000);
}

fn transactions_leave_nothing_behind(bridge: &Bridge) {
    let text = r#"my $t = Qpsmtpd::Transaction->new; my $a = address('<a@b.example>');
        $t->sender($a); $t->add_recipient($a); $t->add_recipient($a); $t->remove_recipient($a);
        $t->notes(n => {n => $n}); my @r = ($t->recipients, @{$t->{_recipients}});
        $t->{_recipients} = [$a]; $qp->transaction($t);"#;
    perl_stays_flat(bridge, text, 100_000);
}

fn connections_leave_nothing_behind(bridge: &Bridge) {
    let text = r#"my $c = Qpsmtpd::Connection->start(remote_ip => "192.0.2.1", remote_port => $n);
        $c->notes(n => sub { $n }); my $d = $c->clone; $d->hello_host('x'); $qp->connection($c);
        $c->reset;"#;
    perl_stays_flat(bridge, text, 100_000);
}

fn notes_leave_nothing_behind(bridge: &Bridge) {
    let text = r#"my $c = $qp->connection; $c->notes(list => [$n]); $c->notes(text => "x$n");
        $c->notes(code => sub { $n }); my $l = $c->notes('list'); $c->notes(wide => "\x{263a}$n");
        $c->notes(dual => Scalar::Util::dualvar($n, 'x')); my @n = map { $c->notes($_) } qw(code wide dual);"#;
    perl_stays_flat(bridge, text, 100_000);
}

fn bodies_and_handles_leave_nothing_behind(bridge: &Bridge) {
    let text = r#"my $t = Qpsmtpd::Transaction->new; $t->body_write("Subject: x\n\n"); $t->set_body_start;
        $t->body_write("x\n"); my $l = $t->{_body_array}; $t->body_spool; my $h = $t->body_fh;
        $t->body_resetpos; my $d = $t->dup_body_fh; my $line = <$h>; $t->body_getline; $t->body_as_string;"#;
    perl_stays_flat(bridge, text, 5_000);
}

fn calls_that_die_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl(
        "$keep = 0; hook(mail => sub { die {why => [1, 2, 3]} }); hook(mail => sub { die 'text' })",
    );
    let run = |count: u32| {
        for _ in 0..count {
            bridge.run(Hook::Mail).unwrap();
            let _ = release_dropped();
        }
    };
    stays_flat(run, 50_000);
    // The first of them warns, too: once a call, and not on the terminal of who runs this.
    bridge.perl("our $warned = 0");
    let text = "local $SIG{__WARN__} = sub { our $warned++ }; \
        eval { Qpsmtpd::Transaction::notes(undef) }; eval { $qp->dispatch('x') };";
    perl_stays_flat(bridge, text, 100_000);
    assert_eq!(bridge.perl("our $warned"), "105000");
}

fn calls_that_exit_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl(
        "$keep = 0; hook(data => sub { my @list = (1 .. 5); exit 1 }); \
         hook(mail => sub { my %hash = (a => [1]); $qp->run_hooks('data') })",
    );
    let run = |count: u32| {
        for _ in 0..count {
            assert!(bridge.run(Hook::Mail).is_err());
            let _ = release_dropped();
        }
    };
    stays_flat(run, 20_000);
}

fn log_lines_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl("$keep = 0");
    let text = "$qp->log(LOGINFO, 'a', $n, [1]); $qp->varlog(LOGINFO, 'mail', 'plugin', \"x$n\");";
    perl_stays_flat(bridge, text, 100_000);
}

fn nested_hooks_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl(
        "$keep = 0; hook(data => sub { (DENY, \"no\\nnever\", [1]) }); \
         hook(mail => sub { my @r = $_[0]->run_hooks('data', [1], {a => 1}, address('<a@b.example>')); @r })",
    );
    perl_stays_flat(bridge, "my @r = $qp->run_hooks('mail', $n);", 50_000);
}

fn chains_that_rust_runs_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl(
        "$keep = 0; $qp->transaction->notes(a_test => {}); \
         hook(mail => sub { DECLINED }); hook(mail => sub { (DENY, 'x') })",
    );
    let run = |count: u32| {
        for _ in 0..count {
            bridge.run(Hook::Mail).unwrap();
            let _ = release_dropped();
        }
    };
    stays_flat(run, 100_000);
}

fn sessions_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl("$keep = 0; $touch = sub { $_[0]{list} = [1 .. 20]; 1 }");
    let run = |count: u32| {
        for _ in 0..count {
            bridge.session(|| bridge.run(Hook::Help).unwrap());
        }
    };
    stays_flat(run, 20_000);
}
