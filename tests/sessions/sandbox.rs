//! `--sandbox`: what plugins and the programs that they start no longer can, and what they still can. Without
//! landlock in the kernel the tests that need it say so and pass; seccomp is in each.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use camelpost_support::process::as_root;
use tempfile::TempDir;

use crate::server::{CAMELPOST, RUNNER, Server, TAKER, line, uid, until};

const BOTH: [&str; 2] = ["--sandbox", "landlock,seccomp"];

const EPERM: &str = "1";
const EACCES: &str = "13";
const EXDEV: &str = "18";
const ENOSYS: &str = "38";

fn has_landlock() -> bool {
    let probe = format!(
        "exit(syscall({}, 0, 0, 1) >= 2 ? 0 : 1)",
        libc::SYS_landlock_create_ruleset
    );
    let there = Command::new("perl").args(["-e", &probe]).status();
    let there = there.unwrap().success();
    if !there {
        println!("needs landlock (ABI 2)");
    }
    there
}

/// Directories that are no temporary ones: spool/ and listed/ may be written to, and the file `file`, other/
/// may not.
struct Ground(TempDir);

impl Ground {
    fn new() -> Ground {
        let ground = Ground(tempfile::tempdir_in("/var/tmp").unwrap());
        for name in ["spool", "listed", "other"] {
            fs::create_dir(ground.0.path().join(name)).unwrap();
            fs::write(ground.0.path().join(name).join("there"), "text\n").unwrap();
        }
        fs::write(ground.0.path().join("file"), "").unwrap();
        ground
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn start(&self, plugins: &[(&str, &str)], args: &[&str], more: &[(&str, &str)]) -> Server {
        let spool = format!("{}\n", self.path("spool"));
        let listed = format!("{}\n{}\n", self.path("listed"), self.path("file"));
        // What RUNNER says is of any length, and is to be in one line.
        let mut files = vec![
            ("reply_text", "original\n"),
            ("spool_dir", &spool),
            ("sandbox_write", &listed),
        ];
        files.extend(more);
        Server::start_configured(plugins, args, &[("TMPDIR", "/tmp")], &files)
    }
}

/// Perl code that tells the error's number, or `done`.
fn outcome(perl: &str) -> String {
    format!("{perl} ? 'done' : $!+0")
}

fn call(number: i64, arguments: &str) -> String {
    outcome(&format!("(syscall({number}, {arguments}) != -1)"))
}

#[test]
fn files_are_written_to_beneath_the_spool_and_what_sandbox_write_lists_only() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[RUNNER], &BOTH, &[]);
    let told = server.wait_for("Plugins run in a sandbox: landlock (ABI ");
    let names = [
        ground.path("spool"),
        ground.path("listed"),
        ground.path("file"),
    ];
    for name in names
        .iter()
        .map(String::as_str)
        .chain(["/tmp", "seccomp", "--no-new-privs"])
    {
        assert!(told.contains(name), "{name}: {told}");
    }
    let mut client = server.connect();
    let mut tried = |perl: &str, expected: &[&str]| {
        let found = client.run(&outcome(perl));
        assert!(expected.contains(&found.as_str()), "{perl}: {found}");
    };
    let path = |name: &str| ground.path(name);
    for dir in ["spool", "listed"] {
        let [new, moved] = ["new", "moved"].map(|name| path(&format!("{dir}/{name}")));
        tried(&format!("open(my $f, '>', '{new}')"), &["done"]);
        tried(&format!("rename('{new}', '{moved}')"), &["done"]);
        tried(&format!("link('{moved}', '{new}')"), &["done"]);
        tried(&format!("unlink('{moved}')"), &["done"]);
        tried(&format!("mkdir('{moved}')"), &["done"]);
        tried(&format!("truncate('{new}', 0)"), &["done"]);
    }
    // As maildirs do, from one directory to another.
    tried(
        &format!(
            "rename('{}', '{}')",
            path("spool/new"),
            path("listed/fresh")
        ),
        &["done"],
    );
    tried(&format!("open(my $f, '>>', '{}')", path("file")), &["done"]);
    tried("open(my $f, '>', '/dev/null')", &["done"]);
    tried("open(my $f, '+>', undef)", &["done"]);
    tried(
        &format!("open(my $f, '<', '{}')", path("other/there")),
        &["done"],
    );

    let (there, new) = (path("other/there"), path("other/new"));
    for mode in [">", ">>", "+<"] {
        tried(&format!("open(my $f, '{mode}', '{there}')"), &[EACCES]);
        tried(&format!("open(my $f, '{mode}', '/etc/passwd')"), &[EACCES]);
    }
    tried(&format!("open(my $f, '>', '{new}')"), &[EACCES]);
    tried(&format!("unlink('{there}')"), &[EACCES]);
    tried(&format!("mkdir('{new}')"), &[EACCES]);
    tried(&format!("symlink('/', '{new}')"), &[EACCES]);
    // Nothing goes out, and nothing comes in to be written to.
    let out = format!("'{}', '{new}'", path("listed/there"));
    let within = format!("'{there}', '{}'", path("listed/taken"));
    for moving in ["rename", "link"] {
        tried(&format!("{moving}({out})"), &[EACCES, EXDEV]);
        tried(&format!("{moving}({within})"), &[EACCES, EXDEV]);
    }
    tried(&format!("rename('{there}', '{new}')"), &[EACCES]);
    assert_eq!(fs::read_to_string(there).unwrap(), "text\n");
    assert_eq!(fs::read_dir(path("other")).unwrap().count(), 1);
}

#[test]
fn a_path_is_not_truncated_where_the_kernel_can_hold_that_back() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[RUNNER], &["--sandbox", "landlock"], &[]);
    let told = server.wait_for("Plugins run in a sandbox: landlock (ABI ");
    let path = ground.path("other/there");
    let found = server
        .connect()
        .run(&outcome(&format!("truncate('{path}', 0)")));
    let expected = match told.contains("does not hold back truncate(2)") {
        true => "done",
        false => EACCES,
    };
    assert_eq!(found, expected, "{told}");
}

#[test]
fn system_calls_that_lead_out_of_a_process_fail_with_eperm() {
    let calls = [
        (libc::SYS_ptrace, "0, 0, 0, 0"),
        (libc::SYS_process_vm_readv, "$$, 0, 0, 0, 0, 0"),
        (libc::SYS_process_vm_writev, "$$, 0, 0, 0, 0, 0"),
        (libc::SYS_kcmp, "$$, $$, 1, 0, 0"),
        (libc::SYS_pidfd_getfd, "0, 0, 0"),
        (libc::SYS_mount, "0, 0, 0, 0, 0"),
        (libc::SYS_umount2, "0, 0"),
        (libc::SYS_pivot_root, "0, 0"),
        (libc::SYS_open_tree, "-100, 0, 0"),
        (libc::SYS_fsopen, "0, 0"),
        (libc::SYS_chroot, "0"),
        (libc::SYS_unshare, "0"),
        (libc::SYS_setns, "0, 0"),
        (libc::SYS_bpf, "0, 0, 0"),
        (libc::SYS_perf_event_open, "0, 0, 0, 0, 0"),
        (libc::SYS_userfaultfd, "1"),
        (libc::SYS_keyctl, "0, 0, 0"),
        (libc::SYS_add_key, "0, 0, 0, 0, 0"),
        (libc::SYS_io_uring_setup, "1, 0"),
        (libc::SYS_init_module, "0, 0, 0"),
        (libc::SYS_kexec_load, "0, 0, 0, 0"),
        (libc::SYS_reboot, "0, 0, 0"),
        (libc::SYS_syslog, "10, 0, 0"),
        (libc::SYS_clock_settime, "0, 0"),
        (libc::SYS_adjtimex, "0"),
        (libc::SYS_name_to_handle_at, "0, 0, 0, 0, 0"),
        (libc::SYS_open_by_handle_at, "0, 0, 0"),
        (libc::SYS_quotactl, "0, 0, 0, 0"),
        (libc::SYS_personality, "0x0040000"),
        // CLONE_NEWUSER and CLONE_NEWNS, each with SIGCHLD.
        (libc::SYS_clone, "0x10000011, 0, 0, 0, 0"),
        (libc::SYS_clone, "0x20011, 0, 0, 0, 0"),
    ];
    let server = Server::start_with(&[RUNNER], &["--sandbox", "seccomp"], &[]);
    server.wait_for("Plugins run in a sandbox: seccomp; ");
    let mut client = server.connect();
    for (number, arguments) in calls {
        let found = client.run(&call(number, arguments));
        assert_eq!(found, EPERM, "system call {number}");
    }
    // libc then takes clone(2), whose flags can be looked at.
    assert_eq!(client.run(&call(libc::SYS_clone3, "0, 0")), ENOSYS);
    assert_eq!(
        client.run(&call(libc::SYS_personality, "0xffffffff")),
        "done"
    );
    if cfg!(target_arch = "x86_64") {
        // getpid of x32.
        assert_eq!(client.run(&call(0x4000_0000 + 39, "0")), EPERM);
    }
    let ioctl = "open(my $n, '<', '/dev/null'); my $typed = 'x'; ";
    for (request, expected) in [("0x5412", EPERM), ("0x541c", EPERM), ("0x5401", "25")] {
        let found = client.run(&format!(
            "{ioctl} ioctl($n, {request}, $typed) ? 'done' : $!+0"
        ));
        assert_eq!(found, expected, "ioctl {request}");
    }
    // AF_PACKET, AF_ALG, AF_VSOCK, AF_KEY.
    for family in [17, 38, 40, 15] {
        for kind in [1, 2, 3, 5] {
            let found = client.run(&outcome(&format!("socket(my $s, {family}, {kind}, 0)")));
            assert_eq!(found, EPERM, "family {family}");
        }
    }
    // AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK; not every machine has each.
    for (family, kind) in [(1, 1), (2, 1), (10, 1), (16, 3)] {
        let found = client.run(&outcome(&format!("socket(my $s, {family}, {kind}, 0)")));
        assert_ne!(found, EPERM, "family {family}");
    }
}

#[test]
fn without_a_sandbox_the_same_calls_do_what_they_do() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    assert_eq!(client.run(&call(libc::SYS_unshare, "0")), "done");
    assert_ne!(client.run(&call(libc::SYS_clone3, "0, 0")), ENOSYS);
    assert_eq!(server.count("sandbox"), 0);
}

/// A program that a plugin starts, which says what it has of the sandbox.
fn program(path: &str) -> String {
    format!(
        "local %ENV = (PATH => '/usr/bin:/bin'); open(my $p, '-|', 'sh', '-c', \
         'grep -E \"^(Seccomp|NoNewPrivs):\" /proc/self/status; echo x > {path} || echo refused; \
         unshare --uts true || echo confined') or die; my @said = map {{ s/\\s+/ /gr }} <$p>; \
         close $p; join '', @said"
    )
}

#[test]
fn a_plugin_still_runs_programs_and_they_are_in_the_sandbox() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[RUNNER], &BOTH, &[]);
    let mut client = server.connect();
    let [outside, within] = ["other/new", "spool/new"].map(|name| ground.path(name));
    let said = client.run(&program(&outside));
    assert_eq!(said, "NoNewPrivs: 1 Seccomp: 2 refused confined");
    assert!(!Path::new(&outside).exists());
    let said = client.run(&program(&within));
    assert_eq!(said, "NoNewPrivs: 1 Seccomp: 2 confined");
    assert_eq!(fs::read_to_string(within).unwrap(), "x\n");
}

#[test]
fn what_another_user_s_plugins_run_in_is_a_sandbox_too() {
    if !rustix::process::geteuid().is_root() || !has_landlock() {
        println!("needs root");
        return;
    }
    let listed = [("sandbox_write", "@ROOT@/spool\n")];
    let server = Server::start_as(["mail", "nobody"], &[RUNNER, TAKER], &BOTH, &listed);
    let mut client = server.connect();
    assert_eq!(client.run("$<"), uid("nobody").to_string());
    assert_eq!(client.run(&call(libc::SYS_unshare, "0")), EPERM);
    // The spool is where a message goes that is larger than size_threshold.
    client.expect("HELO x", "250");
    client.expect("MAIL FROM:<a@example.org>", "250");
    client.expect("RCPT TO:<b@example.org>", "250");
    client.expect("DATA", "354");
    client.send(b"text\r\n".repeat(1000));
    client.expect(".", "250 Taken");
}

#[test]
fn in_landlock_a_plugin_does_not_look_into_the_process_that_has_loaded_it() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[RUNNER], &["--sandbox", "landlock"], &[]);
    let mut client = server.connect();
    let zygote = server.zygote();
    // (What root may read all the same, as it may watch every process: environ, maps.)
    for mode in ["<", "+<"] {
        let memory = outcome(&format!("open(my $f, '{mode}', '/proc/{zygote}/mem')"));
        let found = client.run(&memory);
        assert!([EACCES, EPERM].contains(&found.as_str()), "{found}");
    }
    let itself = outcome("open(my $f, '<', '/proc/self/maps')");
    assert_eq!(client.run(&itself), "done");
}

#[test]
fn without_an_interpreter_workers_are_in_it_too() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[line("native/count_recipients")], &BOTH, &[]);
    server.connect().expect("QUIT", "221");
    let zygote = server.zygote();
    let children = fs::read_to_string(format!("/proc/{zygote}/task/{zygote}/children")).unwrap();
    assert!(!children.is_empty());
    for worker in children.split_whitespace() {
        // One that was forked just now is about to enter it.
        until("a worker is in the sandbox", || {
            let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
            status.contains("Seccomp:\t2")
        });
    }
}

#[test]
fn a_log_that_was_opened_while_plugins_loaded_is_written_on() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let log = ground.path("other/log");
    let line = format!("logging/logfile loglevel LOGDEBUG {log}\n");
    let server = ground.start(&[RUNNER], &BOTH, &[("logging", &line)]);
    let mut client = server.connect();
    client.run("$self->log(0, 'said in the session')");
    assert!(
        fs::read_to_string(log)
            .unwrap()
            .contains("said in the session")
    );
}

#[test]
fn a_reload_reads_sandbox_write_anew_and_a_wrong_line_keeps_what_was_loaded() {
    if !has_landlock() {
        return;
    }
    let ground = Ground::new();
    let server = ground.start(&[RUNNER], &BOTH, &[]);
    let open = outcome(&format!("open(my $f, '>', '{}')", ground.path("other/new")));
    assert_eq!(server.connect().run(&open), EACCES);
    for (line, says) in [
        ("other", "it must be the whole path"),
        ("/nonexistent/dir", "take the line out"),
        ("/", "is the root directory"),
    ] {
        server.config("sandbox_write", &format!("{line}\n"));
        server.ask_for_reload();
        server.wait_for(says);
        assert_eq!(server.connect().run(&open), EACCES);
    }
    server.config("sandbox_write", &format!("{}\n", ground.path("other")));
    server.reload();
    until("the new list", || server.connect().run(&open) == "done");
}

#[test]
fn a_worker_in_a_sandbox_is_watched_like_any_other() {
    const SLOW: (&str, &str) = (
        "slow",
        "sub hook_helo { my $end = time + 60; 1 while time < $end; return DECLINED }",
    );
    let settings = [("plugin_settings", "slow timeout 1\n")];
    let args = ["--sandbox", "seccomp"];
    let server = Server::start_configured(&[SLOW], &args, &[], &settings);
    let mut client = server.connect();
    let reply = client.say("HELO x");
    assert!(reply.starts_with('4'), "{reply}");
    client.expect("QUIT", "221");
}

/// What a start says that fails. `blocked`: a system call that the kernel is to lack.
fn refused_start(blocked: Option<i64>, sandbox: &str, files: &[(&str, &str)]) -> String {
    // A filter like the sandbox's own, in which the call fails with ENOSYS.
    const LAUNCHER: &str = r#"
        my ($prctl, $number, @command) = @ARGV;
        if ($number >= 0) {
            my @steps = ([0x20, 0, 0, 0], [0x15, 0, 1, $number], [6, 0, 0, 0x50026], [6, 0, 0, 0x7fff0000]);
            my $steps = join '', map { pack 'SCCL', @$_ } @steps;
            my $filter = pack 'S x6 P', scalar @steps, $steps;
            syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
            syscall($prctl, 22, 2, $filter) == 0 or die "seccomp: $!";
        }
        exec @command or die "exec: $!";
    "#;
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    fs::create_dir(&config).unwrap();
    let spool = format!("{}\n", dir.path().join("spool").display());
    for (name, text) in files.iter().chain(&[("spool_dir", spool.as_str())]) {
        fs::write(config.join(name), text).unwrap();
    }
    let mut command = Command::new("perl");
    command
        .args(["-e", LAUNCHER])
        .arg(libc::SYS_prctl.to_string())
        .arg(blocked.unwrap_or(-1).to_string())
        .arg(CAMELPOST)
        .args(["serve", "--listen-address", "127.0.0.1:0", "--no-rdns"])
        .args(["--control", "none", "--sandbox", sandbox, "--config"])
        .arg(config)
        .stdin(Stdio::null());
    as_root(&mut command);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("Listening on"), "{said}");
    said
}

#[test]
fn a_kernel_that_lacks_a_part_ends_the_start_and_is_told_by_its_name() {
    let create = libc::SYS_landlock_create_ruleset;
    let said = refused_start(Some(create), "landlock", &[]);
    assert!(
        said.contains("--sandbox landlock: this kernel has no landlock"),
        "{said}"
    );
    assert!(said.contains("leave landlock out"), "{said}");
    let said = refused_start(Some(libc::SYS_seccomp), "seccomp", &[]);
    assert!(
        said.contains("--sandbox seccomp: ") && said.contains("no filters of system calls"),
        "{said}"
    );
    if has_landlock() {
        let enter = libc::SYS_landlock_restrict_self;
        let said = refused_start(Some(enter), "seccomp,landlock", &[]);
        assert!(
            said.contains("--sandbox landlock: ") && said.contains("leave it out"),
            "{said}"
        );
    }
}

#[test]
fn a_queue_program_that_gains_rights_by_its_file_contradicts_a_sandbox() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        println!("needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("qmail-queue");
    fs::write(&program, "").unwrap();
    chown(&program, Some(uid("mail")), None).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let lines = format!("# the queue\nqueue/qmail-queue {}\n", program.display());
    let shipped = "/usr/share/qpsmtpd/plugins\n";
    let files = [("plugins", lines.as_str()), ("plugin_dirs", shipped)];
    let said = refused_start(None, "seccomp", &files);
    let names = format!("plugins:2: queue/qmail-queue starts {}", program.display());
    assert!(
        said.contains(&names) && said.contains("leave --sandbox out"),
        "{said}"
    );
}

#[test]
fn a_part_that_is_not_known_is_refused_with_those_that_are() {
    let said = refused_start(None, "landlock,chroot", &[]);
    for word in ["chroot", "landlock", "seccomp", "--sandbox"] {
        assert!(said.contains(word), "{said}");
    }
}
