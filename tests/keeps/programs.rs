//! Camelpost by the names of the original's programs, and without a daemon.

use crate::answers::assert_right;
use crate::daemon::{ALL, Daemon, Who};
use crate::play::{one_by_one, play};
use crate::side_by_side::script;

fn serves(who: Who) {
    let daemon = Daemon::start(who, ALL);
    assert_right(&play(&daemon, &one_by_one(1..4, 3)));
    assert_right(&play(&daemon, &script(30, 12, 3)));
}

#[test]
fn as_qpsmtpd_forkserver() {
    serves(Who::Named(
        "qpsmtpd-forkserver",
        &["-m", "300", "-c", "300"],
    ));
}

/// More sessions than processes.
#[test]
fn as_qpsmtpd_prefork() {
    let args = &[
        "--children",
        "2",
        "--idle-children",
        "1",
        "--max-from-ip",
        "300",
    ];
    let daemon = Daemon::start(Who::Named("qpsmtpd-prefork", args), ALL);
    assert_right(&play(&daemon, &one_by_one(1..6, 3)));
}

#[test]
fn as_qpsmtpd_under_inetd() {
    serves(Who::Inetd);
}
