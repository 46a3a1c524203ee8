//! How often an address may connect, and limits that cannot all be meant.

use crate::daemon::{Daemon, config};
use crate::life::{assert_one_clear_line, failing};

crate::tests! {
    an_address_that_connects_too_often_gets_421_and_the_log_says_so,
    an_address_that_was_refused_for_its_rate_is_welcome_again_later,
    limits_that_contradict_each_other_are_one_clear_line,
    a_rate_that_is_none_is_refused,
}

const TOO_MANY: &str = "421 4.7.0 Too many connections from your address, try again later\r\n";

fn an_address_that_connects_too_often_gets_421_and_the_log_says_so() {
    let mut daemon = Daemon::start(&["--max-rate", "3/3600"]);
    for _ in 0..3 {
        let mut client = daemon.connect();
        assert!(client.greeting.starts_with("220 "));
        assert_eq!(client.end("QUIT"), "221 bye\r\n");
    }
    let mut fourth = daemon.connect();
    assert_eq!(fourth.greeting, TOO_MANY);
    assert_eq!(fourth.rest(), "");
    daemon.wait_for("connections from 127.0.0.1 come too often (over 3/3600)");
}

fn an_address_that_was_refused_for_its_rate_is_welcome_again_later() {
    let daemon = Daemon::start(&["--max-rate", "1/1"]);
    assert!(daemon.connect().greeting.starts_with("220 "));
    crate::daemon::until("the address may connect again", || {
        daemon.connect().greeting.starts_with("220 ")
    });
}

fn limits_that_contradict_each_other_are_one_clear_line() {
    let dir = config(&[]);
    for (args, parts) in [
        (
            ["--limit-connections", "10", "--max-from-ip", "11"],
            ["--max-from-ip 11", "--limit-connections"],
        ),
        (
            ["--workers", "4", "--spare-workers", "9"],
            ["--spare-workers 9", "--workers 4"],
        ),
    ] {
        assert_one_clear_line(failing(dir.path(), &args), &parts);
    }
}

fn a_rate_that_is_none_is_refused() {
    let (status, text) = failing(config(&[]).path(), &["--max-rate", "30"]);
    assert_eq!(status, Some(2));
    assert!(text.contains("`30` is not CONNECTIONS/SECONDS"), "{text}");
}
