//! What a plugin keeps, in its object and elsewhere, is a session's own: how the exchange treats values.

use camelpost::hook::Hook;
use camelpost::perl::ffi::interpreter::count_values;

use crate::bridge::Bridge;
use crate::cases;

cases![
    what_a_session_does_to_a_plugin_object_ends_with_it,
    nested_lists_and_hashes_are_copied,
    references_inside_the_contents_stay_what_they_are,
    a_weak_reference_stays_weak,
    objects_are_exchanged_and_code_is_shared,
    a_large_list_holds_again_what_it_held,
    variables_hold_again_what_they_held,
    a_session_that_is_set_aside_finds_all_as_it_was,
    a_hundred_thousand_sessions_leave_nothing_behind,
    a_closure_over_the_plugin_object_sees_the_sessions_contents,
    what_is_left_of_an_exited_session_goes_with_it,
    a_plugin_object_of_another_form_runs_without_contents,
    a_session_leaves_no_values_behind,
    a_cycle_in_the_contents_goes_with_the_session,
    a_local_around_the_first_hook_call_is_not_in_what_was_loaded,
];

/// What `text` makes of `$self` in a session of its own.
fn touch(bridge: &Bridge, text: &str) -> String {
    let text = format!("$touch = sub {{ my $self = shift; no strict; {text} }}; 1");
    assert_eq!(bridge.perl(&text), "1");
    // What the test itself has set is what the session begins with.
    bridge.host.note_site();
    bridge.session(|| {
        let verdict = bridge.run(Hook::Help).unwrap();
        let text = verdict
            .values
            .first()
            .cloned()
            .flatten()
            .unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn what_a_session_does_to_a_plugin_object_ends_with_it(bridge: &Bridge) {
    let change = "$self->{number} = 2; $self->{new} = 1; delete $self->{parent}; 'done'";
    assert_eq!(touch(bridge, change), "done");
    let look = "join ' ', $self->{number}, exists $self->{new} ? 1 : 0, $self->{parent}{name}";
    assert_eq!(touch(bridge, look), "1 0 parent");
    assert_eq!(touch(bridge, "%$self = (); 'emptied'"), "emptied");
    assert_eq!(touch(bridge, look), "1 0 parent");
}

fn nested_lists_and_hashes_are_copied(bridge: &Bridge) {
    let change = "push @{$self->{nested}{list}[1]}, 4; $self->{nested}{hash}{a} = 'c'; 1";
    touch(bridge, change);
    let look =
        r#"join ' ', @{$self->{nested}{list}[1]}, $self->{nested}{hash}{a}, $self->{"\x{263a}"}"#;
    assert_eq!(touch(bridge, look), "2 3 b wide");
}

fn objects_are_exchanged_and_code_is_shared(bridge: &Bridge) {
    assert_eq!(touch(bridge, "++$self->{blessed}{seen}"), "1");
    assert_eq!(
        touch(bridge, "ref($self->{blessed}) . $self->{blessed}{seen}"),
        "Has::Contents0"
    );
    assert_eq!(
        touch(
            bridge,
            "bless $self->{blessed}, 'Other'; ref $self->{blessed}"
        ),
        "Other"
    );
    assert_eq!(touch(bridge, "ref $self->{blessed}"), "Has::Contents");
    assert_eq!(touch(bridge, "$self->{code}->()"), "42");
}

fn a_large_list_holds_again_what_it_held(bridge: &Bridge) {
    for change in [
        "$self->{large}[0] = 'changed'",
        "$_ = 'changed' for @{$self->{large}}",
        "@{$self->{large}} = reverse @{$self->{large}}",
        "@{$self->{large}} = sort { $b <=> $a } @{$self->{large}}",
        "splice @{$self->{large}}, 3, 5, 'changed'",
        "my $first = \\$self->{large}[1]; $$first .= 'changed'",
        "shift @{$self->{large}}; pop @{$self->{large}}",
        "$#{$self->{large}} = 5",
        "undef @{$self->{large}}",
        "(my $one, @{$self->{large}}[1, 2]) = @{$self->{large}}",
        "$self->{large}[30_000] = 1",
        "each @{$self->{large}}",
        "local $self->{large}[7] = 'changed'; delete $self->{large}[8]",
    ] {
        touch(bridge, &format!("{change}; 1"));
        let look = "my ($i) = each @{$self->{large}}; my $n = 0; \
            $n += $self->{large}[$_] == $_ + 1 for 0 .. 19_999; join ' ', $i, $n, scalar @{$self->{large}}";
        assert_eq!(touch(bridge, look), "0 20000 20000", "after: {change}");
    }
}

/// Values of all forms in the variables of the plugin's file, which a session changes in all ways.
const LOOK: &str = "Qpsmtpd::Plugin::has_contents::look()";

fn variables_hold_again_what_they_held(bridge: &Bridge) {
    let before = touch(bridge, LOOK);
    for change in [
        "1",
        "2.5",
        "'text'",
        "\"w\\x{263a}de\"",
        "undef",
        "[1]",
        "\\1",
        "*STDOUT",
        "sub { 1 }",
        "qr/x/",
        "v1.2.3",
        "\\my @list",
        "bless {}, 'Other'",
        "'0 but true'",
        "1e300",
        "-1",
        "~0",
    ] {
        let text = format!("Qpsmtpd::Plugin::has_contents::change(sub {{ {change} }}); 1");
        assert_eq!(touch(bridge, &text), "1", "{change}");
        assert_eq!(touch(bridge, LOOK), before, "after: {change}");
    }
}

fn a_session_that_is_set_aside_finds_all_as_it_was(bridge: &Bridge) {
    let host = &bridge.host;
    bridge.perl("$touch = sub { $_[0]{number}++; Qpsmtpd::Plugin::has_contents::step() }; 1");
    host.note_site();
    let step = || {
        let verdict = bridge.run(Hook::Help).unwrap();
        String::from_utf8_lossy(&verdict.values[0].clone().unwrap()).into_owned()
    };
    let expected: Vec<String> = (0..3).map(|_| String::new()).collect();
    let alone: Vec<String> = bridge.session(|| expected.iter().map(|_| step()).collect());
    let idle = host.begin_session(host.present.port(), &[]).unwrap();
    let mut seen = vec![vec![step()], Vec::new()];
    let first = host.end_turn(idle.clone()).unwrap();
    let idle = host.begin_session(host.present.port(), &[]).unwrap();
    seen[1].push(step());
    let second = host.end_turn(idle.clone()).unwrap();
    let mut waiting = [Some(first), Some(second)];
    for turn in [0, 1, 1, 0] {
        host.begin_turn(waiting[turn].take().unwrap(), &[]).unwrap();
        seen[turn].push(step());
        waiting[turn] = Some(host.end_turn(idle.clone()).unwrap());
    }
    for belongings in waiting.into_iter().flatten() {
        host.begin_turn(belongings, &[]).unwrap();
        host.end_session(idle.clone()).unwrap();
    }
    assert_eq!(seen, [alone.clone(), alone]);
}

fn a_hundred_thousand_sessions_leave_nothing_behind(bridge: &Bridge) {
    bridge.perl(
        "$keep = 0; $touch = sub { $_[0]{number}++; Qpsmtpd::Plugin::has_contents::step() }; 1",
    );
    bridge.host.note_site();
    let before = many(bridge, 1000);
    let after = many(bridge, 100_000);
    assert!(after <= before + 20, "{before} values, then {after}");
}

fn references_inside_the_contents_stay_what_they_are(bridge: &Bridge) {
    let look = "join ' ', $self->{again} == $self->{nested}{list} ? 'same' : 'other', \
        $self->{myself} == $self ? 'self' : 'other'";
    assert_eq!(touch(bridge, look), "same self");
    let depth = "my ($n, $at) = (0, $self->{deep}); while (@$at) { $at = $at->[0]; $n++ } $n";
    assert_eq!(touch(bridge, depth), "5000");
}

fn a_weak_reference_stays_weak(bridge: &Bridge) {
    let look = "my $weak = Scalar::Util::isweak($self->{child}{parent}) ? 'weak' : 'strong'; \
        my $same = $self->{child}{parent} == $self->{parent} ? 'copy' : 'other'; \
        push @{$self->{outside}}, 1; \
        join ' ', $weak, $same, scalar @{$self->{outside}}";
    assert_eq!(touch(bridge, look), "weak copy 1");
    // One that a session has made itself lets go at once.
    let own = "my $strong = {}; $self->{child}{parent} = $strong; \
        Scalar::Util::weaken($self->{child}{parent}); undef $strong; \
        defined $self->{child}{parent} ? 'left' : 'gone'";
    assert_eq!(touch(bridge, own), "gone");
    let again = "join ' ', $self->{child}{parent}{name}, scalar @{$self->{outside}}";
    assert_eq!(touch(bridge, again), "parent 0");
}

fn a_closure_over_the_plugin_object_sees_the_sessions_contents(bridge: &Bridge) {
    assert_eq!(
        touch(bridge, "$self->{number} = 3; $self->{closure}->()"),
        "3"
    );
    assert_eq!(touch(bridge, "$self->{closure}->()"), "1");
    let stored = "$self->{late} = sub { $self->{number}++ }; $self->{late}->(); $self->{number}";
    assert_eq!(touch(bridge, stored), "2");
    assert_eq!(
        touch(bridge, "exists $self->{late} ? 'there' : 'gone'"),
        "gone"
    );
}

fn what_is_left_of_an_exited_session_goes_with_it(bridge: &Bridge) {
    bridge.perl("$touch = sub { $_[0]{number} = 9; exit 1 }");
    bridge.session(|| assert!(bridge.run(Hook::Help).is_err()));
    assert_eq!(touch(bridge, "$self->{number}"), "1");
}

fn a_plugin_object_of_another_form_runs_without_contents(bridge: &Bridge) {
    let text = r#"
        require Tie::Hash;
        { package Tied; our @ISA = 'Tie::StdHash'; sub FIRSTKEY { die } sub FETCH { $_[0]{$_[1]} } }
        { package Plain; sub method { main::OK() } }
        tie my %tied, 'Tied';
        for my $self (bless([], 'Plain'), bless(\%tied, 'Plain'), bless({}, 'Plain'), 'Plain') {
            my $code = sub { DECLINED };
            Camelpost::own_hook($code, $self, 'method', 'mail');
            hook(mail => $code);
        }
        1"#;
    assert_eq!(bridge.perl(text), "1");
    bridge.session(|| bridge.run(Hook::Mail).unwrap());
}

fn many(bridge: &Bridge, count: usize) -> usize {
    for _ in 0..count {
        bridge.session(|| bridge.run(Hook::Help).unwrap());
    }
    count_values()
}

fn a_cycle_in_the_contents_goes_with_the_session(bridge: &Bridge) {
    let look = "join ' ', $self->{ring}{next}{next} == $self->{ring} ? 'round' : 'open', \
        $self->{ring}{list}[1][0] == $self->{ring}{list} ? 'round' : 'open'";
    assert_eq!(touch(bridge, look), "round round");
    bridge.perl("$keep = 0; $touch = sub { $_[0]{ring}{next}{seen}++; push @{$_[0]{ring}{list}}, [$_[0]{ring}]; 1 }");
    let before = many(bridge, 50);
    let after = many(bridge, 1000);
    let left = bridge.perl("scalar @{$has_contents->{ring}{list}}");
    assert!(
        after <= before + 20,
        "{before} values, then {after}; {left} of 2 elements in what was loaded"
    );
    assert_eq!(touch(bridge, look), "round round");
}

fn a_local_around_the_first_hook_call_is_not_in_what_was_loaded(bridge: &Bridge) {
    let text = r#"
        $touch = sub {
            my $self = shift;
            my @seen = ($self->{number}, exists $self->{fresh} ? 'fresh' : '-', scalar @{$self->{nested}{list}});
            $self->{number}++; push @{$self->{nested}{list}}, 'of a session';
            return join ' ', @seen;
        };
        our $plugin = $has_contents;
        our $around = sub {
            local $plugin->{number} = 70;
            local $plugin->{fresh} = 1;
            local $plugin->{nested} = {list => []};
            return $_[0] ? $around->(0) : ($qp->run_hooks_no_respond('help'))[1];
        };
        1"#;
    assert_eq!(bridge.perl(text), "1");
    bridge.host.note_site();
    for deep in [0, 1] {
        let said = bridge.session(|| bridge.perl(&format!("$around->({deep})")));
        assert_eq!(said, "70 fresh 0");
        let said = bridge.session(|| bridge.perl("($qp->run_hooks_no_respond('help'))[1]"));
        assert_eq!(said, "1 - 2", "after {deep}");
        assert_eq!(bridge.perl("exists $plugin->{fresh} ? 'fresh' : '-'"), "-");
    }
}

fn a_session_leaves_no_values_behind(bridge: &Bridge) {
    bridge.perl("$keep = 0; $touch = sub { $_[0]{number}++; $_[0]{list} = [1 .. 10]; 1 }");
    let before = many(bridge, 50);
    let after = many(bridge, 1000);
    assert!(after <= before + 20, "{before} values, then {after}");
}
