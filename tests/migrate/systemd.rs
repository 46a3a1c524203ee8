//! The commands that are printed for Debian's package, done under a systemd that was started for it: the old server takes a message,
//! Camelpost does with its hardened unit and the drop-in, and the old one does again.

use std::fs;
use std::process::{Command, Stdio};

use camelpost_support::process::{is_root, wait_at_most};
use camelpost_support::repository;

use crate::CAMELPOST;

#[test]
fn the_commands_for_systemd_lead_there_and_back() {
    if !is_root() {
        eprintln!("needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut child = Command::new("unshare")
        .args(["--mount", "--net", "sh"])
        .arg(repository().join("tests/migrate/systemd/boot.sh"))
        .arg(dir.path())
        .args([CAMELPOST.as_ref(), repository()])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let ended = wait_at_most(&mut child, camelpost_support::PATIENCE * 4);
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let said = read("out/said");
    if said.is_empty() {
        eprintln!(
            "no systemd can be started here: the commands for it are not tried\n{}",
            read("log")
        );
        return;
    }
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("== ") || line.starts_with('<') || line.contains("active"))
        .map(|line| line.split(" ready;").next().unwrap_or_default())
        .map(|line| line.split(" <2").next().unwrap_or_default())
        .collect();
    let of = |server: &str, states: [&'static str; 2]| {
        let name = lines.iter().find_map(|line| line.strip_prefix("<-  220 "));
        let name = name
            .and_then(|line| line.split(' ').next())
            .unwrap_or_default();
        let mut lines = vec![
            format!("<-  220 {name} ESMTP {server}"),
            "<-  250 Queued!".to_owned(),
        ];
        lines.extend(states.map(str::to_owned));
        lines
    };
    let camelpost = format!("camelpost {}", env!("CARGO_PKG_VERSION"));
    let mut expected = vec!["== before".to_owned()];
    expected.extend(of("qpsmtpd 0.94", ["active", "inactive"]));
    expected.extend(["== status 0", "== over"].map(str::to_owned));
    expected.extend(of(&camelpost, ["inactive", "active"]));
    let beside = [
        "== reloaded",
        "== second",
        "== serves",
        "== /run/camelpost/camelpost is of qpsmtpd",
        "== camelpost upgraded",
        "== /run/camelpost/camelpost@second is of camelpost",
        "== camelpost@second upgraded",
        "== 2 daemons",
        "== back",
    ];
    expected.extend(beside.map(str::to_owned));
    expected.extend(of("qpsmtpd 0.94", ["active", "inactive"]));
    expected.extend(["== rotation as before", "== 3 messages", "== end"].map(str::to_owned));
    assert_eq!(
        lines,
        expected,
        "{said}\n{}\n{}",
        read("out/printed"),
        read("log")
    );
}
