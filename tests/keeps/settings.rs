//! `NAME keep` in plugin_settings: the variables of that plugin's file are the worker's, for caches that
//! are to last; what is in its object is the session's all the same.

use crate::daemon::{Daemon, ONE_WORKER, site};

/// What VRFY says in three sessions of one worker, the second and third side by side.
fn counted(settings: &str) -> Vec<String> {
    let site = site("counter\nlexicals\nanswer\n");
    site.put("config/plugin_settings", settings);
    let daemon = Daemon::start_in(ONE_WORKER, site);
    let mut first = daemon.connect();
    let mut said = vec![first.say("VRFY x"), first.say("VRFY x")];
    first.say("QUIT");
    first.rest();
    let mut second = daemon.connect();
    said.push(second.say("VRFY x"));
    let mut third = daemon.connect();
    said.extend([
        third.say("VRFY x"),
        second.say("VRFY x"),
        third.say("VRFY x"),
    ]);
    said.into_iter().map(|text| text[4..].to_owned()).collect()
}

#[test]
fn a_plugin_with_keep_goes_on_counting_in_its_file_and_begins_anew_in_its_object() {
    let counts = counted("counter keep\n");
    assert_eq!(
        counts,
        ["1 1 1", "2 2 2", "3 3 1", "4 4 1", "5 5 2", "6 6 2"]
    );
}

#[test]
fn a_plugin_without_it_begins_anew() {
    let anew = ["1 1 1", "2 2 2", "1 1 1", "1 1 1", "2 2 2", "2 2 2"];
    assert_eq!(counted(""), anew);
    assert_eq!(counted("lexicals keep\n"), anew);
}
