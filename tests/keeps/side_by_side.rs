//! Sessions side by side, in an order that a seed decides; two hundred of them in tests/keeps/compared.rs.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, ONE_WORKER, Who, site};
use crate::play::{Act, Script, in_bursts, keep, one_by_one, play, shuffled, usual};

/// So many sessions at a time, then two that are alone.
pub fn script(seed: u64, sessions: usize, rounds: usize) -> Script {
    let clients = (1..=sessions).map(|client| (client, usual(client, rounds)));
    let mut script = shuffled(seed, clients.collect());
    script.extend(one_by_one(sessions + 1..sessions + 3, rounds));
    script
}

fn in_lockstep(seed: u64, sessions: usize, rounds: usize) {
    let daemon = Daemon::start(ONE_WORKER, ALL);
    assert_right(&play(&daemon, &script(seed, sessions, rounds)));
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
fn sessions_that_hurry_in_one_worker_do_not_see_each_other() {
    let daemon = Daemon::start(ONE_WORKER, ALL);
    assert_right(&play(&daemon, &in_bursts(5, script(4, 40, 4))));
}

#[test]
fn sessions_of_many_workers_do_not_see_each_other() {
    let daemon = Daemon::start(Who::Camelpost(&["--workers", "32"]), ALL);
    assert_right(&play(&daemon, &in_bursts(7, script(6, 64, 3))));
}

#[test]
fn a_session_keeps_what_it_has_over_a_reload_and_gives_nothing_to_the_next() {
    let site = site(ALL);
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
