//! What plugins get of whoever starts the service, and what they can see of it: no descriptors, no
//! environment of root's shell, no look into the supervisor. Also after an upgrade.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::daemon::{Client, Daemon, command, config};
use crate::life::children;

crate::tests! {
    what_was_open_at_the_start_is_open_in_no_process_of_plugins,
    plugins_have_the_environment_of_the_service_s_user,
    an_environment_that_nobody_changes_the_user_of_keeps_its_home,
    nobody_but_root_looks_into_a_supervisor,
    no_new_privileges_is_a_setting,
}

/// A directory that other users may enter.
fn open_config() -> TempDir {
    let dir = config(&[]);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// The daemon by a program of its own, which another user may start, with `first` before it.
fn started(dir: TempDir, first: &str, args: &[&str], variables: &[(&str, &str)]) -> Daemon {
    let program = dir.path().join("camelpost");
    let built = std::env::current_exe().unwrap();
    if fs::hard_link(&built, &program).is_err() {
        fs::copy(&built, &program).unwrap();
    }
    let plain = command(dir.path(), args);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", &format!("{first} exec \"$0\" \"$@\"")])
        .arg(program)
        .args(plain.get_args())
        .env("RUNTIME_DIRECTORY", dir.path().join("run"))
        .env_remove("NOTIFY_SOCKET")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut daemon = Daemon::spawn(dir, command);
    daemon.wait_until_it_listens();
    daemon
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The process that serves after an upgrade; it ends with the test.
pub struct Second(pub Pid);

impl Drop for Second {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

/// Upgrades it.
pub fn upgraded(daemon: &mut Daemon) -> Second {
    daemon.signal(Signal::USR2);
    let line = daemon.wait_for("upgraded: process ");
    let (_, rest) = line.split_once("upgraded: process ").unwrap();
    let pid = rest.split(' ').next().unwrap();
    let second = Second(Pid::from_raw(pid.parse().unwrap()).unwrap());
    daemon.wait_for("the process before the upgrade has ended");
    second
}

/// The process that holds the plugins, and one that runs a session.
pub fn of_plugins(daemon: &Daemon, supervisor: Pid) -> [Pid; 2] {
    let client = daemon.connect();
    let worker = Pid::from_raw(client.pid()).unwrap();
    let zygotes = children(supervisor);
    let zygote = zygotes
        .into_iter()
        .find(|pid| children(*pid).contains(&worker));
    let zygote = zygote.expect("the zygote of a worker of the supervisor's");
    [zygote, worker]
}

fn what_was_open_at_the_start_is_open_in_no_process_of_plugins() {
    let dir = config(&[("secret", "root:*:20228:0:99999:7:::\n")]);
    let secret = dir.path().join("config/secret");
    let open = format!("exec 9<'{}' 7<&9;", secret.display());
    let mut daemon = started(dir, &open, &[], &[]);
    let first = daemon.pid();
    let look = |daemon: &Daemon, supervisor: Pid| {
        for pid in of_plugins(daemon, supervisor) {
            let opened = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            for one in opened.map_while(Result::ok) {
                let leads_to = fs::read_link(one.path()).unwrap_or_default();
                assert_ne!(leads_to, secret, "{one:?}");
            }
        }
    };
    look(&daemon, first);
    let second = upgraded(&mut daemon);
    look(&daemon, second.0);
    Client::connect(daemon.address.unwrap()).end("QUIT");
}

/// What a process began with.
fn environment(pid: Pid) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

const OF_ROOT_S_SHELL: [(&str, &str); 12] = [
    ("HOME", "/nonexistent"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("SHELL", "/bin/roots-shell"),
    ("PATH", "/nonexistent/bin:/usr/bin:/bin"),
    ("LD_LIBRARY_PATH", "/nonexistent"),
    ("LD_BIND_NOW", "1"),
    ("ENV", "/nonexistent/shrc"),
    ("BASH_ENV", "/nonexistent/bashrc"),
    ("CDPATH", "/nonexistent"),
    ("PERL5LIB", "/nonexistent/lib"),
    ("KEPT", "as it is"),
];

fn plugins_have_the_environment_of_the_service_s_user() {
    if !is_root() {
        println!("needs root");
        return;
    }
    let entries = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = entries.lines().find(|line| line.starts_with("nobody:"));
    let nobody: Vec<&str> = nobody.unwrap().split(':').collect();
    let expected = [
        format!("HOME={}", nobody[5]),
        "USER=nobody".to_owned(),
        "LOGNAME=nobody".to_owned(),
        format!("SHELL={}", nobody[6]),
        "PATH=/bin:/usr/bin:/var/qmail/bin".to_owned(),
        "PERL5LIB=/nonexistent/lib".to_owned(),
        "KEPT=as it is".to_owned(),
    ];
    let args = ["--user", "nobody"];
    // A shell sets IFS anew for itself, and exports it.
    let mut daemon = started(open_config(), "IFS=x; export IFS;", &args, &OF_ROOT_S_SHELL);
    let look = |daemon: &Daemon, supervisor: Pid| {
        for pid in of_plugins(daemon, supervisor) {
            let found = environment(pid);
            for one in &expected {
                assert!(found.contains(one), "no {one} in {found:?}");
            }
            for gone in ["LD_", "ENV=", "BASH_ENV=", "IFS=", "CDPATH="] {
                let there = found.iter().find(|one| one.starts_with(gone));
                assert_eq!(there, None);
            }
        }
    };
    let first = daemon.pid();
    look(&daemon, first);
    let second = upgraded(&mut daemon);
    look(&daemon, second.0);
}

fn an_environment_that_nobody_changes_the_user_of_keeps_its_home() {
    let variables = [("HOME", "/nonexistent/home"), ("SHELL", "/bin/my-shell")];
    let daemon = started(config(&[]), "", &[], &variables);
    for pid in of_plugins(&daemon, daemon.pid()) {
        let found = environment(pid);
        for (name, value) in variables {
            assert!(found.contains(&format!("{name}={value}")), "{found:?}");
        }
    }
}

/// Whose a process is to those who would look into it: root's, where it lets nobody do that.
fn owner(pid: Pid) -> u32 {
    fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid()
}

fn nobody_but_root_looks_into_a_supervisor() {
    let args: &[&str] = if is_root() {
        &["--user", "nobody"]
    } else {
        &[]
    };
    let mut daemon = started(open_config(), "", args, &[]);
    assert_eq!(owner(daemon.pid()), 0);
    let user: u32 = daemon.connect().greeted("uid").parse().unwrap();
    // What plugins run in is the user's: perl modules look into /proc/self.
    assert_eq!(of_plugins(&daemon, daemon.pid()).map(owner), [user, user]);
    let second = upgraded(&mut daemon);
    assert_eq!(owner(second.0), 0);
    assert_eq!(of_plugins(&daemon, second.0).map(owner), [user, user]);
}

fn no_new_privileges_is_a_setting() {
    let value = |pid: Pid| {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
        let status = status.unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("NoNewPrivs:"));
        line.unwrap().trim().to_owned()
    };
    let own = value(rustix::process::getpid());
    let settings = [
        (&[][..], own.as_str()),
        (&["--no-new-privs"], "1"),
        (&["--sandbox", "seccomp"], "1"),
    ];
    for (args, expected) in settings {
        let mut daemon = started(config(&[]), "", args, &[]);
        let first = daemon.pid();
        assert_eq!(of_plugins(&daemon, first).map(value), [expected, expected]);
        let second = upgraded(&mut daemon);
        assert_eq!(
            of_plugins(&daemon, second.0).map(value),
            [expected, expected]
        );
    }
}
