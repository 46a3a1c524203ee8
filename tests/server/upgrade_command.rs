//! `camelpost upgrade`: what it says, and what it leaves as it was. The upgrade itself: upgrade.rs.

use rustix::process::{Pid, Signal};

use crate::control::{ask, assert_refused, text, told};
use crate::daemon::{config, until};
use crate::life::children;
use crate::upgrade::{New, goes_on, replace_program, start};

crate::tests! {
    the_upgrade_command_says_which_process_serves_and_that_one_answers_the_next,
    an_upgrade_by_command_that_fails_to_load_says_why_and_the_old_process_stays,
    an_upgrade_whose_control_socket_cannot_be_made_says_so_and_the_old_process_stays,
    a_second_upgrade_meanwhile_is_refused,
    an_upgrade_that_a_stop_ends_says_so,
    the_upgraded_process_can_be_upgraded_in_turn,
}

/// The pid in what the command has said.
fn upgraded(said: &str) -> New {
    let rest = said.strip_prefix("upgraded: process ").unwrap();
    let pid = rest.split_whitespace().next().unwrap();
    New(Pid::from_raw(pid.parse().unwrap()).unwrap())
}

fn the_upgrade_command_says_which_process_serves_and_that_one_answers_the_next() {
    let mut daemon = start(config(&[("name", "one")]), &[]);
    let mut old = daemon.connect();
    std::fs::write(daemon.path("config/name"), "two").unwrap();
    let said = told(&daemon, &["upgrade"]);
    let new = upgraded(&said);
    assert!(
        said.ends_with(" serves new clients; 1 session goes on in the old one\n"),
        "{said}"
    );
    let shown = told(&daemon, &["status"]);
    assert!(shown.contains(&format!("pid {}", new.0)), "{shown}");
    assert_eq!(daemon.connect().greeted("name"), "two");
    assert_eq!(old.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn an_upgrade_by_command_that_fails_to_load_says_why_and_the_old_process_stays() {
    let daemon = start(config(&[]), &[]);
    let broken = "camelpost: plugins line 3: no plugin x\n";
    std::fs::write(daemon.path("config/fail"), broken).unwrap();
    let output = ask(daemon.dir.path(), &["upgrade"]);
    assert_refused(&output, 1, &["camelpost: plugins line 3: no plugin x"]);
    goes_on(&daemon);
    std::fs::remove_file(daemon.path("config/fail")).unwrap();
    replace_program(&daemon, "no program", 0o644);
    let output = ask(daemon.dir.path(), &["upgrade"]);
    let program = daemon.path("camelpost").display().to_string();
    assert_refused(&output, 1, &["cannot start", &program]);
    goes_on(&daemon);
}

fn an_upgrade_whose_control_socket_cannot_be_made_says_so_and_the_old_process_stays() {
    let dir = config(&[]);
    let at = dir.path().join("at");
    std::fs::create_dir(&at).unwrap();
    let control = at.join("control").display().to_string();
    let daemon = start(dir, &["--control", &control]);
    // Root may write anywhere that is: so the directory is not.
    let moved = daemon.path("moved");
    std::fs::rename(&at, &moved).unwrap();
    let there = moved.join("control").display().to_string();
    let output = ask(daemon.dir.path(), &["upgrade", "--control", &there]);
    let parts = [
        "cannot make the control socket",
        &control,
        "No such file or directory",
        "--control none",
    ];
    assert_refused(&output, 1, &parts);
    std::fs::rename(&moved, &at).unwrap();
    goes_on(&daemon);
    let shown = told(&daemon, &["status", "--control", &control]);
    assert!(shown.contains(&format!("pid {}", daemon.child.id())));
}

fn a_second_upgrade_meanwhile_is_refused() {
    let daemon = start(config(&[]), &[]);
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    let dir = daemon.dir.path().to_owned();
    let first = std::thread::spawn(move || ask(&dir, &["upgrade"]));
    until("the new process runs", || children(daemon.pid()).len() == 2);
    let second = ask(daemon.dir.path(), &["upgrade"]);
    assert_refused(&second, 1, &["already upgrading"]);
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    let first = first.join().unwrap();
    assert_eq!(text(&first.stderr), "");
    let _new = upgraded(text(&first.stdout));
}

fn an_upgrade_that_a_stop_ends_says_so() {
    let mut daemon = start(config(&[]), &["--drain-timeout", "60"]);
    // Its session goes on, but the answer does not wait for it.
    let mut client = daemon.connect();
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    let dir = daemon.dir.path().to_owned();
    let command = std::thread::spawn(move || ask(&dir, &["upgrade"]));
    until("the new process runs", || children(daemon.pid()).len() == 2);
    daemon.signal(Signal::TERM);
    assert_refused(&command.join().unwrap(), 1, &["the service is stopping"]);
    assert_eq!(client.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn the_upgraded_process_can_be_upgraded_in_turn() {
    let daemon = start(config(&[]), &[]);
    let first = upgraded(&told(&daemon, &["upgrade"]));
    let second = upgraded(&told(&daemon, &["upgrade"]));
    assert_ne!(first.0, second.0);
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}
