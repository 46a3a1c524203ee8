//! packaging/camelpost.service: the service starts with what the unit gives it, which setpriv(1) plays
//! here, is never root, and can be managed.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Pid;

use crate::control::{assert_refused, text, told};
use crate::daemon::{Daemon, command, config};
use crate::hygiene::{of_plugins, upgraded};

crate::tests! {
    the_unit_names_a_user_and_the_capabilities_for_a_port_and_for_another_user_s_workers,
    what_the_unit_gives_is_enough_for_a_port_and_a_control_socket_and_a_reload,
}

const UNIT: &str = include_str!("../../packaging/camelpost.service");

/// The number of Debian's user `mail`.
const MAIL: &str = "8";

/// The values of a setting, all lines of it.
fn setting(name: &str) -> Vec<&'static str> {
    let of_setting = |line: &'static str| line.strip_prefix(name)?.strip_prefix('=');
    UNIT.lines().filter_map(of_setting).collect()
}

fn the_unit_names_a_user_and_the_capabilities_for_a_port_and_for_another_user_s_workers() {
    assert_eq!(setting("User"), ["camelpost"]);
    for name in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let expected = "CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_KILL";
        assert_eq!(setting(name), [expected]);
    }
    let [start] = setting("ExecStart")[..] else {
        panic!("not one ExecStart=")
    };
    assert!(
        !start.contains("--user") && !start.contains("-u "),
        "{start}"
    );
    assert!(start.contains(" --worker-user "), "{start}");
    assert_eq!(setting("RuntimeDirectory"), ["camelpost/%N"]);
    // What is checked before it is what it then loads, and as whom.
    let [check] = setting("ExecStartPre")[..] else {
        panic!("not one ExecStartPre=")
    };
    let (_, options) = start.split_once(" serve ").unwrap();
    let of_load = options.replace(" $OPTIONS", "");
    assert_eq!(check, format!("-/usr/bin/camelpost check {of_load}"));
}

/// A port that only root may bind, unless the machine says otherwise.
fn low_address() -> String {
    let free = (600..1000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    let listener = free.expect("a free port below 1000");
    listener.local_addr().unwrap().to_string()
}

fn capabilities(pid: Pid) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of_process = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
    let lines = status.lines().filter_map(|line| line.split_once(":\t"));
    let found = lines.filter(|(name, _)| of_process.contains(name));
    found
        .map(|(name, value)| format!("{name} {value}\n"))
        .collect()
}

/// Runs ExecReload= as systemd does.
fn reload(program: &Path, run: &Path, pid: Pid) -> Output {
    let [words] = setting("ExecReload")[..] else {
        panic!("not one ExecReload=")
    };
    let socket = format!("{}/{pid}.sock", run.display());
    let words = words.replace("/run/camelpost/%N/${MAINPID}.sock", &socket);
    let mut words = words.split(' ');
    assert_eq!(words.next(), Some("/usr/bin/camelpost"));
    Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(words)
        .output()
        .unwrap()
}

fn what_the_unit_gives_is_enough_for_a_port_and_a_control_socket_and_a_reload() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = config(&[]);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let nobody = 65534;
    // As systemd makes it.
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    std::os::unix::fs::chown(&run, Some(nobody), Some(nobody)).unwrap();
    let program = dir.path().join("camelpost");
    let built = std::env::current_exe().unwrap();
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).unwrap();
    }
    let caps = |name: &str| {
        let named = setting(name).concat().to_lowercase();
        let named = named
            .split_whitespace()
            .map(|one| one.replace("cap_", ",+"));
        format!("-all{}", named.collect::<String>())
    };
    let (ambient, bounding) = (caps("AmbientCapabilities"), caps("CapabilityBoundingSet"));
    let address = low_address();
    // Without --user, which only root could change to.
    let plain = command(dir.path(), &["--listen-address", &address, "--user", "x"]);
    let words: Vec<_> = plain
        .get_args()
        .filter(|word| *word != "--user" && *word != "x")
        .collect();
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--no-new-privs",
        ])
        .arg(format!("--inh-caps={ambient}"))
        .arg(format!("--ambient-caps={ambient}"))
        .arg(format!("--bounding-set={bounding}"))
        .arg(&program)
        .args(words)
        .args(["--worker-user", "mail"])
        .env("RUNTIME_DIRECTORY", &run)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    assert_eq!(daemon.address.unwrap().to_string(), address);
    assert!(!daemon.log().contains("no control socket"));
    let none = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
    let none = none
        .map(|name| format!("{name} 0000000000000000\n"))
        .concat();
    // CAP_KILL, CAP_SETGID and CAP_SETUID.
    let kept = none.replace("00\n", "e0\n");
    let look = |daemon: &Daemon, supervisor: Pid| {
        let shown = told(daemon, &["status"]);
        assert!(shown.contains(&format!("pid {supervisor}")), "{shown}");
        assert_eq!(daemon.connect().greeted("uid"), MAIL);
        assert_eq!(capabilities(supervisor), kept);
        assert_eq!(
            of_plugins(daemon, supervisor).map(capabilities),
            [&*none, &none]
        );
    };
    let first = daemon.pid();
    look(&daemon, first);
    let output = reload(&program, &run, first);
    assert_eq!(
        text(&output.stdout),
        "reloaded: generation 2\n",
        "{output:?}"
    );
    let fail = daemon.path("config/fail");
    fs::write(&fail, "camelpost: plugins:1: no plugin\n").unwrap();
    // So `systemctl reload` fails, and says why.
    assert_refused(&reload(&program, &run, first), 1, &["plugins:1: no plugin"]);
    fs::remove_file(fail).unwrap();
    let second = upgraded(&mut daemon);
    look(&daemon, second.0);
    assert!(reload(&program, &run, second.0).status.success());
}
