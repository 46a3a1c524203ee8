//! `--worker-user`: plugins run as another user than the supervisor, over which they have no rights; and
//! what the supervisor does to their processes still works.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{CAMELPOST, RUNNER, Server, TAKER, uid, until};

/// Both are on every Debian.
const USERS: [&str; 2] = ["mail", "nobody"];

const STUCK: (&str, &str) = (
    "stuck",
    r#"
    use POSIX ();
    sub hook_helo { my ($self, $transaction, $name) = @_;
        return DECLINED if $name ne 'stuck';
        my $all = POSIX::SigSet->new; $all->fillset;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all); sleep 1000; return DENY }
    "#,
);

/// When it is loaded, leaves a process that answers in the zygote's place: it names as the new worker the process
/// whose number is in the file `victim`.
const IMPOSTOR: (&str, &str) = (
    "impostor",
    r#"
    sub register {
        my $zygote = $$;
        open my $file, '<', 'victim' or die $!;
        my ($victim) = <$file> =~ /([0-9]+)/;
        return if fork;
        # Until the zygote waits for what it is told.
        sleep 3;
        kill 'STOP', $zygote;
        my ($told, $dup);
        for my $number (3 .. 30) {
            open $dup, '+<&=', $number or next;
            push our(@kept), $dup;
            my $type = getsockopt($dup, 1, 3);
            $told ||= $dup if $type && unpack('i', $type) == 5;
            undef $dup;
        }
        my $address = sub { unpack 'Q', pack 'P', $_[0] };
        my $word;
        while (recv($told, $word, 4096, 0), length $word) {
            my ($tag, $worker) = unpack 'C Q<', $word;
            next if $tag != 1;
            my $pidfd = syscall(434, $victim + 0, 0);
            my $forked = pack 'C Q< l<', 3, $worker, $victim;
            my $part = pack 'Q Q', $address->($forked), length $forked;
            my $rights = pack 'Q i i i x4', 20, 1, 1, $pidfd;
            my $message = pack 'Q L x4 Q Q Q Q i x4', 0, 0, $address->($part), 1,
                $address->($rights), length $rights, 0;
            syscall(46, fileno $told, $message, 0);
        }
        require POSIX;
        POSIX::_exit(0);
    }
    "#,
);

fn start() -> Option<Server> {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return None;
    }
    let plugins = [RUNNER, STUCK, TAKER];
    let settings = [("plugin_settings", "stuck timeout 1\n")];
    Some(Server::start_as(USERS, &plugins, &[], &settings))
}

fn status(pid: impl std::fmt::Display, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    words.join(" ")
}

#[test]
fn a_plugin_has_no_rights_over_the_supervisor() {
    let Some(server) = start() else { return };
    let supervisor = server.pid();
    let mut client = server.connect();
    let [service, worker] = USERS.map(uid);
    assert_eq!(client.run("qq{$< $>}"), format!("{worker} {worker}"));
    for signal in ["KILL", "STOP", "USR2", "HUP", "TERM", "ZERO"] {
        let tried = format!("kill('{signal}', {supervisor}) . ' ' . ($!+0)");
        assert_eq!(client.run(&tried), "0 1", "{signal}");
    }
    for part in ["mem", "environ", "maps"] {
        let path = format!("/proc/{supervisor}/{part}");
        assert_eq!(
            client.run(&format!("open(my $f, '<', '{path}') ? 'open' : $!+0")),
            "13",
            "{path}"
        );
    }
    // pidfd_open and pidfd_getfd.
    let taken =
        format!("my $p = syscall(434, {supervisor}, 0); syscall(438, $p, 0, 0) . ' ' . ($!+0)");
    assert_eq!(client.run(&taken), "-1 1");
    let socket = server.site.root().join(format!("run/{supervisor}.sock"));
    assert!(socket.exists());
    let asked = format!(
        "require IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => '{}') ? 'connected' : $!+0",
        socket.display()
    );
    assert_eq!(client.run(&asked), "13");
    // Nor does it come by such rights.
    assert_eq!(
        client.run("require POSIX; join ' ', map { POSIX::setuid($_) ? 1 : 0 } 0, 8"),
        "0 0"
    );
    let process = client.worker();
    for process in [process, server.zygote().to_string()] {
        assert_eq!(
            status(&process, "Uid:"),
            format!("{worker} {worker} {worker} {worker}")
        );
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(
                status(&process, set),
                "0000000000000000",
                "{set} of {process}"
            );
        }
    }
    assert_eq!(
        status(supervisor, "Uid:"),
        format!("{service} {service} {service} {service}")
    );
    // CAP_KILL, CAP_SETGID and CAP_SETUID.
    assert_eq!(status(supervisor, "CapPrm:"), "00000000000000e0");
}

#[test]
fn mail_is_taken_and_plugins_find_their_own_user_in_the_environment() {
    let Some(server) = start() else { return };
    let mut client = server.connect();
    assert_eq!(client.run("qq{$ENV{USER} $ENV{LOGNAME}}"), "nobody nobody");
    client.expect("HELO x", "250");
    client.expect("MAIL FROM:<a@example.org>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    client.expect("DATA", "354");
    client.send(b"Subject: x\r\n\r\n");
    client.send(b"text\r\n".repeat(1000));
    client.expect(".", "250 Taken");
}

#[test]
fn the_supervisor_kills_a_worker_of_another_user() {
    let Some(server) = start() else { return };
    let mut client = server.connect();
    let worker = client.worker();
    assert!(client.say("HELO stuck").starts_with("421"));
    server.wait_for(&format!("in worker {worker} is not done after"));
    server.wait_for("killing the worker");
    until("its end", || {
        !fs::exists(format!("/proc/{worker}")).unwrap()
    });
    server.connect().expect("QUIT", "221");
}

#[test]
fn a_reload_and_an_upgrade_keep_both_users_and_the_end_is_in_order() {
    let Some(mut server) = start() else { return };
    server.reload();
    let [service, worker] = USERS.map(uid);
    assert_eq!(server.connect().run("$<"), worker.to_string());

    let first = server.pid();
    kill_process(first, Signal::USR2).unwrap();
    let told = server.wait_for("upgraded: process ");
    let (_, rest) = told.split_once("upgraded: process ").unwrap();
    let second: i32 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(server.wait().success());
    assert!(status(second, "Uid:").starts_with(&format!("{service} ")));
    let second = Pid::from_raw(second).unwrap();
    let mut client = server.connect();
    assert_eq!(client.run("$<"), worker.to_string());
    assert_eq!(client.run(&format!("kill('KILL', {second})")), "0");
    let process = client.worker();

    kill_process(second, Signal::TERM).unwrap();
    client.expect("QUIT", "221");
    for pid in [second.to_string(), process] {
        until("the end of all", || {
            !fs::exists(format!("/proc/{pid}")).unwrap()
        });
    }
}

/// It has the right to signal any process, and does not for a plugin.
#[test]
#[cfg(target_arch = "x86_64")] // The numbers of system calls.
fn a_plugin_cannot_have_the_supervisor_kill_somebody_else_s_process() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let mut victim = std::process::Command::new("sleep")
        .arg("60")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let number = victim.id().to_string();
    let lines = [IMPOSTOR, TAKER];
    let args = ["--drain-timeout", "0", "--spare-workers", "0"];
    let mut server = Server::start_as_prepared(USERS, &lines, &args, |dir| {
        fs::write(dir.join("victim"), number).unwrap();
    });
    std::thread::sleep(std::time::Duration::from_secs(4));
    let clients =
        [(); 3].map(|()| std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap());
    server.wait_for("was named as a worker, which it is not");
    drop(clients);
    kill_process(server.pid(), Signal::TERM).unwrap();
    server.wait();
    let ended = victim.try_wait().unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(ended, None);
}

/// A program with the supervisor's rights would be a plugin's way to them; others are for the port.
#[test]
fn capabilities_of_the_program_s_file_are_no_plugin_s() {
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(
        dir.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let program = dir.path().join("camelpost");
    fs::copy(CAMELPOST, &program).unwrap();
    let run = |name: &str, args: &[&str]| {
        std::process::Command::new(name)
            .args(args)
            .output()
            .unwrap()
    };
    let program = program.to_str().unwrap();
    let path = |name: &str| dir.path().join(name);
    let shows =
        "sub register { open my $f, '<', '/proc/self/status'; die grep { /^CapPrm/ } <$f> }";
    for (name, text) in [
        ("plugins", "shows\n"),
        ("plugin_dirs", dir.path().to_str().unwrap()),
        ("me", "mx.example\n"),
        ("spool_dir", "/tmp\n"),
    ] {
        fs::create_dir_all(path("config")).unwrap();
        fs::write(path("config").join(name), text).unwrap();
    }
    fs::write(path("shows"), shows).unwrap();
    let start = |capabilities: &str, more: &[&str]| {
        let set = run("/usr/sbin/setcap", &[capabilities, program]);
        let config = path("config");
        let serve = [
            "--reuid=8",
            "--regid=8",
            "--clear-groups",
            program,
            "serve",
            "--config",
            config.to_str().unwrap(),
            "--listen-address",
            "127.0.0.1:0",
            "--control",
            "none",
        ];
        let ended = run("setpriv", &[&serve, more].concat());
        let said = String::from_utf8(ended.stderr).unwrap();
        set.status.success().then_some(said)
    };
    let Some(said) = start(
        "cap_setuid,cap_setgid,cap_kill=ep",
        &["--worker-user", "nobody"],
    ) else {
        println!("needs a file system with capabilities");
        return;
    };
    assert!(
        said.contains("the program's file has capabilities (setcap)"),
        "{said}"
    );
    let said = start("cap_net_bind_service=ep", &[]).unwrap();
    assert!(said.contains("CapPrm:\t0000000000000000"), "{said}");
}
