//! Sockets beside the daemon's that are none of it: what they say does nothing to a terminal, and
//! those that another user or process has put there are not believed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use camelpost_support::until;
use serde_json::{Value, json};

use crate::control::{ask, assert_refused, socket, text, told};
use crate::daemon::{Daemon, config};

crate::tests! {
    what_a_forged_status_would_do_to_a_terminal_is_shown,
    a_forged_error_does_nothing_to_a_terminal,
    a_socket_with_the_number_of_another_process_is_not_believed,
    a_number_that_a_process_has_in_a_container_counts_unless_that_has_users_of_its_own,
    the_socket_of_a_user_who_does_not_own_the_directory_is_not_believed,
}

const EVIL: &str = "\u{1b}]0;PWNED\u{7}\u{1b}[31m0.1.0\nforged line\u{9b}2J";
const SHOWN: &str = r"\u{1b}]0;PWNED\u{7}\u{1b}[31m0.1.0\nforged line\u{9b}2J";

/// Answers each request on this socket with this, while the test runs.
fn answer(path: &Path, reply: &Value) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(path).unwrap();
    let reply = format!("{reply}\n");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            // A probe says nothing and wants nothing.
            if stream.read_line(&mut line).is_ok_and(|len| len > 0) {
                let _ = stream.get_mut().write_all(reply.as_bytes());
            }
        }
    });
}

/// What a daemon says, with something of ours in it.
fn forged() -> Value {
    let daemon = Daemon::start(&[]);
    let status = told(&daemon, &["status", "--json", "--sessions", "--plugins"]);
    let mut status: Value = serde_json::from_str(&status).unwrap();
    status["version"] = json!(1);
    status["result"] = json!("status");
    status["program"] = json!(EVIL);
    status["queue_outcomes"] = json!({ EVIL: 1 });
    status["plugins"] = json!([{
        "plugin": EVIL, "hook": EVIL, "calls": 1, "died": 0, "late": 0, "ended": 0,
        "nanoseconds": 1, "verdicts": { EVIL: 1 }, "durations": [],
    }]);
    status
}

fn own_name() -> String {
    format!("{}.sock", std::process::id())
}

fn what_a_forged_status_would_do_to_a_terminal_is_shown() {
    let dir = config(&[]);
    answer(&dir.path().join("run").join(own_name()), &forged());
    for args in [
        &["status", "--plugins"][..],
        &["status", "--json", "--plugins"],
        &["top", "--once"],
    ] {
        let output = ask(dir.path(), args);
        assert!(output.status.success(), "{output:?}");
        let shown = text(&output.stdout);
        for line in shown.lines() {
            assert!(!line.starts_with("forged"), "{shown}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        if args == ["status", "--plugins"] {
            assert!(shown.contains(SHOWN), "{shown}");
        }
    }
}

fn a_forged_error_does_nothing_to_a_terminal() {
    let dir = config(&[]);
    let reply = json!({"version": 1, "result": "failed", "error": "no\u{1b}[31m\u{7}"});
    answer(&dir.path().join("run").join(own_name()), &reply);
    assert_refused(&ask(dir.path(), &["reload"]), 1, &[r"no\u{1b}[31m\u{7}"]);
}

fn a_socket_with_the_number_of_another_process_is_not_believed() {
    let dir = config(&[]);
    let run = dir.path().join("run");
    answer(&run.join("424242.sock"), &forged());
    let path = run.join("424242.sock").display().to_string();
    let named: [&[&str]; 2] = [&["status"], &["status", "--control", &path]];
    for args in named {
        let output = ask(dir.path(), args);
        assert_refused(&output, 3, &["not believed", &path, "424242"]);
    }
    // Beside the daemon's own it is no hindrance.
    let daemon = Daemon::start(&[]);
    let beside = daemon.path("run/424242.sock");
    answer(&beside, &forged());
    assert!(told(&daemon, &["status"]).contains(&format!("pid {}", daemon.child.id())));
}

/// Listens as process 1 of namespaces of its own, and answers each request.
const FIRST: &str = r#"use IO::Socket::UNIX;
    my $socket = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 9) or die $!;
    while (my $client = $socket->accept) {
        defined <$client> and print $client qq({"version":1,"result":"failed","error":"I am $$"}\n);
    }"#;

fn a_number_that_a_process_has_in_a_container_counts_unless_that_has_users_of_its_own() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let own_users = &["--user", "--map-root-user"][..];
    for (more, is_believed) in [(&[][..], true), (own_users, false)] {
        let dir = config(&[]);
        let path = dir.path().join("1.sock");
        let mut child = std::process::Command::new("unshare")
            .args(more)
            .args(["--pid", "--fork", "--kill-child", "perl", "-e", FIRST])
            .arg(&path)
            .spawn()
            .unwrap();
        until("it listens", || {
            path.exists() || child.try_wait().unwrap().is_some()
        });
        let path = path.display().to_string();
        let output = ask(dir.path(), &["status", "--control", &path]);
        let ended = child.try_wait().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        if ended.is_some() {
            println!("namespaces {more:?} cannot be made here");
            continue;
        }
        match is_believed {
            true => assert_refused(&output, 1, &["I am 1"]),
            false => assert_refused(&output, 3, &["not believed", &path, "the name says 1"]),
        }
    }
}

fn the_socket_of_a_user_who_does_not_own_the_directory_is_not_believed() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    let open = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), mode).unwrap();
    };
    open(0o1777);
    let path = dir.path().join("control").display().to_string();
    let site = config(&[]);
    let allowed = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.path(), allowed).unwrap();
    let daemon = Daemon::start_with(site, &["--user", "nobody", "--control", &path]);
    let output = ask(dir.path(), &["status", "--control", &path]);
    let uid = daemon.connect().greeted("uid").to_owned();
    assert_refused(&output, 3, &["not believed", &path, &format!("user {uid}")]);
    assert!(!socket(&daemon).exists());
    rustix::fs::chown(
        dir.path(),
        Some(rustix::fs::Uid::from_raw(uid.parse().unwrap())),
        None,
    )
    .unwrap();
    open(0o755);
    let shown = told(&daemon, &["status", "--control", &path]);
    assert!(shown.contains("generation 1"), "{shown}");
}
