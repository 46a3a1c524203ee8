//! Sessions that are broken off, interrupted or moved to another process, among others that are not.

use crate::answers::assert_right;
use crate::compared::both;
use crate::daemon::{Daemon, MAY_LEAVE, SHARED, site};
use crate::play::{Act, Script, Transcript, keep, one_by_one, play, shuffled, usual};

fn say(text: &str) -> Act {
    Act::Say(text.to_owned())
}

/// Every third client has these acts between two KEEPs, the others come through; two more follow.
fn among_others(seed: u64, clients: usize, acts: impl Fn(usize) -> Vec<Act>) -> Script {
    let clients_acts = (1..=clients).map(|client| match client % 3 {
        0 => (client, acts(client)),
        _ => (client, usual(client, 3)),
    });
    let mut script = shuffled(seed, clients_acts.collect());
    script.extend(one_by_one(clients + 1..clients + 3, 2));
    script
}

/// KEEP, what breaks, and KEEP again where the session goes on.
fn around(client: usize, breaks: &[&str]) -> Vec<Act> {
    let mut acts = vec![Act::Connect, keep(client, 1)];
    acts.extend(breaks.iter().copied().map(say));
    acts.extend([
        keep(client, 2),
        say("BREAK count"),
        keep(client, 3),
        Act::Quit,
    ]);
    acts
}

fn ends(client: usize, how: Act) -> Vec<Act> {
    vec![Act::Connect, keep(client, 1), keep(client, 2), how]
}

/// Each session with a reply to BREAK count has seen its own BREAKs only.
fn assert_counted(transcript: &Transcript, count: usize) {
    let all = transcript.values().flatten();
    let counts = all.filter(|(line, _)| line == "BREAK count");
    let counts: Vec<&str> = counts.map(|(_, reply)| reply.as_str()).collect();
    assert!(!counts.is_empty());
    let expected = format!("250 {count}");
    assert!(counts.iter().all(|said| **said == expected), "{counts:?}");
}

#[test]
fn a_hook_that_dies_leaves_nothing_to_others_and_all_to_its_session() {
    let dies = |client| around(client, &["BREAK die", "BREAK die_with_object"]);
    for transcript in both(MAY_LEAVE, &among_others(20, 12, dies)) {
        assert_counted(&transcript, 2);
    }
}

#[test]
fn a_hook_that_calls_exit_leaves_nothing_to_others() {
    let exits = |client| ends(client, say("BREAK exit"));
    both(MAY_LEAVE, &among_others(21, 12, exits));
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_to_others() {
    let hangs_up = |client| ends(client, Act::HangUp);
    both(MAY_LEAVE, &among_others(22, 12, hangs_up));
}

#[test]
fn a_session_that_a_plugin_ends_leaves_nothing_to_others() {
    let is_ended = |client| ends(client, say("BREAK disconnect"));
    both(MAY_LEAVE, &among_others(23, 12, is_ended));
}

#[test]
fn a_session_whose_client_is_taken_over_keeps_what_it_has() {
    let is_taken = |client| around(client, &["BREAK take"]);
    for transcript in both(MAY_LEAVE, &among_others(24, 12, is_taken)) {
        assert_counted(&transcript, 1);
    }
}

#[test]
fn a_hook_that_is_over_its_time_leaves_nothing_to_others_and_all_to_its_session() {
    let site = site(SHARED);
    site.put("config/plugin_settings", "breaks timeout 1\n");
    let daemon = Daemon::start_in(MAY_LEAVE, site);
    let late = |client| match client {
        3 => around(client, &["BREAK late"]),
        _ => around(client, &["BREAK die"]),
    };
    let transcript = play(&daemon, &among_others(26, 9, late));
    assert_right(&transcript);
    assert_counted(&transcript, 1);
}

#[test]
fn a_session_that_leaves_its_worker_takes_what_it_has_with_it() {
    let site = site(SHARED);
    site.put("config/plugin_settings", "leaver isolate\n");
    let daemon = Daemon::start_in(MAY_LEAVE, site);
    let leaves = |client| {
        let mut acts = vec![Act::Connect, keep(client, 1), say("WHOAMI"), say("NOOP")];
        acts.extend([say("WHOAMI"), keep(client, 2), keep(client, 3), Act::Quit]);
        acts
    };
    let transcript = play(&daemon, &among_others(27, 12, leaves));
    assert_right(&transcript);
    for client in [3, 6, 9, 12] {
        let said = transcript[&client]
            .iter()
            .filter(|(line, _)| line == "WHOAMI");
        let processes: Vec<_> = said.map(|(_, reply)| reply.rsplit(' ').next()).collect();
        assert_ne!(processes[0], processes[1], "client {client} has not left");
    }
}

#[test]
fn sessions_of_an_isolated_plugin_do_not_see_each_other() {
    let site = site(SHARED);
    site.put("config/plugin_settings", "lexicals isolate\n");
    let daemon = Daemon::start_in(MAY_LEAVE, site);
    let clients = (1..=12).map(|client| (client, usual(client, 3)));
    let mut script = shuffled(28, clients.collect());
    script.extend(one_by_one(13..16, 2));
    assert_right(&play(&daemon, &script));
}
