//! The daemon's own life: start, errors at the start, reload, stop.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use camelpost_support::wait_for;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::daemon::{Client, Daemon, command, config, until, wait};

crate::tests! {
    port_taken_is_one_clear_line,
    a_port_taken_while_plugins_load_is_one_clear_line,
    an_unknown_user_is_one_clear_line,
    root_without_a_user_to_become_is_one_clear_line,
    what_the_plugins_said_when_they_failed_to_load_is_passed_on_as_it_is,
    a_loader_that_vanishes_is_one_clear_line,
    the_port_does_not_listen_before_plugins_are_loaded,
    root_gives_up_its_rights_before_plugins_are_loaded,
    a_pid_file_that_the_service_user_may_not_remove_is_emptied,
    staying_root_is_warned_about,
    sigterm_stops_and_removes_the_pid_file,
    a_session_that_is_open_at_the_stop_is_told_so,
    a_session_that_hangs_at_the_stop_is_cut_off_by_the_second_signal,
    sigterm_while_plugins_load_stops_at_once,
    a_pid_file_of_a_running_daemon_refuses_the_start,
    detach_returns_when_the_service_listens,
    detach_passes_on_a_failure,
    a_reload_serves_new_sessions_from_the_new_load_and_ends_no_old_one,
    a_reload_that_fails_changes_nothing,
    a_zygote_that_is_killed_is_replaced_and_ends_no_session,
    zygote_and_idle_workers_end_with_a_killed_supervisor,
    the_zygote_is_not_for_users,
}

/// Runs a daemon that is to fail; gives its status and stderr.
pub fn failing(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut child = command(dir, args).spawn().unwrap();
    let status = wait(&mut child);
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    (status.code(), text)
}

pub fn assert_one_clear_line(outcome: (Option<i32>, String), parts: &[&str]) {
    let (status, text) = outcome;
    assert_eq!(status, Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("camelpost: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

pub fn alive(pid: Pid) -> bool {
    // A zombie that its new parent has not reaped yet has ended too.
    test_kill_process(pid).is_ok()
        && std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
}

/// The children of a process.
pub fn children(pid: Pid) -> Vec<Pid> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().unwrap()))
        .collect()
}

fn port_taken_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = failing(config(&[]).path(), &["--listen-address", &address]);
    assert_one_clear_line(outcome, &[&address, "the port is taken", "--port"]);
}

fn a_port_taken_while_plugins_load_is_one_clear_line() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let dir = config(&[("wait", "")]);
    let mut daemon = Daemon::begin(dir, &["--listen-address", &free]);
    until("the zygote runs", || !children(daemon.pid()).is_empty());
    // Both say SO_REUSEADDR: this one may bind too, and listens first.
    let _taken = TcpListener::bind(&free).unwrap();
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    let line = daemon.wait_for("");
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(line.starts_with(&format!(
        "camelpost: cannot listen on {free}: the port is taken"
    )));
}

fn an_unknown_user_is_one_clear_line() {
    let outcome = failing(config(&[]).path(), &["--user", "no-such-user"]);
    assert_one_clear_line(outcome, &["no user no-such-user", "--user"]);
}

fn root_without_a_user_to_become_is_one_clear_line() {
    let no_smtpd = !std::fs::read_to_string("/etc/passwd")
        .unwrap()
        .contains("\nsmtpd:");
    if !(rustix::process::geteuid().is_root() && no_smtpd) {
        println!("needs root, and no user smtpd");
        return;
    }
    let dir = config(&[]);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["serve", "--listen-address", "127.0.0.1:0", "--config"])
        .arg(dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_one_clear_line((status.code(), text), &["smtpd", "--user"]);
}

fn what_the_plugins_said_when_they_failed_to_load_is_passed_on_as_it_is() {
    let message = "config/plugins line 3: no plugin `frobnicate`\n  searched: ./plugins\n";
    let dir = config(&[("fail", message)]);
    let pid_file = dir.path().join("pid");
    let outcome = failing(dir.path(), &["--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(outcome, (Some(1), message.to_string()));
    assert!(!pid_file.exists());
}

fn a_loader_that_vanishes_is_one_clear_line() {
    let outcome = failing(config(&[("vanish", "")]).path(), &[]);
    assert_one_clear_line(outcome, &["exit status: 7", "before all were loaded"]);
}

fn the_port_does_not_listen_before_plugins_are_loaded() {
    // The port is only known from the log once it listens, so take one that was free.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let dir = config(&[("wait", "")]);
    let args = ["--listen-address", &free.to_string()];
    let mut daemon = Daemon::begin(dir, &args);
    until("the zygote runs", || !children(daemon.pid()).is_empty());
    for _ in 0..20 {
        assert!(TcpStream::connect(free).is_err());
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    daemon.wait_until_it_listens();
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn root_gives_up_its_rights_before_plugins_are_loaded() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let mut daemon = Daemon::start(&["--user", "nobody"]);
    assert!(
        daemon
            .log()
            .contains("Running as user nobody, group nogroup")
    );
    let client = daemon.connect();
    assert_ne!(client.greeted("uid"), "0");
    let zygote = children(daemon.pid())[0];
    let status = std::fs::read_to_string(format!("/proc/{zygote}/status")).unwrap();
    let uid = client.greeted("uid");
    assert!(
        status.contains(&format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}")),
        "{status}"
    );
}

fn a_pid_file_that_the_service_user_may_not_remove_is_emptied() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    let pid_file = dir.path().join("pid");
    let args = ["--user", "nobody", "--pid-file", pid_file.to_str().unwrap()];
    let mut daemon = Daemon::start_with(dir, &args);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), "");
}

fn staying_root_is_warned_about() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let mut daemon = Daemon::start(&["--user", "root"]);
    daemon.wait_for("running as root");
}

fn sigterm_stops_and_removes_the_pid_file() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = config(&[]);
        let pid_file = dir.path().join("pid");
        let mut daemon = Daemon::start_with(dir, &["--pid-file", pid_file.to_str().unwrap()]);
        let text = std::fs::read_to_string(&pid_file).unwrap();
        assert_eq!(text, format!("{}\n", daemon.child.id()));
        let zygote = children(daemon.pid())[0];
        let mut client = daemon.connect();
        let worker = Pid::from_raw(client.pid()).unwrap();
        client.end("QUIT");
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0));
        assert!(!pid_file.exists());
        assert!(!alive(zygote) && !alive(worker));
        assert!(TcpStream::connect(daemon.address.unwrap()).is_err());
    }
}

fn a_session_that_is_open_at_the_stop_is_told_so() {
    let mut daemon = Daemon::start(&["--drain-timeout", "0"]);
    let mut client = daemon.connect();
    daemon.signal(Signal::TERM);
    assert_eq!(client.rest(), "421 told to stop\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_session_that_hangs_at_the_stop_is_cut_off_by_the_second_signal() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send_line("HANG");
    std::thread::sleep(Duration::from_millis(100));
    daemon.signal(Signal::TERM);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    daemon.signal(Signal::TERM);
    assert_eq!(
        client.rest(),
        "421 4.3.2 Service is shutting down, closing connection\r\n"
    );
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!alive(Pid::from_raw(client.pid()).unwrap()));
}

fn sigterm_while_plugins_load_stops_at_once() {
    let mut daemon = Daemon::begin(config(&[("wait", "")]), &[]);
    until("the zygote runs", || !children(daemon.pid()).is_empty());
    let zygote = children(daemon.pid())[0];
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    until("the zygote has ended", || !alive(zygote));
}

fn a_pid_file_of_a_running_daemon_refuses_the_start() {
    let dir = config(&[]);
    let pid_file = dir.path().join("pid");
    let pid_file = pid_file.to_str().unwrap();
    // The check looks at the name of the program, and this is a test of it.
    let mut sleeper = std::process::Command::new("sh")
        .args(["-c", "read line", "camelpost"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // A process that has just begun with its program has no words for a moment.
    let words = format!("/proc/{}/cmdline", sleeper.id());
    wait_for("its words", || {
        let words = std::fs::read_to_string(&words).ok()?;
        words.contains("camelpost").then_some(())
    });
    std::fs::write(pid_file, format!("{}\n", sleeper.id())).unwrap();
    let outcome = failing(dir.path(), &["--pid-file", pid_file]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert_one_clear_line(
        outcome,
        &["already running with pid", pid_file, "--pid-file"],
    );
    let _daemon = Daemon::start_with(dir, &["--pid-file", pid_file]);
}

fn detach_returns_when_the_service_listens() {
    let dir = config(&[]);
    let pid_file = dir.path().join("pid");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (address, file) = (free.to_string(), pid_file.to_str().unwrap());
    let outcome = failing(
        dir.path(),
        &["--listen-address", &address, "--pid-file", file, "--detach"],
    );
    // The log up to here, to a stderr that is closed then: reading it came to its end.
    assert_eq!(outcome.0, Some(0), "{}", outcome.1);
    assert!(outcome.1.contains(&format!("Listening on {free}")));
    let pid: i32 = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
    assert_eq!(Client::connect(free).end("QUIT"), "221 bye\r\n");
    kill_process(pid, Signal::TERM).unwrap();
    until("the daemon has ended", || !alive(pid));
    assert!(!pid_file.exists());
}

fn detach_passes_on_a_failure() {
    let dir = config(&[("fail", "no plugin\n")]);
    assert_eq!(
        failing(dir.path(), &["--detach"]),
        (Some(1), "no plugin\n".to_string())
    );
}

fn a_reload_serves_new_sessions_from_the_new_load_and_ends_no_old_one() {
    let mut daemon = Daemon::start_with(config(&[("name", "one")]), &[]);
    let mut old = daemon.connect();
    assert_eq!(old.greeted("name"), "one");
    std::fs::write(daemon.path("config/name"), "two").unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for(" reloaded");
    assert_eq!(daemon.connect().greeted("name"), "two");
    old.send_line("still here");
    assert_eq!(old.line(), "250 still here\r\n");
    assert_eq!(old.end("QUIT"), "221 bye\r\n");
    daemon.wait_for(&format!("cleaning up after {}", old.pid()));
    until("the old zygote has ended", || {
        children(daemon.pid()).len() == 1
    });
    assert!(!daemon.log().contains("died"));
}

fn a_reload_that_fails_changes_nothing() {
    let mut daemon = Daemon::start_with(config(&[("name", "one")]), &[]);
    let zygote = children(daemon.pid());
    std::fs::write(daemon.path("config/fail"), "a broken plugin").unwrap();
    daemon.signal(Signal::HUP);
    let line = daemon.wait_for("reload failed, what was loaded stays");
    assert!(line.contains("a broken plugin"));
    assert_eq!(daemon.connect().greeted("name"), "one");
    until("only the old zygote is left", || {
        children(daemon.pid()) == zygote
    });
}

fn a_zygote_that_is_killed_is_replaced_and_ends_no_session() {
    let mut daemon = Daemon::start(&[]);
    let mut old = daemon.connect();
    let zygote = children(daemon.pid())[0];
    kill_process(zygote, Signal::KILL).unwrap();
    daemon.wait_for("the zygote ended");
    until("another zygote runs", || {
        children(daemon.pid())
            .first()
            .is_some_and(|pid| *pid != zygote)
    });
    old.send_line("still here");
    assert_eq!(old.line(), "250 still here\r\n");
    for _ in 0..4 {
        assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    }
    // Its death is seen although no zygote reaps it.
    kill_process(Pid::from_raw(old.pid()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(
        old.rest(),
        "421 4.3.0 Internal error, closing connection\r\n"
    );
}

fn zygote_and_idle_workers_end_with_a_killed_supervisor() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let worker = Pid::from_raw(client.pid()).unwrap();
    client.end("QUIT");
    let zygote = children(daemon.pid())[0];
    daemon.signal(Signal::KILL);
    daemon.wait();
    until("zygote and worker have ended", || {
        !alive(zygote) && !alive(worker)
    });
}

fn the_zygote_is_not_for_users() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("zygote")
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_one_clear_line((status.code(), text), &["camelpost serve"]);
}
