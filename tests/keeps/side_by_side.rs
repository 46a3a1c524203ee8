//! Sessions side by side, in an order that a seed decides; two hundred of them in tests/keeps/compared.rs.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, MAY_LEAVE, ONE_WORKER, SHARED, Who, site};
use crate::play::{
    Act, Script, in_bursts, keep, one_by_one, play, processes, shuffled, usual, with_whoami,
};

/// So many sessions at a time, then two that are alone.
pub fn script(seed: u64, sessions: usize, rounds: usize) -> Script {
    let clients = (1..=sessions).map(|client| (client, usual(client, rounds)));
    let mut script = shuffled(seed, clients.collect());
    script.extend(one_by_one(sessions + 1..sessions + 3, rounds));
    script
}

/// In one worker.
fn in_lockstep(seed: u64, sessions: usize, rounds: usize) {
    let script = with_whoami(script(seed, sessions, rounds));
    let daemon = Daemon::start(ONE_WORKER, SHARED);
    let transcript = play(&daemon, &script);
    assert_right(&transcript);
    assert_eq!(processes(&transcript).len(), 1, "{}", daemon.log());
}

#[test]
fn two_sessions_in_one_worker_do_not_see_each_other() {
    in_lockstep(1, 2, 5);
}

#[test]
fn thirty_sessions_in_one_worker_do_not_see_each_other() {
    in_lockstep(2, 30, 4);
}

#[test]
fn sessions_that_keep_what_cannot_be_exchanged_do_not_see_each_other() {
    let daemon = Daemon::start(MAY_LEAVE, ALL);
    assert_right(&play(&daemon, &script(1, 20, 4)));
}

#[test]
fn sessions_that_hurry_do_not_see_each_other() {
    let daemon = Daemon::start(ONE_WORKER, SHARED);
    assert_right(&play(&daemon, &in_bursts(5, script(4, 40, 4))));
}

#[test]
fn sessions_of_many_workers_do_not_see_each_other() {
    for plugins in [SHARED, ALL] {
        let daemon = Daemon::start(Who::Camelpost(&["--workers", "32"]), plugins);
        assert_right(&play(&daemon, &in_bursts(7, script(6, 64, 3))));
    }
}

#[test]
fn a_session_keeps_what_it_has_over_a_reload_and_gives_nothing_to_the_next() {
    let site = site(SHARED);
    site.put("config/loglevel", "6\n");
    let daemon = Daemon::start_in(ONE_WORKER, site);
    let mut script = Script::new();
    let mut step = |client, act| script.push(vec![(client, act)]);
    for client in [1, 2] {
        step(client, Act::Connect);
        step(client, keep(client, 1));
    }
    step(1, Act::Quit);
    step(0, Act::Reload);
    step(3, Act::Connect);
    for n in 1..4 {
        step(3, keep(3, n));
        step(2, keep(2, n + 1));
    }
    step(2, Act::Quit);
    step(3, Act::Quit);
    script.extend(one_by_one(4..6, 2));
    assert_right(&play(&daemon, &script));
}
