//! Sessions one after the other.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, MAY_LEAVE, ONE_WORKER, SHARED, Who, site};
use crate::play::{one_by_one, play, processes, with_whoami};

#[test]
fn each_session_of_a_worker_finds_what_there_was_at_load_under_either_version() {
    for version in ["0.94\n", "1.00\n"] {
        let site = site(SHARED);
        site.put("config/compat", version);
        let daemon = Daemon::start_in(ONE_WORKER, site);
        let transcript = play(&daemon, &with_whoami(one_by_one(1..6, 3)));
        assert_right(&transcript);
        assert_eq!(processes(&transcript).len(), 1, "{}", daemon.log());
    }
}

#[test]
fn each_session_finds_what_there_was_at_load_where_not_all_of_it_can_be_exchanged() {
    for version in ["0.94\n", "1.00\n"] {
        let site = site(ALL);
        site.put("config/compat", version);
        let daemon = Daemon::start_in(MAY_LEAVE, site);
        assert_right(&play(&daemon, &one_by_one(1..4, 3)));
    }
}

#[test]
fn a_session_with_a_worker_of_its_own_finds_it_too() {
    let daemon = Daemon::start(Who::Camelpost(&["--sessions-per-worker", "1"]), SHARED);
    assert_right(&play(&daemon, &one_by_one(1..5, 3)));
}
