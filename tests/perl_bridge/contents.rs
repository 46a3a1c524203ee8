//! The contents of a plugin object are a session's own.

use camelpost::hook::Hook;
use camelpost::perl::interpreter::count_values;

use crate::bridge::Bridge;
use crate::cases;

cases![
    what_a_session_does_to_a_plugin_object_ends_with_it,
    nested_lists_and_hashes_are_copied,
    objects_and_code_are_shared,
    references_inside_the_contents_stay_what_they_are,
    a_weak_reference_stays_weak,
    a_large_list_is_shared_and_said_so,
    a_closure_over_the_plugin_object_sees_the_sessions_contents,
    what_is_left_of_an_exited_session_goes_with_it,
    a_plugin_object_of_another_form_runs_without_contents,
    a_session_leaves_no_values_behind,
    a_cycle_in_the_contents_goes_with_the_session,
    what_somebody_else_keeps_of_a_cycle_stays_whole,
    a_local_around_the_first_hook_call_is_not_in_what_was_loaded,
    what_a_session_has_left_as_it_was_serves_the_next,
];

/// What `text` makes of `$self` in a session of its own.
fn touch(bridge: &Bridge, text: &str) -> String {
    let text = format!("$touch = sub {{ my $self = shift; no strict; {text} }}; 1");
    assert_eq!(bridge.perl(&text), "1");
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

fn objects_and_code_are_shared(bridge: &Bridge) {
    touch(bridge, "$self->{blessed}{seen}++; 1");
    assert_eq!(touch(bridge, "$self->{blessed}{seen}"), "1");
    assert_eq!(touch(bridge, "$self->{code}->()"), "42");
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
        delete $self->{parent}; \
        join ' ', $weak, $same, defined $self->{child}{parent} ? 'left' : 'gone', \
          scalar @{$self->{outside}}";
    assert_eq!(touch(bridge, look), "weak copy gone 1");
    let again = "join ' ', $self->{child}{parent}{name}, scalar @{$self->{outside}}";
    assert_eq!(touch(bridge, again), "parent 1");
}

fn a_large_list_is_shared_and_said_so(bridge: &Bridge) {
    touch(bridge, "$self->{large}[0] = 'changed'; 1");
    assert_eq!(touch(bridge, "$self->{large}[0]"), "changed");
    let said = "scalar grep { /has_contents: \\d+ large lists are shared/ } @log";
    assert_eq!(bridge.perl(said), "2");
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

fn what_somebody_else_keeps_of_a_cycle_stays_whole(bridge: &Bridge) {
    assert_eq!(
        touch(
            bridge,
            "our $kept = $self->{ring}{next}; $kept->{mark} = 'mine'; 1"
        ),
        "1"
    );
    many(bridge, 3);
    let look = "our $kept; join ' ', $kept->{mark}, $kept->{next}{next}{mark}, \
        exists $self->{ring}{next}{mark} ? 'there' : 'not there'";
    assert_eq!(touch(bridge, look), "mine mine not there");
    assert_eq!(touch(bridge, "our $kept = undef; 1"), "1");
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

fn what_a_session_has_left_as_it_was_serves_the_next(bridge: &Bridge) {
    let text = r#"
        { package Small; sub method { $main::said = $main::touch->($_[0]); main::OK() } }
        { package Told; sub DESTROY { $main::ended++ } }
        my $self = bless {number => 1, list => ['a', [2]], hash => {key => 'value'}}, 'Small';
        our $code = sub { DECLINED };
        Camelpost::own_hook($code, $self, 'method', 'mail');
        our $ended = 0;
        1"#;
    assert_eq!(bridge.perl(text), "1");
    let session = |text: &str| {
        bridge.perl(&format!(
            "our $touch = sub {{ my $self = shift; {text} }}; 1"
        ));
        bridge.session(|| {
            // The table of hooks is put back after each session.
            bridge.perl("our ($code, $said); hook(mail => $code); undef $said; 1");
            bridge.run(Hook::Mail).unwrap();
            bridge.perl("our $said")
        })
    };
    let state = "my @state = ($self->{number}, join('', sort keys %$self), $self->{list}[0], \
        scalar @{$self->{list}}, $self->{list}[1][0], join '', %{$self->{hash}});";
    let pristine = "1 _hook_qphashlistnumber a 2 2 keyvalue";
    let look = format!("{state} qq{{@state}}");
    let place = "0 + $self->{list}";
    assert_eq!(session(&look), pristine);
    let before = session(place);
    // Plain values are set back, and what is new goes.
    for change in [
        "$self->{number} = 'text'",
        "$self->{number} .= 'x'; $self->{list}[0] = 5; $self->{hash}{key}++",
        "$self->{new} = 1; $self->{hash}{new} = [1, {2, 3}]",
        "my $seen = $self->{number} . ''",
    ] {
        session(&format!("{change}; 1"));
        assert_eq!(session(&look), pristine, "after {change}");
        assert_eq!(session(place), before, "after {change}");
    }
    // Where a part of it is somebody else's, has gone or is another, it does not come again.
    for change in [
        "our $kept = $self->{list}; push @$kept, 1",
        "our $kept = \\$self->{number}; $$kept = 9",
        "our $kept = $self->{hash}; Scalar::Util::weaken($kept); $$kept{more} = bless [], 'Told'",
        "delete $self->{number}",
        "push @{$self->{list}}, 3",
        "$self->{list} = {}",
        "$self->{hash} = $self->{list}",
        "$self->{new} = bless [], 'Told'",
        "$self->{new} = [bless [], 'Told']",
        "$self->{list}[1] = bless [], 'Told'",
        "%$self = ()",
    ] {
        session(&format!("{change}; 1"));
        assert_eq!(session(&look), pristine, "after {change}");
        bridge.perl("our $kept; push @$kept, 1 if ref $kept eq 'ARRAY'; 1");
        assert_eq!(session(&look), pristine, "after {change}, later");
    }
    assert_eq!(bridge.perl("our $kept = undef; our $ended"), "4");
}
