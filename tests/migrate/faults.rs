//! What is wrong is one line, and nothing is left behind; what was there is kept.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use camelpost_support::process::{is_root, uid};

use crate::machines::Machine;
use crate::{CAMELPOST, is_as_before, migrate, said, state};

const FROM: &str = "@ROOT@/home/smtpd/qpsmtpd/config";

fn machine() -> Machine {
    let machine = Machine::here();
    machine.tcpserver("127.0.0.1 2525");
    machine.dir("new");
    machine
}

/// One line that has this in it, with status 2.
fn is_refused(output: &Output, part: &str) {
    let (text, status) = said(output);
    assert_eq!(status, Some(2), "{text}");
    assert!(
        text.starts_with("camelpost: ") && text.contains(part),
        "{part}\n{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn what_cannot_be_migrated_is_one_line_and_leaves_nothing() {
    let machine = machine();
    machine.put("new/full/mine", "edited\n");
    machine.put("new/file", "");
    machine.put("new/other/config/plugins", "");
    let before = state(machine.site.root(), &[]);
    let to = "@ROOT@/new/config";
    for (words, part) in [
        (
            vec!["--from", "/no/such/directory", "--to", to],
            "/no/such/directory: No such file or directory",
        ),
        (
            vec!["--from", "@ROOT@/new/file", "--to", to],
            "it is not a directory",
        ),
        (
            vec!["--from", "@ROOT@/new", "--to", to],
            "it is no config directory of qpsmtpd's: it has no file plugins",
        ),
        (
            // There plugins is the directory of the plugins themselves.
            vec!["--from", "@ROOT@/home/smtpd/qpsmtpd", "--to", to],
            "/home/smtpd/qpsmtpd/config has one",
        ),
        (
            vec!["--from", "@ROOT@/new/other", "--to", to],
            "new/other/config has one",
        ),
        (
            vec!["--from", FROM, "--to", FROM],
            "it is the directory that is to be copied",
        ),
        (
            vec![
                "--from",
                FROM,
                "--to",
                "@ROOT@/home/smtpd/qpsmtpd/config/new",
            ],
            "it is in the directory that is to be copied",
        ),
        (
            vec!["--from", FROM, "--to", "@ROOT@/home/smtpd/qpsmtpd"],
            "the directory that is to be copied is in it",
        ),
        (
            vec!["--from", FROM, "--to", "@ROOT@/no/new"],
            "the directory that it is to be in is not there",
        ),
        (
            vec!["--from", FROM, "--to", "@ROOT@/new/full"],
            "it is there and not empty (mine)",
        ),
        (
            vec!["--from", FROM, "--to", "@ROOT@/new/file"],
            "it is there, and no directory",
        ),
        (
            vec!["--from", FROM, "--to", to, "--compat", "0.40"],
            "--compat 0.40: it has to be 0.94",
        ),
        (
            vec!["--from", FROM, "--to", to, "--init", "@ROOT@/new/none"],
            "there is no such script or unit",
        ),
        (
            vec!["--from", FROM, "--to", to, "--init", "@ROOT@/new/file"],
            "no command in it starts qpsmtpd",
        ),
        (
            vec!["--from", "@ROOT@/new\nreboot", "--to", to],
            "/new?reboot: it has a control character",
        ),
        (
            vec!["--from", FROM, "--to", "@ROOT@/new/\tconfig"],
            "/new/?config: it has a control character",
        ),
        (
            vec!["--from", FROM, "--to", to, "--init", "/a\nb"],
            "--init /a?b: it has",
        ),
        (
            vec!["--from", FROM, "--to", to, "--spool-dir", "/a\rb"],
            "--spool-dir /a?b: it has",
        ),
        (
            vec!["--from", FROM, "--to", to, "--root", "/a\nb"],
            "--root /a?b: it has",
        ),
        (
            vec!["--from", FROM, "--to", to, "--root", "@ROOT@/new/file"],
            "it is not a directory",
        ),
    ] {
        is_refused(&migrate(&machine.site, &words), part);
    }
    is_as_before(&before, &state(machine.site.root(), &[]));
}

#[test]
fn a_version_that_nothing_tells_is_asked_for() {
    let machine = Machine::elsewhere();
    machine.put("etc/qpsmtpd/plugins", "rcpt_ok\n");
    let words = ["--root", "@ROOT@", "--from", "/etc/qpsmtpd"];
    is_refused(
        &migrate(&machine.site, &words),
        "say it with --compat 0.94 or --compat 1.00",
    );
    let mut words = words.to_vec();
    words.extend(["--compat", "1.00"]);
    let (text, status) = said(&migrate(&machine.site, &words));
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("no script or unit that starts it was found: name one with --init FILE"),
        "{text}"
    );
    assert_eq!(machine.site.read("etc/camelpost/compat"), "1.00\n");
}

#[test]
fn a_file_that_cannot_be_read_is_told_of_before_anything_is_written() {
    if !is_root() {
        eprintln!("needs root");
        return;
    }
    let machine = machine();
    machine.put("home/smtpd/qpsmtpd/config/flat_auth_pw", "a:b\n");
    machine.allow("home/smtpd/qpsmtpd/config/flat_auth_pw", 0o600);
    machine.allow("new", 0o777);
    // The directory that it was built in may be closed to others.
    fs::copy(CAMELPOST, machine.site.path("camelpost")).unwrap();
    let before = state(machine.site.root(), &[]);
    let output = Command::new(machine.site.path("camelpost"))
        .args([
            "migrate",
            "--from",
            &machine.site.filled(FROM),
            "--to",
            &machine.site.filled("@ROOT@/new/config"),
        ])
        .uid(uid("nobody"))
        .output()
        .unwrap();
    is_refused(&output, "flat_auth_pw: Permission denied");
    is_as_before(&before, &state(machine.site.root(), &[]));
}

#[test]
fn with_force_what_was_there_is_kept_with_what_was_edited() {
    let machine = machine();
    let words = [
        "--from",
        FROM,
        "--init",
        "@ROOT@/home/smtpd/qpsmtpd/run",
        "--to",
        "@ROOT@/new/config",
        "--spool-dir",
        "@ROOT@/new/spool",
        "--force",
    ];
    for round in 0..3 {
        let (text, status) = said(&migrate(&machine.site, &words));
        assert_eq!(status, Some(0), "{text}");
        if round > 0 {
            let kept = machine
                .site
                .filled(&format!("@ROOT@/new/config.orig{}", ["", "", "2"][round]));
            assert!(text.contains(&format!("it is kept as {kept}\n")), "{text}");
            assert!(
                text.contains(&format!("{kept}/rcpthosts is not the same in the new one")),
                "{text}"
            );
            assert!(
                text.contains(&format!("{kept}/mine is not the same in the new one")),
                "{text}"
            );
            assert_eq!(text.matches("is not the same").count(), 2, "{text}");
        }
        machine.put("new/config/rcpthosts", &format!("edited{round}.example\n"));
        machine.put("new/config/mine", "x\n");
    }
    assert_eq!(
        machine.site.read("new/config.orig/rcpthosts"),
        "edited0.example\n"
    );
    assert_eq!(
        machine.site.read("new/config.orig2/rcpthosts"),
        "edited1.example\n"
    );
    assert!(!machine.site.path("new/config.orig3").exists());
}

/// A file system that is too small; where nobody may mount one, a limit for the size of files.
#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let machine = machine();
    let site = &machine.site;
    machine.put("home/smtpd/qpsmtpd/config/large", &"x\n".repeat(100_000));
    let before = state(site.root(), &["new"]);
    let call = format!(
        "{CAMELPOST} migrate --from {} --to {}/config --spool-dir {}/spool; echo status $?; ls -A {}",
        site.filled(FROM),
        site.path("new").display(),
        site.path("new").display(),
        site.path("new").display()
    );
    let mount = format!(
        "mount -t tmpfs -o size=64k none {} && {call}",
        site.path("new").display()
    );
    let run = |program: &[&str], script: &str| {
        Command::new(program[0])
            .args(&program[1..])
            .arg(script)
            .output()
            .unwrap()
    };
    let small = run(&["unshare", "-m", "sh", "-c"], &mount);
    let (text, _) = match said(&small) {
        (text, status) if text.contains("status ") => (text, status),
        _ => {
            eprintln!("nothing can be mounted here: the size of files is limited");
            said(&run(
                &["sh", "-c"],
                &format!("trap '' XFSZ; ulimit -f 64; {call}"),
            ))
        }
    };
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.contains(&"status 2"), "{text}");
    let problem = lines
        .iter()
        .find(|line| line.starts_with("camelpost: cannot write "));
    assert!(
        problem.is_some_and(|line| line.contains("large: ")),
        "{text}"
    );
    is_as_before(&before, &state(site.root(), &["new"]));
}
