//! Sessions side by side, in an order that a seed decides.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, ONE_WORKER, Who};
use crate::play::{Script, in_bursts, one_by_one, play, shuffled, usual};

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
fn two_hundred_sessions_in_one_worker_do_not_see_each_other() {
    in_lockstep(3, 200, 3);
}

#[test]
fn sessions_that_hurry_in_one_worker_do_not_see_each_other() {
    let daemon = Daemon::start(ONE_WORKER, ALL);
    assert_right(&play(&daemon, &in_bursts(5, script(4, 40, 4))));
}

#[test]
fn sessions_of_many_workers_do_not_see_each_other() {
    let daemon = Daemon::start(Who::Camelpost(&["--workers", "32"]), ALL);
    assert_right(&play(&daemon, &in_bursts(7, script(6, 80, 3))));
}
