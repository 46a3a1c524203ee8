//! What is printed of whole machines, and written beside the configuration, held against files. UPDATE_EXPECTED=1 writes them anew.

use std::fs;

use camelpost_support::golden::assert_golden;
use camelpost_support::{Site, me, repository};

use crate::machines::Machine;
use crate::{is_as_before, migrate, said, state};

fn same_as(name: &str, text: &str) {
    // Only root gives a directory to the service's user.
    let lines = text
        .split('\n')
        .map(|line| match line.split_once(": made, for ") {
            Some((directory, _)) => format!("{directory}: made, for USER"),
            None => line.to_owned(),
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_golden("migrate", name, &text);
}

/// Migrates another machine's directory, and looks at what there is to read; the old one is as it was.
fn migrated(machine: &Machine, from: &str, name: &str) {
    let site: &Site = &machine.site;
    // What is new, and the directories that have it in them.
    let new = ["etc", "home/smtpd", "var/spool"];
    let before = state(site.root(), &new);
    let old = state(&site.path(&from[1..]), &[]);
    let (text, status) = said(&migrate(site, &["--root", "@ROOT@", "--from", from]));
    assert_eq!(status, Some(0), "{text}");
    is_as_before(&before, &state(site.root(), &new));
    is_as_before(&old, &state(&site.path(&from[1..]), &[]));
    same_as(&format!("{name}.txt"), &text);
    let readme = site.read("etc/camelpost/migrated/README");
    assert!(readme.ends_with(&text), "{readme}");
    for file in ["camelpost.service.d/qpsmtpd.conf", "run", "log/run"] {
        let path = format!("etc/camelpost/migrated/{file}");
        let golden = format!("{name}_{}", file.replace('/', "_"));
        let is_expected = repository()
            .join("tests/migrate/golden")
            .join(&golden)
            .exists();
        if site.path(&path).exists() || is_expected {
            same_as(&golden, &site.read(&path));
        }
    }
}

#[test]
fn debian_s_package_with_its_init_script() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    migrated(&machine, "/etc/qpsmtpd", "debian");
}

#[test]
fn an_init_script_where_there_is_no_systemd() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    fs::remove_file(machine.site.path("usr/lib/systemd/systemd")).unwrap();
    migrated(&machine, "/etc/qpsmtpd", "sysv");
}

#[test]
fn a_machine_as_sme_server_has_it() {
    let machine = Machine::elsewhere();
    machine.sme(25);
    machine.put("usr/bin/sv", "");
    migrated(&machine, "/var/service/qpsmtpd/config", "sme");
}

#[test]
fn the_sources_under_tcpserver() {
    let machine = Machine::elsewhere();
    machine.tcpserver("0 smtp");
    migrated(&machine, "/home/smtpd/qpsmtpd/config", "tcpserver");
}

#[test]
fn a_unit_of_systemd_s_with_prefork_and_a_queue_that_gains_rights() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    machine.put("etc/qpsmtpd/debian-queue-method", "queue/exim-bsmtp\n");
    machine.put("etc/qpsmtpd/logging", "logging/syslog\n");
    machine.put("etc/qpsmtpd/rcpthosts", "$include /etc/mail/domains\n");
    machine.put("etc/mail/domains", "example.org\n");
    machine.put(
        "etc/systemd/system/mx.service",
        "[Service]\nUser=qpsmtpd\nEnvironment=QPSMTPD_CONFIG=/etc/qpsmtpd\nWorkingDirectory=/var/spool/qpsmtpd\n\
         ExecStart=/usr/bin/qpsmtpd-prefork --user qpsmtpd --interface 192.0.2.1 --port 25 --children 20 --max-from-ip 0\n",
    );
    machine.put("lib/systemd/system/camelpost.service", "[Service]\n");
    migrated(&machine, "/etc/qpsmtpd", "unit");
}

#[test]
fn paths_that_the_packaged_unit_hides_or_does_not_let_be_written() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    machine.dir("var/tmp");
    machine.dir("var/log");
    machine.dir("home/joe");
    machine.dir("srv");
    machine.put("usr/bin/true", "");
    machine.put(
        "etc/qpsmtpd/plugins",
        "auth/auth_checkpassword checkpw /usr/bin/checkpassword true /usr/bin/true\nvirus/clamdscan clamd_socket=/tmp/clamd\n\
         greylisting db_dir /srv/grey/db\nqueue/maildir /srv/mail/in\nqueue/maildir:1 /var/tmp/md\nqueue/maildir:2 /home/joe/Maildir\n",
    );
    machine.put("etc/qpsmtpd/logging", "logging/file 6 /var/log/q.log\n");
    machine.put("lib/systemd/system/camelpost.service", "[Service]\n");
    machine.put(
        "etc/default/camelpost",
        "OPTIONS=\"--listen-address 127.0.0.1 --port 2525 --metrics 127.0.0.1:9100\"\n",
    );
    let words = ["--root", "@ROOT@", "--from", "/etc/qpsmtpd"];
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    // What is shared and how it is started; all else is as above.
    let from = text.find("\nShared").unwrap();
    let to = text.find("\nOther limits").unwrap();
    same_as("paths.txt", &text[from..to]);
    let drop_in = "camelpost.service.d/qpsmtpd.conf";
    let name = format!("paths_{}", drop_in.replace('/', "_"));
    let own = format!("etc/camelpost/migrated/{drop_in}");
    same_as(&name, &machine.site.read(&own));
}

#[test]
fn scripts_get_json_and_a_dry_run_writes_nothing() {
    let machine = Machine::elsewhere();
    machine.tcpserver("0 smtp");
    let before = state(machine.site.root(), &[]);
    let words = [
        "--root",
        "@ROOT@",
        "--from",
        "/home/smtpd/qpsmtpd/config",
        "--dry-run",
        "--json",
    ];
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    is_as_before(&before, &state(machine.site.root(), &[]));
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["event"].is_string(), "{line}");
    }
    // As above.
    let own = format!("\"owner\":\"{}\"", me());
    same_as("dry_run.json", &text.replace(&own, "\"owner\":\"smtpd\""));
}
