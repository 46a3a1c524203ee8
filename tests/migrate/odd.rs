//! Starts that are not as one expects them: what is not known is told of, and what is in a name stays a name.

use std::fs;

use crate::machines::Machine;
use crate::started::commands;
use crate::{migrate, said};

#[test]
fn a_template_of_units_is_stopped_by_a_pattern_and_its_port_is_not_made_up() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    machine.put(
        "etc/systemd/system/qpsmtpd@.service",
        "[Service]\nExecStart=/usr/bin/qpsmtpd-forkserver --port %i --user qpsmtpd\nEnvironment=QPSMTPD_CONFIG=/etc/qpsmtpd\n",
    );
    let rotation = "/var/log/qpsmtpd/*.log {\n  postrotate\n    systemctl restart qpsmtpd@25\n  endscript\n}\n";
    machine.put("etc/logrotate.d/qpsmtpd", rotation);
    let words = ["--root", "@ROOT@", "--from", "/etc/qpsmtpd"];
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("\n    its port is %i, which is not known here: add --port\n"),
        "{text}"
    );
    let drop_in = "etc/camelpost/migrated/camelpost.service.d/qpsmtpd.conf";
    assert!(!machine.site.read(drop_in).contains("--port"));
    let over = commands(&text, "To switch over");
    assert!(
        over.contains(&"systemctl stop 'qpsmtpd@*.service'"),
        "{text}"
    );
    assert!(
        over.contains(
            &"# and each instance of qpsmtpd@.service that is enabled, by its name: systemctl disable qpsmtpd@NAME"
        ),
        "{text}"
    );
    // One of its instances is not the whole.
    assert!(
        !text.contains("sed -i")
            && text.contains(": write systemctl reload camelpost there in its place\n"),
        "{text}"
    );
    let back = commands(&text, "To switch back");
    let own = back.iter().filter(|line| line.contains("qpsmtpd@"));
    assert!(
        own.clone().count() == 1 && own.clone().all(|line| line.starts_with('#')),
        "{text}"
    );
}

#[test]
fn a_line_feed_in_a_path_begins_no_command() {
    let machine = Machine::elsewhere();
    machine.tcpserver("0 smtp");
    let at = |name: &str| machine.site.path(name);
    fs::rename(at("home/smtpd/qpsmtpd"), at("home/smtpd/q\nreboot;")).unwrap();
    let words = [
        "--root",
        "@ROOT@",
        "--from",
        "/home/smtpd/q\nreboot;/config",
        "--init",
        "/home/smtpd/q\nreboot;/run",
        "--to",
        "/etc/it's",
    ];
    machine.dir("etc");
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    let script = machine.site.read("etc/it's/migrated/run");
    assert_eq!(
        script.lines().nth(1),
        Some(
            "# Written by `camelpost migrate`: what /home/smtpd/q?reboot;/run starts, with Camelpost."
        )
    );
    assert!(
        script.contains("\ncd '/home/smtpd/q\nreboot;' || exit 1\n"),
        "{script}"
    );
    assert!(
        text.contains(
            "\n    # touch '/home/smtpd/q?reboot;/down' && svc -d '/home/smtpd/q?reboot;'\n"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("not checked: `camelpost check --config '/etc/it'\\''s'` does it there\n"),
        "{text}"
    );
}
