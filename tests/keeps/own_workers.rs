//! Plugins with variables that cannot be exchanged: their sessions have a process each, without being asked
//! for it, and find what there was at load all the same.

use crate::answers::wrong;
use crate::daemon::{Daemon, MAY_LEAVE, site};
use crate::play::{Script, one_by_one, play, shuffled, usual};

/// Without a logging plugin, which would have the lines.
fn start(plugins: &str) -> Daemon {
    let site = site(plugins);
    site.put("config/logging", "");
    Daemon::start_in(MAY_LEAVE, site)
}

fn side_by_side(seed: u64, sessions: usize, first: usize) -> Script {
    let clients = (first..first + sessions).map(|client| (client, usual(client, 3)));
    shuffled(seed, clients.collect())
}

fn lines(daemon: &Daemon, text: &str) -> usize {
    daemon
        .log()
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

#[test]
fn sessions_with_tied_variables_have_a_process_each_and_the_log_says_so_once() {
    let daemon = start("lexicals\ntied\nanswer\n");
    let mut script = side_by_side(40, 30, 1);
    script.extend(one_by_one(40..43, 3));
    assert_eq!(wrong(&play(&daemon, &script)).len(), 0);
    let told = "plugin tied: its variable";
    assert_eq!(lines(&daemon, told), 1, "{}", daemon.log());
    assert_eq!(lines(&daemon, "plugin lexicals: its variable"), 0);
}

#[test]
fn a_sub_that_a_session_undefines_is_there_for_sessions_that_come_later() {
    for (plugin, sub) in [("undefines", "fragile"), ("redefines", "replaced")] {
        let daemon = start(&format!("{plugin}\nlexicals\nanswer\n"));
        assert_eq!(wrong(&play(&daemon, &one_by_one(1..2, 3))).len(), 0);
        // From then on every session has a process of its own.
        let mut script = one_by_one(2..5, 3);
        script.extend(side_by_side(41, 20, 10));
        assert_eq!(wrong(&play(&daemon, &script)).len(), 0);
        let told = format!("its sub {sub} was undefined");
        assert_eq!(lines(&daemon, &told), 1, "{}", daemon.log());
    }
}
