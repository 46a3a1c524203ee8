//! Sessions one after the other in one worker.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, ONE_WORKER, Who, site};
use crate::play::{one_by_one, play};

#[test]
fn each_session_finds_what_there_was_at_load() {
    let daemon = Daemon::start(ONE_WORKER, ALL);
    assert_right(&play(&daemon, &one_by_one(1..6, 3)));
}

#[test]
fn each_session_finds_what_there_was_at_load_under_either_version() {
    for version in ["0.94\n", "1.00\n"] {
        let site = site(ALL);
        site.put("config/compat", version);
        let daemon = Daemon::start_in(ONE_WORKER, site);
        assert_right(&play(&daemon, &one_by_one(1..4, 3)));
    }
}

#[test]
fn a_session_with_a_worker_of_its_own_finds_it_too() {
    let daemon = Daemon::start(Who::Camelpost(&["--sessions-per-worker", "1"]), ALL);
    assert_right(&play(&daemon, &one_by_one(1..5, 3)));
}
