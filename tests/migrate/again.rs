//! Who has switched, gone back and migrated again is led there and back once more by what is printed then.

use std::fs;
use std::process::Command;

use crate::machines::Machine;
use crate::started::{commands, no_supervisor, run};
use crate::{migrate, said};

/// Another machine's, whatever an earlier migration has left there.
const OF_SME: [&str; 5] = [
    "--root",
    "@ROOT@",
    "--from",
    "/var/service/qpsmtpd/config",
    "--force",
];
const OF_DEBIAN: [&str; 5] = ["--root", "@ROOT@", "--from", "/etc/qpsmtpd", "--force"];

fn migrated(machine: &Machine, words: &[&str]) -> String {
    let (text, status) = said(&migrate(&machine.site, words));
    assert_eq!(status, Some(0), "{text}");
    text
}

#[test]
fn a_service_of_daemontools_s_is_switched_a_second_time() {
    let machine = Machine::here();
    machine.sme(25);
    let site = &machine.site;
    for name in ["new", "var/service/qpsmtpd/log/main"] {
        machine.dir(name);
    }
    for name in ["cur", "new", "tmp"] {
        machine.dir(&format!("var/spool/Maildir/{name}"));
    }
    machine.allow("new", 0o755);
    machine.allow("var/service/qpsmtpd/log/main", 0o750);
    machine.put(
        "var/service/qpsmtpd/log/run",
        "#!/bin/sh\n# not ./main\nexec envdir ./env setuidgid @ME@ multilog t ./main\n",
    );
    machine.put("var/service/qpsmtpd/log/env/TZ", "UTC\n");
    no_supervisor(&machine);
    // A link beside the one that is found, as the machine's own directories of services are not the site's.
    let words = [
        "--from",
        "@ROOT@/var/service/qpsmtpd/config",
        "--init",
        "@ROOT@/var/service/qpsmtpd/run",
        "--to",
        "@ROOT@/new/config",
        "--spool-dir",
        "@ROOT@/new/spool",
        "--force",
    ];
    let new = site.path("var/service/camelpost");
    let text = migrated(&machine, &words);
    run(&machine, &text, "To switch over");
    let main = fs::metadata(new.join("log/main")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&main.permissions()) & 0o777,
        0o750
    );
    assert_eq!(site.read("var/service/camelpost/log/env/TZ"), "UTC\n");
    run(&machine, &text, "To switch back");
    assert!(new.join("down").exists());
    // Something is another than before.
    let script = site.read("var/service/qpsmtpd/run").replace(":-40", ":-41");
    site.put("var/service/qpsmtpd/run", &script);
    let log = site
        .read("var/service/qpsmtpd/log/run")
        .replace("multilog t", "multilog t s99999");
    site.put("var/service/qpsmtpd/log/run", &log);
    let text = migrated(&machine, &words);
    // And the same once more is the same.
    for _ in 0..2 {
        run(&machine, &text, "To switch over");
        let mut names: Vec<String> = fs::read_dir(&new)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["log", "run"], "{text}");
        let script = site.read("var/service/camelpost/run");
        assert!(script.contains("--limit-connections 41"), "{script}");
        assert_eq!(script, site.read("new/config/migrated/run"));
        assert!(site.path("var/service/qpsmtpd/down").exists());
        assert!(!site.path("var/service/.camelpost").exists());
        let asked = site.read("new/asked");
        let mut last = asked.lines().rev();
        let mut is_asked = |commands: [&str; 2], name: &str| {
            let line = last.next().unwrap();
            let is_any = commands.iter().any(|command| line.contains(command));
            assert!(is_any && line.ends_with(name), "{asked}");
        };
        // The log's script is another one, too.
        is_asked([" term ", " -t "], "/var/service/camelpost/log");
        is_asked([" up ", " -u "], "/var/service/camelpost");
        assert_eq!(site.read("var/service/camelpost/log/run"), log);
    }
    run(&machine, &text, "To switch back");
    assert!(new.join("down").exists() && !site.path("var/service/qpsmtpd/down").exists());
}

#[test]
fn the_link_of_a_service_is_made_where_there_is_none() {
    let machine = Machine::elsewhere();
    machine.sme(25);
    let link = "ln -sT /var/service/camelpost /service/camelpost";
    let of = |text: &str| commands(text, "To switch over").join("\n");
    let first = of(&migrated(&machine, &OF_SME));
    assert!(first.contains(link) && !first.contains("svc -u"), "{first}");
    for name in ["run", "log/run"] {
        let script = machine.site.read(&format!("etc/camelpost/migrated/{name}"));
        machine.put(&format!("var/service/camelpost/{name}"), &script);
    }
    let second = of(&migrated(&machine, &OF_SME));
    // What finds the link starts the service.
    assert!(
        second.contains(&format!("\nrm -f /var/service/camelpost/down\n{link}\n")),
        "{second}"
    );
    let to = machine.site.path("service/camelpost");
    std::os::unix::fs::symlink("../var/service/camelpost", to).unwrap();
    let third = of(&migrated(&machine, &OF_SME));
    assert!(
        !third.contains("ln -s")
            && third.contains(
                "\nrm -f /var/service/camelpost/down && svc -t /service/camelpost && svc -u /service/camelpost\n"
            ),
        "{third}"
    );
}

#[test]
fn a_service_camelpost_that_is_another_s_stays_as_it_is() {
    let machine = Machine::elsewhere();
    machine.sme(25);
    let of = |text: &str| commands(text, "To switch over").join("\n");
    let own = "#!/bin/sh\nexec camelpost serve\n";
    // The administrator's, and that of another old server.
    let script = "#!/bin/sh\n# Written by `camelpost migrate`: what /service/second/run starts, with Camelpost.\n";
    for script in [own, script] {
        machine.put("var/service/camelpost/run", script);
        let over = of(&migrated(&machine, &OF_SME));
        assert!(
            over.starts_with("# a service camelpost is there, and is none that takes this one's place: the new one is camelpost-mx\n"),
            "{over}"
        );
        assert!(
            over.contains("\nmv -T /var/service/.camelpost-mx /var/service/camelpost-mx\nln -sT /var/service/camelpost-mx /service/camelpost-mx\n"),
            "{over}"
        );
        assert!(!over.contains("/var/service/camelpost/"), "{over}");
    }
    // What an earlier switch has made is found again.
    let script = machine.site.read("etc/camelpost/migrated/run");
    machine.put("var/service/camelpost-mx/run", &script);
    let over = of(&migrated(&machine, &OF_SME));
    assert!(
        over.contains(
            "\ninstall -D -m 755 /etc/camelpost/migrated/run /var/service/camelpost-mx/run\n"
        ),
        "{over}"
    );
}

#[test]
fn the_rotation_of_logs_is_as_it_was_after_the_way_back() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    let file = "etc/logrotate.d/qpsmtpd";
    let idiom = "if [ -x /usr/sbin/invoke-rc.d ]; then invoke-rc.d qpsmtpd restart >/dev/null; else /etc/init.d/qpsmtpd restart; fi";
    let before = machine
        .site
        .read(file)
        .replace("/etc/init.d/qpsmtpd restart", idiom)
        .replace(
            "\tendscript",
            "/usr/sbin/service qpsmtpd restart\n\tendscript",
        );
    machine.site.put(file, &before);
    let rotate = |text: &str, heading: &str| {
        let lines = commands(text, heading).into_iter();
        let lines: Vec<String> = lines
            .filter(|line| line.contains("/etc/logrotate.d/") && !line.starts_with('#'))
            .map(|line| {
                line.replace(
                    "/etc/logrotate.d/",
                    &format!("{}/etc/logrotate.d/", machine.site.root().display()),
                )
            })
            .collect();
        let status = Command::new("sh").args(["-ec", &lines.join("\n")]).status();
        assert!(status.unwrap().success(), "{lines:?}");
        lines.len()
    };
    let text = migrated(&machine, &OF_DEBIAN);
    // Once more is the same.
    for _ in 0..2 {
        assert_eq!(rotate(&text, "To switch over"), 2);
    }
    let over = machine.site.read(file);
    assert!(
        !over.contains("restart") && over.matches(" systemctl reload camelpost").count() == 2,
        "{over}"
    );
    assert!(over.contains("\nsystemctl reload camelpost\n"), "{over}");
    // Nobody has gone back.
    for _ in 0..2 {
        let text = migrated(&machine, &OF_DEBIAN);
        assert_eq!(rotate(&text, "To switch over"), 0);
        assert_eq!(machine.site.read(file), over);
    }
    // The package has brought a file that is new in part.
    let mixed = over.replace(
        "\nsystemctl reload camelpost\n",
        "\nservice qpsmtpd restart\n",
    );
    machine.site.put(file, &mixed);
    let text = migrated(&machine, &OF_DEBIAN);
    assert_eq!(rotate(&text, "To switch over"), 2);
    assert_eq!(machine.site.read(file), over);
    assert_eq!(rotate(&text, "To switch back"), 1);
    assert_eq!(machine.site.read(file), before);
    let kept = "etc/logrotate.d/qpsmtpd.before-camelpost~";
    assert!(!machine.site.path(kept).exists());
    // What was there before is not made up.
    machine.site.put(file, &over);
    let text = migrated(&machine, &OF_DEBIAN);
    assert_eq!(rotate(&text, "To switch back"), 0);
    assert!(
        text.contains("nobody has kept what it was before"),
        "{text}"
    );
}

#[test]
fn instances_are_told_of_until_they_are_moved() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    machine.put("etc/camelpost/instances/second/plugins", "rcpt_ok\n");
    for _ in 0..2 {
        let text = migrated(&machine, &OF_DEBIAN);
        assert_eq!(
            commands(&text, "To switch over")[..2],
            [
                "# the instances of camelpost@.service, which are not in the copy:",
                "mv /etc/camelpost.orig/instances /etc/camelpost"
            ]
        );
    }
    let at = |name: &str| machine.site.path(name);
    fs::rename(
        at("etc/camelpost.orig/instances"),
        at("etc/camelpost/instances"),
    )
    .unwrap();
    let text = migrated(&machine, &OF_DEBIAN);
    assert_eq!(
        commands(&text, "To switch over")[1],
        "mv /etc/camelpost.orig3/instances /etc/camelpost"
    );
}

#[test]
fn instances_go_beside_those_of_the_copy_unless_a_name_is_in_both() {
    let machine = Machine::elsewhere();
    machine.debian(25);
    machine.put("etc/camelpost/instances/second one/plugins", "rcpt_ok\n");
    machine.put("etc/camelpost/instances/third/plugins", "rcpt_ok\n");
    machine.put("etc/qpsmtpd/instances/own/plugins", "rcpt_ok\n");
    let text = migrated(&machine, &OF_DEBIAN);
    assert_eq!(
        commands(&text, "To switch over")[1],
        "mv -t /etc/camelpost/instances '/etc/camelpost.orig/instances/second one' /etc/camelpost.orig/instances/third"
    );
    machine.put("etc/qpsmtpd/instances/third/plugins", "rcpt_ok\n");
    let text = migrated(&machine, &OF_DEBIAN);
    assert_eq!(
        commands(&text, "To switch over")[1..3],
        [
            "mv -t /etc/camelpost/instances '/etc/camelpost.orig/instances/second one'",
            "# the instance third in /etc/camelpost.orig/instances stays there, as the copy has one of that name, too: what \
             differs is yours to move"
        ]
    );
}
