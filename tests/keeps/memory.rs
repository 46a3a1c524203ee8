//! A worker does not grow by what its sessions keep.

use std::fs;

use camelpost_support::wait_for;

use crate::daemon::{Daemon, ONE_WORKER, site};
use crate::play::{one_by_one, play};

/// Those whose sessions make much of what has to go again: containers, objects, closures, subs, modules.
const PLUGINS: &str =
    "object\nlexicals\nglobals\nstructures\ncode\nmodules\nMy::Keeper\nends\nanswer\n";

/// What a process has for itself, in kilobytes.
fn private_memory(pid: &str) -> usize {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<usize>()
                .unwrap()
        })
        .sum()
}

#[test]
fn three_thousand_sessions_do_not_make_a_worker_grow() {
    let site = site(PLUGINS);
    // A logging plugin would be asked a million times.
    site.put("config/logging", "");
    let daemon = Daemon::start_in(ONE_WORKER, site);
    let worker = || {
        let mut client = daemon.connect();
        let said = client.say("WHOAMI");
        client.say("QUIT");
        client.rest();
        said.rsplit(' ').next().unwrap().to_owned()
    };
    let first = worker();
    let at = |count: usize, from: usize| {
        play(&daemon, &one_by_one(from..count, 1));
        assert_eq!(worker(), first, "another worker");
        // What a session leaves goes when its client is gone already.
        wait_for("a calm worker", || {
            let before = private_memory(&first);
            std::thread::sleep(std::time::Duration::from_millis(100));
            (private_memory(&first) == before).then_some(before)
        })
    };
    let early = at(1000, 0);
    let late = at(3000, 1000);
    assert!(late <= early + 1536, "{early} kB, then {late} kB");
}
