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
    fs::remove_file(at("service/smtpd")).unwrap();
    std::os::unix::fs::symlink("../home/smtpd/q\nreboot;", at("service/smtpd")).unwrap();
    let words = [
        "--root",
        "@ROOT@",
        "--from",
        "/service/smtpd/config",
        "--to",
        "/etc/it's",
    ];
    machine.dir("etc");
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    let script = machine.site.read("etc/it's/migrated/run");
    assert_eq!(
        script.lines().nth(1),
        Some("# Written by `camelpost migrate`: what /service/smtpd/run starts, with Camelpost.")
    );
    assert!(
        script.contains("\ncd '/home/smtpd/q\nreboot;' || exit 1\n"),
        "{script}"
    );
    assert!(
        text.contains("\n    # touch '/home/smtpd/q?reboot;/down' && svc -d /service/smtpd\n"),
        "{text}"
    );
    let touch = "touch '/home/smtpd/q?reboot;/down' && svc -d /service/smtpd";
    let word = "# yours to type, as a name in it has a control character (? here): ";
    assert!(
        commands(&text, "To switch over").contains(&format!("{word}{touch}").as_str()),
        "{text}"
    );
    for heading in ["To switch over", "To switch back"] {
        for line in commands(&text, heading) {
            let is_other = line.starts_with('#') || !line.contains("reboot");
            assert!(is_other, "{text}");
        }
    }
    assert!(
        text.ends_with("not checked: `camelpost check --config '/etc/it'\\''s'` does it there\n"),
        "{text}"
    );
}

#[test]
fn a_script_that_the_machine_does_not_know_is_stopped_the_way_it_is_started() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    let start = "/usr/bin/qpsmtpd-forkserver --port 26 --user qpsmtpd";
    machine.put("srv/q/start.sh", &format!("#!/bin/sh\n{start}\n"));
    machine.put(
        "srv/q/mx.service",
        &format!("[Service]\nExecStart={start}\n"),
    );
    for (at, file) in ["/srv/q/start.sh", "/srv/q/mx.service"]
        .into_iter()
        .enumerate()
    {
        let words = ["--root", "@ROOT@", "--from", "/etc/qpsmtpd", "--init", file];
        let is_systemd = at == 0;
        let mut words = words.to_vec();
        words.push("--force");
        let (text, status) = said(&migrate(&machine.site, &words));
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains("--port 26"), "{text}");
        let over = commands(&text, "To switch over");
        let stop = "# stop the old server the way it is started, then:";
        assert!(over.contains(&stop), "{text}");
        for heading in ["To switch over", "To switch back"] {
            let commands = commands(&text, heading).join("\n");
            assert!(
                !commands.contains("start.sh") && !commands.contains("mx"),
                "{text}"
            );
        }
        let restarts = over.contains(&"systemctl restart camelpost");
        assert_eq!(restarts, is_systemd, "{text}");
        let systemd = machine.site.path("usr/lib/systemd/systemd");
        let _ = fs::remove_file(systemd);
    }
}
