//! What was migrated is started with what was printed, and takes a message.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use camelpost_support::{Client, Daemon, free_port};
use serde_json::Value;

use crate::machines::Machine;
use crate::{CAMELPOST, State, is_as_before, migrate, said, state};

/// Delivers a message, which lies in the Maildir then.
fn deliver(machine: &Machine, port: u16) {
    Client::when_ready(port).deliver(
        "b@example.org",
        "From: a@example.com\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\nSubject: moved\r\n\r\nx\r\n",
    );
    assert_eq!(machine.site.files("var/spool/Maildir/new").len(), 1);
}

/// The words of a command that was printed, for the program under test.
fn command(words: &str) -> Command {
    let words = words
        .strip_prefix("camelpost ")
        .unwrap_or_else(|| panic!("{words}"));
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec {CAMELPOST} {words}"));
    command
}

fn daemon(machine: &Machine, mut command: Command) -> Daemon {
    command.env_remove("QPSMTPD_CONFIG").current_dir("/");
    // Beside the machine's own files, which stay as they are.
    command.env("RUNTIME_DIRECTORY", machine.site.path("new"));
    Daemon::logging_to_file(machine.site.path("new/log"), &mut command).unwrap()
}

/// Migrates into the directory `new`; what is printed. All else is as it was.
fn migrated(machine: &Machine, from: &str, init: &str, more: &[&str]) -> String {
    machine.dir("new");
    // The plugin makes them when it is loaded, as it does with the old server.
    for name in ["cur", "new", "tmp"] {
        machine.dir(&format!("var/spool/Maildir/{name}"));
    }
    machine.allow("new", 0o755);
    let before = state(machine.site.root(), &["new", "var/log"]);
    let from = format!("@ROOT@{from}");
    let init = format!("@ROOT@{init}");
    let mut words = vec![
        "--from",
        &from,
        "--init",
        &init,
        "--to",
        "@ROOT@/new/config",
        "--spool-dir",
        "@ROOT@/new/spool",
    ];
    words.extend(more);
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    is_as_before(&before, &state(machine.site.root(), &["new", "var/log"]));
    text
}

/// What a service has no business to change.
fn without_service(machine: &Machine) -> State {
    state(machine.site.root(), &["new", "var/spool", "var/log"])
}

#[test]
fn debian_s_configuration_takes_a_message() {
    let machine = Machine::here();
    let port = free_port();
    machine.debian(port);
    // Whom the site's directories belong to.
    let script = machine.site.read("etc/init.d/qpsmtpd").replace(
        "RUNAS=\"qpsmtpd\"",
        &format!("RUNAS=\"{}\"", camelpost_support::me()),
    );
    machine.site.put("etc/init.d/qpsmtpd", &script);
    let before = without_service(&machine);
    let text = migrated(&machine, "/etc/qpsmtpd", "/etc/init.d/qpsmtpd", &["--json"]);
    // Plugins say things when they are loaded, too.
    let objects: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of = |event: &str| {
        objects
            .iter()
            .find(|object| object["event"] == event)
            .unwrap()
    };
    assert_eq!(
        of("migrated")["compat"],
        camelpost_support::debian::version()
    );
    let words = of("start")["after"].as_array().unwrap().iter();
    let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
    let expected =
        format!("--listen-address 127.0.0.1 --port {port} --limit-connections 15 --max-from-ip 5");
    let words = words.join(" ");
    assert!(words.contains(&expected), "{words}");
    let mut service = daemon(&machine, command(&words));
    deliver(&machine, port);
    service.stop();
    is_as_before(&before, &without_service(&machine));
}

#[test]
fn a_copy_of_sme_s_takes_a_message_and_its_commands_lead_there_and_back() {
    let machine = Machine::here();
    let port = free_port();
    machine.sme(port);
    let site = &machine.site;
    let text = migrated(
        &machine,
        "/var/service/qpsmtpd/config",
        "/var/service/qpsmtpd/run",
        &["--compat", "0.94"],
    );
    assert_eq!(site.read("new/config/compat"), "0.94\n");
    let before = without_service(&machine);
    no_supervisor(&machine);
    run(&machine, &text, "To switch over");
    let asked = site.read("new/asked");
    assert!(asked.ends_with("/var/service/qpsmtpd\n"), "{asked}");
    assert!(site.path("var/service/qpsmtpd/down").exists());
    let log = site.read("var/service/camelpost/log/run");
    assert!(
        log.contains("/var/log/camelpost") && site.path("var/log/camelpost").is_dir(),
        "{log}"
    );
    let script = site.path("var/service/camelpost/run");
    assert_eq!(
        fs::metadata(&script).unwrap().permissions().mode() & 0o777,
        0o755
    );
    let mut service = daemon(&machine, Command::new(script));
    deliver(&machine, port);
    service.stop();
    run(&machine, &text, "To switch back");
    assert!(!site.path("var/service/qpsmtpd/down").exists());
    assert!(site.path("var/service/camelpost/down").exists());
    // But for the times of the directories in which something was and is no more.
    fs::remove_dir_all(site.path("var/service/camelpost")).unwrap();
    let files = |all: State| {
        let files = all.into_iter().filter(|(path, _)| !path.is_dir());
        files.collect::<Vec<_>>()
    };
    assert_eq!(files(without_service(&machine)), files(before));
}

/// Nothing supervises here: what is asked of it is written to new/asked.
pub fn no_supervisor(machine: &Machine) {
    for name in ["svc", "sv"] {
        machine.put(
            &format!("new/bin/{name}"),
            "#!/bin/sh\necho \"${0##*/} $*\" >> @@/new/asked\n",
        );
        machine.allow(&format!("new/bin/{name}"), 0o755);
    }
}

/// The commands below a heading.
pub fn commands<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let (_, behind) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let commands: Vec<&str> = behind
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    assert!(!commands.is_empty(), "{text}");
    commands
}

/// Runs them.
pub fn run(machine: &Machine, text: &str, heading: &str) {
    let commands = commands(text, heading);
    let output = Command::new("sh")
        .args(["-ec", &commands.join("\n")])
        .env(
            "PATH",
            format!(
                "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                machine.site.path("new/bin").display()
            ),
        )
        .current_dir("/")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{commands:#?}\n{}",
        said(&output).0
    );
}

#[test]
fn a_copy_of_one_under_tcpserver_takes_a_message() {
    let machine = Machine::here();
    let port = free_port();
    machine.tcpserver(&format!("127.0.0.1 {port}"));
    let before = without_service(&machine);
    let text = migrated(
        &machine,
        "/home/smtpd/qpsmtpd/config",
        "/home/smtpd/qpsmtpd/run",
        &[],
    );
    assert!(text.ends_with("\nno errors, no warnings\n"), "{text}");
    assert_eq!(machine.site.read("new/config/compat"), "0.94\n");
    let words = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("becomes "))
        .unwrap();
    assert!(
        words.contains("--limit-connections 10 --max-from-ip 0"),
        "{words}"
    );
    let mut service = daemon(&machine, command(words));
    deliver(&machine, port);
    service.stop();
    is_as_before(&before, &without_service(&machine));
}

/// The unit with the drop-in, as systemd reads them.
#[test]
fn the_drop_in_is_one_that_systemd_takes() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        eprintln!("there is no systemd-analyze here: the drop-in is not verified");
        return;
    }
    let machine = Machine::here();
    machine.debian(25);
    // A drop-in is written where there is a systemd.
    migrated(
        &machine,
        "/etc/qpsmtpd",
        "/etc/init.d/qpsmtpd",
        &["--user", "root"],
    );
    let own = "new/config/migrated/camelpost.service.d/qpsmtpd.conf";
    let text = machine.site.read(own);
    // The unit's program, and not what runs here, which lies where the service may not look.
    assert!(
        text.contains("\nExecStart=/usr/bin/camelpost serve --config "),
        "{text}"
    );
    let text = text.replace("/usr/bin/camelpost", CAMELPOST);
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/camelpost.service");
    let unit = fs::read_to_string(unit)
        .unwrap()
        .replace("/usr/bin/camelpost", CAMELPOST);
    machine.site.put("new/units/camelpost.service", &unit);
    machine
        .site
        .put("new/units/camelpost.service.d/qpsmtpd.conf", &text);
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(machine.site.path("new/units/camelpost.service"))
        .output()
        .unwrap();
    let (said, status) = said(&output);
    let about = said.lines().filter(|line| line.contains("camelpost"));
    let about: Vec<&str> = about.collect();
    assert_eq!((about, status), (vec![], Some(0)), "{said}");
}
