//! The control socket as a file: where it is, whose, and how the commands find it.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::process::Signal;

use crate::control::{ask, assert_refused, socket, told};
use crate::daemon::{Daemon, command, config, wait};

crate::tests! {
    the_socket_is_named_by_the_pid_and_gone_at_the_end,
    the_socket_is_where_it_was_told_to_be,
    the_socket_is_the_service_user_s,
    without_a_socket_the_service_runs,
    a_socket_that_cannot_be_made_is_one_clear_line,
    a_socket_that_the_service_s_user_may_not_make_is_one_clear_line,
    a_socket_in_use_is_one_clear_line_and_goes_on_working,
    a_stale_socket_is_replaced,
    several_daemons_are_listed,
    no_daemon_is_one_clear_line,
    a_daemon_that_was_killed_is_no_daemon,
}

fn the_socket_is_named_by_the_pid_and_gone_at_the_end() {
    let mut daemon = Daemon::start(&[]);
    let path = socket(&daemon);
    let file = std::fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    daemon.signal(Signal::TERM);
    daemon.wait();
    assert!(!path.exists());
}

fn the_socket_is_where_it_was_told_to_be() {
    let dir = config(&[]);
    let path = dir.path().join("here");
    let path = path.to_str().unwrap();
    let daemon = Daemon::start_with(dir, &["--control", path]);
    assert!(!socket(&daemon).exists());
    let shown = told(&daemon, &["status", "--control", path]);
    assert!(shown.contains(&format!("pid {}", daemon.child.id())));
}

fn the_socket_is_the_service_user_s() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let mut daemon = Daemon::start_with(dir, &["--user", "nobody"]);
    let path = socket(&daemon);
    let uid: u32 = daemon.connect().greeted("uid").parse().unwrap();
    assert_ne!(uid, 0);
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), uid);
    assert!(told(&daemon, &["status"]).contains("generation 1"));
    daemon.signal(Signal::TERM);
    daemon.wait();
    assert!(!path.exists());
}

fn without_a_socket_the_service_runs() {
    let dir = config(&[]);
    std::fs::write(dir.path().join("run"), "in the way").unwrap();
    let mut daemon = Daemon::start_with(dir, &[]);
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("no control socket"));
    assert!(
        line.is_some_and(|line| line.contains("/run: Not a directory")),
        "{log}"
    );
    let mut daemon = Daemon::start(&["--control", "none"]);
    assert!(!daemon.path("run").exists());
    assert!(!daemon.log().contains("control socket"));
    assert_refused(
        &ask(daemon.dir.path(), &["status"]),
        3,
        &["no running daemon found"],
    );
}

/// Runs a daemon that is to fail; gives what it says.
fn failing(dir: &Path, args: &[&str]) -> String {
    let mut child = command(dir, args).spawn().unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("camelpost: "), "{text}");
    text
}

fn a_socket_that_cannot_be_made_is_one_clear_line() {
    let dir = config(&[("file", "precious")]);
    let file = dir.path().join("config/file");
    for path in [
        "/nonexistent/control",
        file.to_str().unwrap(),
        "/proc/control",
    ] {
        let said = failing(dir.path(), &["--control", path]);
        assert!(said.contains(path) && said.contains("--control"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

fn a_socket_that_the_service_s_user_may_not_make_is_one_clear_line() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let path = dir.path().join("control").display().to_string();
    let said = failing(dir.path(), &["--user", "nobody", "--control", &path]);
    let why = "permission denied: the user that the service runs as must be able to write";
    assert!(said.contains(&path) && said.contains(why), "{said}");
}

fn a_socket_in_use_is_one_clear_line_and_goes_on_working() {
    let dir = config(&[]);
    let path = dir.path().join("control");
    let path = path.to_str().unwrap();
    let daemon = Daemon::start_with(dir, &["--control", path]);
    let said = failing(daemon.dir.path(), &["--control", path]);
    let pid = format!("the daemon with pid {} listens there", daemon.child.id());
    assert!(said.contains(&pid) && said.contains(path), "{said}");
    assert!(told(&daemon, &["status", "--control", path]).contains("generation 1"));
}

fn a_stale_socket_is_replaced() {
    let dir = config(&[]);
    let path = dir.path().join("control");
    // The file of a listener stays when that is closed.
    drop(UnixListener::bind(&path).unwrap());
    let path = path.to_str().unwrap();
    let mut daemon = Daemon::start_with(dir, &["--control", path]);
    assert!(told(&daemon, &["status", "--control", path]).contains("generation 1"));
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert!(Path::new(path).exists());
    let again = Daemon::start_with(config(&[]), &["--control", path]);
    assert!(told(&again, &["status", "--control", path]).contains("generation 1"));
}

fn several_daemons_are_listed() {
    let one = Daemon::start(&[]);
    let other = command(one.dir.path(), &[]).spawn().unwrap();
    let second = one.path(&format!("run/{}.sock", other.id()));
    let mut other = Daemon::of(other, config(&[]));
    other.wait_until_it_listens();
    let (first, second) = (
        socket(&one).display().to_string(),
        second.display().to_string(),
    );
    let told_apart = |daemon: &Daemon| daemon.address.unwrap().to_string();
    let (here, there) = (told_apart(&one), told_apart(&other));
    let config = one.path("config").display().to_string();
    let parts = [&*first, &second, &here, &there, &config];
    for command in ["reload", "drain", "upgrade"] {
        let output = ask(one.dir.path(), &[command]);
        let all = [&["several daemons"], &parts[..]].concat();
        assert_refused(&output, 3, &all);
    }
    assert_refused(&ask(one.dir.path(), &["ping"]), 2, &parts);
    let shown = told(&one, &["status"]);
    let json = told(&one, &["status", "--json"]);
    let (mine, others) = (one.child.id().to_string(), other.child.id().to_string());
    for part in parts.into_iter().chain([&*mine, &others]) {
        assert!(shown.contains(part), "no {part} in {shown}");
        assert!(json.contains(part), "no {part} in {json}");
    }
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["daemons"].as_array().unwrap().len(), 2);
    let shown = told(&one, &["status", "--control", &second]);
    assert!(shown.contains(&format!("pid {}", other.child.id())));
}

fn no_daemon_is_one_clear_line() {
    let dir = config(&[]);
    for (command, exit) in [
        ("status", 3),
        ("ping", 2),
        ("reload", 3),
        ("upgrade", 3),
        ("drain", 3),
    ] {
        let run = dir.path().join("run").display().to_string();
        assert_refused(
            &ask(dir.path(), &[command]),
            exit,
            &["no running daemon", &run, "--control"],
        );
        let output = ask(dir.path(), &[command, "--control", "/nonexistent/control"]);
        assert_refused(
            &output,
            exit,
            &["no running daemon", "/nonexistent/control"],
        );
    }
}

fn a_daemon_that_was_killed_is_no_daemon() {
    let mut daemon = Daemon::start(&[]);
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert!(socket(&daemon).exists());
    assert_refused(
        &ask(daemon.dir.path(), &["status"]),
        3,
        &["no running daemon found"],
    );
    let next = command(daemon.dir.path(), &[]).spawn().unwrap();
    let mut next = Daemon::of(next, config(&[]));
    next.wait_until_it_listens();
    assert!(!socket(&daemon).exists());
    assert!(told(&daemon, &["status"]).contains(&format!("pid {}", next.child.id())));
}
