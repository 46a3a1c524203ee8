//! Under a service manager: what it is told, and the sockets that it passes. It is played by the
//! test, through the environment and descriptors that systemd uses.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::daemon::{Client, Daemon, command, config, wait};
use crate::life::{assert_one_clear_line, children};

crate::tests! {
    readiness_reloads_and_the_stop_are_told,
    a_service_manager_that_watches_hears_signs_of_life,
    what_is_meant_for_the_supervisor_is_not_passed_on_to_plugins,
    a_notify_socket_that_is_none_does_not_stop_the_service,
    sockets_that_are_passed_are_used_and_clients_that_waited_are_served,
    sockets_that_are_passed_to_another_process_are_not_taken,
    a_command_line_that_names_other_addresses_than_the_sockets_is_one_clear_line,
    a_command_line_that_names_the_addresses_of_the_sockets_is_no_contradiction,
    a_descriptor_that_is_no_listening_socket_is_one_clear_line,
    a_descriptor_that_is_not_there_is_one_clear_line,
}

const PATIENCE: Duration = Duration::from_secs(10);

/// The service manager's end.
pub struct Manager(UnixDatagram);

impl Manager {
    /// Listens in `dir`, and has `command` told so.
    pub fn new(dir: &Path, command: &mut Command) -> Manager {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        command.env("NOTIFY_SOCKET", path);
        Manager(socket)
    }

    pub fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let len = self.0.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// The next message with this line, whatever comes before it.
    pub fn hears_line(&self, line: &str) -> String {
        for _ in 0..100 {
            let message = self.hears();
            if message.lines().any(|other| other == line) {
                return message;
            }
        }
        panic!("the service manager never heard {line}");
    }
}

fn readiness_reloads_and_the_stop_are_told() {
    let dir = config(&[("wait", "")]);
    let mut command = command(dir.path(), &[]);
    let manager = Manager::new(dir.path(), &mut command);
    let mut daemon = Daemon::spawn(dir, command);
    assert_eq!(manager.hears(), "STATUS=Loading the plugins");
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    let ready = manager.hears();
    daemon.wait_until_it_listens();
    let (pid, address) = (daemon.child.id(), daemon.address.unwrap());
    assert_eq!(
        ready,
        format!("READY=1\nMAINPID={pid}\nSTATUS=Listening on {address}; load 1")
    );

    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    };
    let before = now();
    daemon.signal(Signal::HUP);
    let reloading = manager.hears_line("RELOADING=1");
    let at = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="))
        .unwrap_or_else(|| panic!("no time in {reloading}"));
    assert!((before..=now()).contains(&at.parse().unwrap()));
    assert!(manager.hears_line("READY=1").contains("load 2"));

    std::fs::write(daemon.path("config/fail"), "no plugin `x`\nsecond line").unwrap();
    daemon.signal(Signal::HUP);
    manager.hears_line("RELOADING=1");
    let ready = manager.hears_line("READY=1");
    assert!(ready.ends_with("\nSTATUS=Reload failed, what was loaded stays: no plugin `x`"));

    let mut client = daemon.connect();
    daemon.signal(Signal::TERM);
    assert_eq!(
        manager.hears(),
        "STOPPING=1\nSTATUS=Stopping: 1 open sessions"
    );
    client.end("QUIT");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_service_manager_that_watches_hears_signs_of_life() {
    let dir = config(&[]);
    let mut command = command(dir.path(), &[]);
    command.env("WATCHDOG_USEC", "100000");
    let manager = Manager::new(dir.path(), &mut command);
    let daemon = Daemon::spawn(dir, command);
    for _ in 0..5 {
        manager.hears_line("WATCHDOG=1");
    }
    // Stopped, it says nothing more, whatever is still under way.
    daemon.signal(Signal::STOP);
    manager
        .0
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut buffer = [0; 4096];
    let silent = (0..100).any(|_| manager.0.recv(&mut buffer).is_err());
    assert!(silent, "signs of life of a stopped process");
}

fn what_is_meant_for_the_supervisor_is_not_passed_on_to_plugins() {
    let dir = config(&[]);
    let mut command = command(dir.path(), &[]);
    command.env("WATCHDOG_USEC", "60000000");
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let manager = Manager::new(dir.path(), &mut command);
    let daemon = Daemon::spawn(dir, command);
    manager.hears_line("READY=1");
    let zygote = children(daemon.pid())[0];
    let environment = std::fs::read(format!("/proc/{zygote}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"] {
        assert!(!environment.contains(name), "{name} in {environment}");
    }
}

fn a_notify_socket_that_is_none_does_not_stop_the_service() {
    let dir = config(&[]);
    for socket in ["vsock:2:9", "/nonexistent/notify", ""] {
        let mut command = command(dir.path(), &[]);
        command.env("NOTIFY_SOCKET", socket);
        let mut daemon = Daemon::spawn(config(&[]), command);
        daemon.wait_until_it_listens();
        assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
    }
}

/// The daemon with descriptors 3 and 4, as systemd starts it.
fn activated(dir: &Path, three: OwnedFd, four: OwnedFd, args: &[&str]) -> Command {
    let plain = command(dir, &["--listen-address", "127.0.0.1:1"]);
    let mut words: Vec<String> = plain
        .get_args()
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let at = words.iter().position(|word| word == "--listen-address");
    words.drain(at.unwrap()..at.unwrap() + 2);
    words.extend(args.iter().map(|word| (*word).to_owned()));
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().unwrap())
        .args(words)
        .env("LISTEN_FDS", "2")
        .env("RUNTIME_DIRECTORY", dir.join("run"))
        .env("LISTEN_FDNAMES", "smtp:submission")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::from(three))
        .stdout(Stdio::from(four))
        .stderr(Stdio::piped());
    command
}

fn two_sockets() -> [TcpListener; 2] {
    [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
}

fn sockets_that_are_passed_are_used_and_clients_that_waited_are_served() {
    let sockets = two_sockets();
    let addresses = [0, 1].map(|n| sockets[n].local_addr().unwrap());
    let mut early = Client::without_greeting(addresses[1]);
    let [three, four] = sockets.map(OwnedFd::from);
    let dir = config(&[]);
    let command = activated(dir.path(), three, four, &[]);
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    assert!(early.line().starts_with("220 "));
    for address in addresses {
        let mut client = Client::connect(address);
        assert_eq!(client.greeted("local"), address.to_string());
        assert_eq!(client.greeted("blocking"), "true");
        assert_eq!(client.end("QUIT"), "221 bye\r\n");
    }
    early.end("QUIT");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

fn sockets_that_are_passed_to_another_process_are_not_taken() {
    let dir = config(&[]);
    let mut command = command(dir.path(), &[]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "2");
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

/// Runs one that is to fail.
fn fails(mut command: Command) -> (Option<i32>, String) {
    use std::io::Read;
    let mut child = command.spawn().unwrap();
    let status = wait(&mut child);
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut text).unwrap();
    (status.code(), text)
}

fn a_command_line_that_names_other_addresses_than_the_sockets_is_one_clear_line() {
    for args in [["--listen-address", "127.0.0.9:25"], ["--port", "25"]] {
        let [three, four] = two_sockets().map(OwnedFd::from);
        let dir = config(&[]);
        let outcome = fails(activated(dir.path(), three, four, &args));
        assert_one_clear_line(outcome, &["the service manager passes", "--listen-address"]);
    }
}

fn a_command_line_that_names_the_addresses_of_the_sockets_is_no_contradiction() {
    let sockets = two_sockets();
    let named = [0, 1].map(|n| sockets[n].local_addr().unwrap().to_string());
    let [three, four] = sockets.map(OwnedFd::from);
    let dir = config(&[]);
    let args = ["-l", &named[0], "-l", &named[1]];
    let command = activated(dir.path(), three, four, &args);
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn a_descriptor_that_is_no_listening_socket_is_one_clear_line() {
    let [three, _] = two_sockets().map(OwnedFd::from);
    let four = UdpSocket::bind("127.0.0.1:0").unwrap().into();
    let dir = config(&[]);
    let outcome = fails(activated(dir.path(), three, four, &[]));
    assert_one_clear_line(
        outcome,
        &[
            "descriptor 4 (submission)",
            "not a stream socket",
            "ListenStream=",
        ],
    );
}

fn a_descriptor_that_is_not_there_is_one_clear_line() {
    let dir = config(&[]);
    let [three, four] = two_sockets().map(OwnedFd::from);
    let mut command = activated(dir.path(), three, four, &[]);
    command.env("LISTEN_FDS", "3");
    assert_one_clear_line(fails(command), &["descriptor 5 is not open"]);
}
