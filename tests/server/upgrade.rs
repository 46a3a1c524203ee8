//! The upgrade in place: the program on disk takes over the listening sockets, and no client
//! notices. The program is a link to this one, which a test can replace.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::daemon::{Daemon, command, config, until};
use crate::life::{alive, assert_one_clear_line, children};
use crate::status::title;
use crate::systemd::Manager;

crate::tests! {
    an_upgrade_serves_new_clients_from_the_new_process_and_ends_no_session,
    a_client_that_connects_all_the_time_notices_nothing_of_upgrades,
    the_control_socket_and_the_metrics_are_the_new_process_s,
    sessions_are_counted_on_over_upgrades,
    an_upgrade_that_fails_to_load_changes_nothing,
    a_program_that_cannot_be_started_changes_nothing,
    a_program_that_knows_nothing_of_upgrades_changes_nothing,
    a_program_that_never_says_that_it_is_ready_is_ended,
    a_stop_during_an_upgrade_stops_both,
    a_stop_of_the_new_process_ends_the_sessions_of_the_old_one,
    the_new_process_ends_after_the_old_one,
    the_pid_file_that_only_root_could_open_is_handed_over,
    a_service_manager_is_told_of_the_new_process,
    a_detached_service_is_upgraded_where_it_is,
    another_version_of_the_handover_is_refused,
    the_variable_of_an_upgrade_without_one_is_one_clear_line,
}

/// The daemon, started by a path whose program can be replaced, with a pid file.
pub fn start(dir: TempDir, args: &[&str]) -> Daemon {
    let command = replaceable(dir.path(), args);
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    daemon
}

fn replaceable(dir: &Path, args: &[&str]) -> Command {
    let program = dir.join("camelpost");
    // No symbolic link: the service user may not get to where this program was built.
    let built = std::env::current_exe().unwrap();
    if std::fs::hard_link(&built, &program).is_err() {
        std::fs::copy(&built, &program).unwrap();
    }
    let plain = command(dir, args);
    let mut command = Command::new(program);
    command
        .args(plain.get_args())
        .arg("--pid-file")
        .arg(dir.join("pid"))
        .env_remove("NOTIFY_SOCKET")
        .env("RUNTIME_DIRECTORY", dir.join("run"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    command
}

pub fn replace_program(daemon: &Daemon, script: &str, mode: u32) {
    let program = daemon.path("camelpost");
    let new = daemon.path("new");
    std::fs::write(&new, script).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(new, program).unwrap();
}

/// A process that is killed when the test is over.
pub struct New(pub Pid);

impl Drop for New {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl New {
    pub fn ends(&self) {
        until("the new process has ended", || !alive(self.0));
    }
}

/// The process that the pid file names.
fn named(daemon: &Daemon) -> Option<Pid> {
    let text = std::fs::read_to_string(daemon.path("pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Has `old` upgrade itself.
fn upgrade(daemon: &Daemon, old: Pid) -> New {
    kill_process(old, Signal::USR2).unwrap();
    until("the pid file names another process", || {
        named(daemon).is_some_and(|pid| pid != old)
    });
    New(named(daemon).unwrap())
}

/// What a plugin's `$$` is comes but once in the service's life.
fn sessions_are_counted_on_over_upgrades() {
    let mut daemon = start(config(&[]), &[]);
    let number = |daemon: &Daemon| daemon.connect().greeted("number").parse::<u64>().unwrap();
    let mut numbers = vec![number(&daemon), number(&daemon)];
    let mut news: Vec<New> = Vec::new();
    for _ in 0..2 {
        let old = news.last().map_or(daemon.pid(), |new| new.0);
        let new = upgrade(&daemon, old);
        daemon.wait_for(&format!("upgraded: process {} serves new clients", new.0));
        daemon.wait_for("the process before the upgrade has ended");
        news.push(new);
        numbers.extend([number(&daemon), number(&daemon)]);
    }
    assert!(numbers[0] > 1 << 22, "{numbers:?}");
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
}

fn an_upgrade_serves_new_clients_from_the_new_process_and_ends_no_session() {
    let mut daemon = start(config(&[("name", "one")]), &[]);
    let mut old = daemon.connect();
    std::fs::write(daemon.path("config/name"), "two").unwrap();
    let marker = daemon.path("marker");
    let real = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n: >'{}'\nexec '{}' \"$@\"\n",
        marker.display(),
        real.display()
    );
    replace_program(&daemon, &script, 0o755);
    let new = upgrade(&daemon, daemon.pid());
    daemon.wait_for(&format!(
        "upgraded: process {} serves new clients, 1 open sessions go on here",
        new.0
    ));
    until("ps tells the two from each other", || {
        title(daemon.child.id()) == "camelpost: replaced, ends its sessions"
            && title(new.0) == "camelpost: supervisor"
    });
    // It is what is on disk now, not what was started.
    assert!(marker.exists());
    let mut client = daemon.connect();
    assert_eq!(client.greeted("name"), "two");
    assert_eq!(client.end("QUIT"), "221 bye\r\n");
    old.send_line("still here");
    assert_eq!(old.line(), "250 still here\r\n");
    assert!(daemon.child.try_wait().unwrap().is_none());
    assert_eq!(old.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
    daemon.wait_for("the process before the upgrade has ended");
    assert_eq!(named(&daemon), Some(new.0));
    assert_eq!(daemon.connect().greeted("name"), "two");

    kill_process(new.0, Signal::TERM).unwrap();
    new.ends();
    assert!(!daemon.path("pid").exists());
    assert!(TcpStream::connect(daemon.address.unwrap()).is_err());
}

/// Whole sessions, one after the other; how many were not what they should be.
fn connect_until(address: SocketAddr, stop: &AtomicBool) -> (u32, Vec<String>) {
    let mut sessions = 0;
    let mut wrong = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match session(address) {
            Ok(text) if text.starts_with("220 ") && text.ends_with("221 bye\r\n") => {}
            other => wrong.push(format!("{other:?}")),
        }
        sessions += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    (sessions, wrong)
}

fn session(address: SocketAddr) -> std::io::Result<String> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut socket = BufReader::new(socket);
    let mut text = String::new();
    socket.read_line(&mut text)?;
    socket.get_mut().write_all(b"QUIT\r\n")?;
    while socket.read_line(&mut text)? > 0 {}
    Ok(text)
}

fn a_client_that_connects_all_the_time_notices_nothing_of_upgrades() {
    let daemon = start(config(&[]), &["--max-from-ip", "0"]);
    let address = daemon.address.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || connect_until(address, &stop))
        })
        .collect();
    let mut processes = vec![New(daemon.pid())];
    for _ in 0..4 {
        let last = processes.last().unwrap().0;
        processes.push(upgrade(&daemon, last));
        until("the old process has ended", || !alive(last));
        std::thread::sleep(Duration::from_millis(100));
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (sessions, wrong) = client.join().unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(sessions > 10, "only {sessions} sessions");
    }
}

/// Nothing has changed: the old process serves, alone.
pub fn goes_on(daemon: &Daemon) {
    assert_eq!(named(daemon), Some(daemon.pid()));
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    until("only the zygote is left", || {
        children(daemon.pid()).len() == 1
    });
}

/// The pid that `camelpost status` shows for a control socket.
fn asked(control: &str) -> Option<i64> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["status", "--json", "--control", control])
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    status["pid"].as_i64()
}

fn the_control_socket_and_the_metrics_are_the_new_process_s() {
    let dir = config(&[]);
    let control = dir.path().join("control").display().to_string();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = free.local_addr().unwrap();
    drop(free);
    let args = ["--control", &control, "--metrics", &metrics.to_string()];
    let mut daemon = start(dir, &args);
    let mut old = daemon.connect();
    let first = i64::from(daemon.child.id());
    assert_eq!(asked(&control), Some(first));
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgraded: process ");
    let (_, rest) = line.split_once("upgraded: process ").unwrap();
    let pid = rest.split_whitespace().next().unwrap().parse().unwrap();
    let _new = New(Pid::from_raw(pid).unwrap());
    until("the new process is asked", || {
        asked(&control) == Some(pid.into())
    });
    assert_eq!(old.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(asked(&control), Some(pid.into()));
    until("the new process serves the metrics", || {
        let Ok(mut stream) = TcpStream::connect(metrics) else {
            return false;
        };
        let mut line = String::new();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.contains(" 200 ")
    });
}

fn an_upgrade_that_fails_to_load_changes_nothing() {
    let mut daemon = start(config(&[]), &[]);
    std::fs::write(daemon.path("config/fail"), "a broken plugin\n").unwrap();
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    assert!(line.ends_with("a broken plugin"), "{line}");
    goes_on(&daemon);
    std::fs::rename(daemon.path("config/fail"), daemon.path("config/vanish")).unwrap();
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    assert!(line.contains("exit status: 7"), "{line}");
    goes_on(&daemon);
    // And it is not the last try.
    std::fs::remove_file(daemon.path("config/vanish")).unwrap();
    let _new = upgrade(&daemon, daemon.pid());
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn a_program_that_cannot_be_started_changes_nothing() {
    let mut daemon = start(config(&[]), &[]);
    replace_program(&daemon, "no program", 0o644);
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    let program = daemon.path("camelpost");
    assert!(line.contains(program.to_str().unwrap()), "{line}");
    goes_on(&daemon);
}

fn a_program_that_knows_nothing_of_upgrades_changes_nothing() {
    let mut daemon = start(config(&[]), &[]);
    replace_program(&daemon, "#!/bin/sh\nexit 3\n", 0o755);
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    assert!(
        line.contains("ended (exit status: 3) before it said that it is ready"),
        "{line}"
    );
    goes_on(&daemon);
}

fn a_program_that_never_says_that_it_is_ready_is_ended() {
    let mut daemon = start(config(&[]), &["--upgrade-timeout", "1"]);
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    assert!(
        line.contains("within 1 seconds (--upgrade-timeout)"),
        "{line}"
    );
    goes_on(&daemon);
}

fn a_stop_during_an_upgrade_stops_both() {
    let mut daemon = start(config(&[]), &[]);
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    daemon.signal(Signal::USR2);
    let zygote = children(daemon.pid())[0];
    until("the new process runs", || children(daemon.pid()).len() == 2);
    let new = children(daemon.pid())
        .into_iter()
        .find(|pid| *pid != zygote)
        .map(New)
        .unwrap();
    // A second request meanwhile is no second upgrade.
    daemon.signal(Signal::USR2);
    daemon.wait_for("not a time to upgrade");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
    new.ends();
    assert!(!daemon.path("pid").exists());
}

fn a_stop_of_the_new_process_ends_the_sessions_of_the_old_one() {
    let mut daemon = start(config(&[]), &["--drain-timeout", "0"]);
    let mut old = daemon.connect();
    let new = upgrade(&daemon, daemon.pid());
    let mut client = daemon.connect();
    kill_process(new.0, Signal::TERM).unwrap();
    assert_eq!(client.rest(), "421 told to stop\r\n");
    assert_eq!(old.rest(), "421 told to stop\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
    new.ends();
}

/// What is left of a service when its main process has ended, a service manager kills.
fn the_new_process_ends_after_the_old_one() {
    let mut daemon = start(config(&[]), &[]);
    let old = daemon.connect();
    let new = upgrade(&daemon, daemon.pid());
    kill_process(new.0, Signal::TERM).unwrap();
    // The old one's session has its time, and the new one nothing left to do but to wait for it.
    daemon.wait_for("stopping: 1 open sessions may go on");
    drop(old);
    daemon.wait_for("the process before the upgrade has ended");
    new.ends();
    assert_eq!(daemon.wait().code(), Some(0));
}

fn the_pid_file_that_only_root_could_open_is_handed_over() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    // The program and the config must be there for another user, too.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = start(dir, &["--user", "nobody"]);
    let uid = daemon.connect().greeted("uid").to_owned();
    assert_ne!(uid, "0");
    kill_process(daemon.pid(), Signal::USR2).unwrap();
    until("the pid file names another process", || {
        named(&daemon).is_some_and(|pid| pid != daemon.pid())
    });
    let new = New(named(&daemon).unwrap());
    assert_eq!(daemon.wait().code(), Some(0));
    assert_eq!(daemon.connect().greeted("uid"), uid);
    kill_process(new.0, Signal::TERM).unwrap();
    new.ends();
    assert_eq!(std::fs::read_to_string(daemon.path("pid")).unwrap(), "");
}

fn a_service_manager_is_told_of_the_new_process() {
    let dir = config(&[]);
    let mut command = replaceable(dir.path(), &[]);
    let manager = Manager::new(dir.path(), &mut command);
    command.env("WATCHDOG_USEC", "100000");
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    manager.hears_line("READY=1");
    std::fs::write(daemon.path("config/fail"), "broken").unwrap();
    daemon.signal(Signal::USR2);
    manager.hears_line("RELOADING=1");
    let failed = manager.hears_line("READY=1");
    assert!(failed.contains("STATUS=Upgrade failed: broken"), "{failed}");
    std::fs::remove_file(daemon.path("config/fail")).unwrap();

    let mut open = daemon.connect();
    let new = upgrade(&daemon, daemon.pid());
    manager.hears_line("RELOADING=1");
    // First by the process that systemd knows, then by the new one.
    let pid = format!("MAINPID={}", new.0);
    assert_eq!(manager.hears_line(&pid), pid);
    let ready = manager.hears_line(&pid);
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    manager.hears_line("WATCHDOG=1");
    open.end("QUIT");
    assert_eq!(daemon.wait().code(), Some(0));
    kill_process(new.0, Signal::TERM).unwrap();
    manager.hears_line("STOPPING=1");
    new.ends();
}

fn a_detached_service_is_upgraded_where_it_is() {
    let dir = config(&[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = free.to_string();
    let args = ["--detach", "--listen-address", &address];
    let command = replaceable(dir.path(), &args);
    // What was started ends once its child serves.
    let mut daemon = Daemon::spawn(dir, command);
    assert!(daemon.wait().success());
    daemon.address = Some(free);
    let old = New(named(&daemon).unwrap());
    let new = upgrade(&daemon, old.0);
    old.ends();
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    kill_process(new.0, Signal::TERM).unwrap();
    new.ends();
}

fn another_version_of_the_handover_is_refused() {
    let mut daemon = start(config(&[]), &[]);
    let real = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nCAMELPOST_UPGRADE='99 0' exec '{}' \"$@\"\n",
        real.display()
    );
    replace_program(&daemon, &script, 0o755);
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgrade failed, this process goes on");
    let parts = ["hands over by version 99", "start it again"];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    goes_on(&daemon);
}

fn the_variable_of_an_upgrade_without_one_is_one_clear_line() {
    let dir = config(&[]);
    let mut child = command(dir.path(), &[])
        .env("CAMELPOST_UPGRADE", "1 0")
        .spawn()
        .unwrap();
    let status = crate::daemon::wait(&mut child);
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
    assert_one_clear_line((status.code(), text), &["CAMELPOST_UPGRADE", "unset it"]);
}
