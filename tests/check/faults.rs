//! Findings that need more than a directory: another user, a qpsmtpd that runs, a terminal.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use camelpost_support::{Site, me, until};

use crate::{CAMELPOST, check, found, found_with, said, usual};

/// Ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_file_that_the_service_s_user_cannot_read_is_an_error() {
    if me() != "root" {
        return;
    }
    let site = usual();
    site.config("rcpthosts", "example.org\n");
    site.allow("config/rcpthosts", 0o600);
    site.put("hidden/mine", "sub hook_mail { 1 }\n");
    site.allow("hidden", 0o700);
    site.config("plugin_dirs", "@ROOT@/plugins\n@ROOT@/hidden\n");
    site.config("plugins", "mine\ntaker\n");
    let output = Command::new(CAMELPOST)
        .args(["check", "--user", "nobody", "--config"])
        .arg(site.path("config"))
        .output()
        .unwrap();
    let lines = said(&site, &output.stdout);
    for part in [
        "error: @ROOT@/config/rcpthosts: Permission denied; the service's user has to be able to read it",
        "error: @ROOT@/config/plugins:1: plugin mine: permission denied as user nobody: @ROOT@/hidden/mine",
        "warning: @ROOT@/config/plugin_dirs:2: @ROOT@/hidden: Permission denied",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(part)),
            "{part}\n{lines:#?}"
        );
    }
}

#[test]
fn what_nobody_asks_for_keeps_nothing_from_starting() {
    let site = usual();
    site.config("own", "$include own\n");
    site.config("greylist.dbm", "a\0b");
    let fifo = site.path("config/fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    std::os::unix::fs::symlink("/dev/null", site.path("config/badhelo")).unwrap();
    let (lines, status) = found(&site);
    assert_eq!(status, Some(0));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(lines[0], "warning: @ROOT@/config/fifo: it is not a file");
    let cycle = "warning: @ROOT@/config/own:1: Circular $include reference in config own";
    assert!(lines[1].starts_with(cycle), "{lines:#?}");
}

#[test]
fn plugins_are_loaded_as_the_user_of_the_workers_and_without_capabilities() {
    if me() != "root" {
        return;
    }
    let site = usual();
    site.put(
        "plugins/who",
        "sub register {\n    open my $status, '<', '/proc/self/status' or die;\n    \
         die join ' ', $>, map { /^CapEff:\\s*0*(\\w)/ ? $1 : () } <$status>, \"\\n\";\n}\n",
    );
    site.config("plugins", "who\ntaker\n");
    let output = Command::new(CAMELPOST)
        .args(["check", "--worker-user", "nobody", "--config"])
        .arg(site.path("config"))
        .output()
        .unwrap();
    let lines = said(&site, &output.stdout);
    let who = format!(
        "error: @ROOT@/config/plugins:1: plugin who: {} 0",
        camelpost_support::process::uid("nobody")
    );
    assert!(
        lines.iter().any(|line| line.starts_with(&who)),
        "{who}\n{lines:#?}"
    );
}

#[test]
fn what_a_running_qpsmtpd_writes_to_as_well_is_told_of() {
    let site = usual();
    site.put("old/spool_dir", "@ROOT@/spool/\n");
    site.put("old/plugins", "queue/maildir @ROOT@/Maildir\n");
    site.put("bin/qpsmtpd-forkserver", "sleep 600;\n");
    std::fs::create_dir(site.path("Maildir")).unwrap();
    site.put(
        "plugins/store",
        "sub register { }\nsub hook_queue { return DECLINED }\n",
    );
    site.config("plugins", "store @ROOT@/Maildir/\ntaker\n");
    assert_eq!(found(&site).0, ["no errors, no warnings"]);
    let other = Command::new("perl")
        .arg(site.path("bin/qpsmtpd-forkserver"))
        .env("QPSMTPD_CONFIG", site.path("old"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let other = Running(other);
    let pid = other.0.id();
    let running = format!("/proc/{pid}/exe");
    until("perl", || {
        std::fs::read_link(&running).is_ok_and(|exe| exe.to_string_lossy().contains("perl"))
    });
    let (lines, status) = found(&site);
    assert_eq!(status, Some(0));
    let both = "both write there; name another path while both run";
    let who = format!("qpsmtpd-forkserver (process {pid}) runs and has");
    for line in [
        format!(
            "warning: @ROOT@/config/spool_dir:1: {who} @ROOT@/spool, too (@ROOT@/old/spool_dir:1): {both}"
        ),
        format!(
            "warning: @ROOT@/config/plugins:1: {who} @ROOT@/Maildir, too (@ROOT@/old/plugins:1): {both}"
        ),
    ] {
        assert!(lines.contains(&line), "{line}\n{lines:#?}");
    }
    assert!(
        lines.iter().any(|line| line.contains("these limits hold")),
        "{lines:#?}"
    );
}

#[test]
fn notes_are_for_those_who_ask() {
    let site = usual();
    let (lines, status) = found_with(&site, &["--verbose"]);
    assert_eq!(status, Some(0));
    assert!(
        lines[0].starts_with("note: these limits hold"),
        "{lines:#?}"
    );
    let place = "note: @ROOT@/config/plugins:1: plugin taker: Perl, @ROOT@/plugins/taker; hooks: ";
    assert!(lines[1].starts_with(place), "{lines:#?}");
    assert_eq!(lines[2], "no errors, no warnings, 2 notes");
    let json = check(&site, &["--verbose", "--json"]).stdout;
    let json = String::from_utf8(json).unwrap();
    let last = json.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(
        (&last["severity"], &last["line"]),
        (&"note".into(), &1.into())
    );
}

#[test]
fn a_note_says_where_a_plugin_is_and_of_which_kind() {
    let site = usual();
    site.config(
        "plugin_dirs",
        "/usr/share/qpsmtpd/plugins\n@ROOT@/plugins\n",
    );
    site.config("plugins", "rcpt_ok\nnative/count_recipients max 3\ntaker\n");
    site.config("plugin_settings", "rcpt_ok native\n");
    let (lines, _) = found_with(&site, &["--verbose"]);
    for line in [
        "note: @ROOT@/config/plugins:1: plugin rcpt_ok: native, in the place of /usr/share/qpsmtpd/plugins/rcpt_ok; \
         hooks: rcpt",
        "note: @ROOT@/config/plugins:2: plugin native/count_recipients: native; hooks: rcpt",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line}\n{lines:#?}"
        );
    }
}

#[test]
fn a_terminal_gets_colours_and_no_one_else() {
    let site = usual();
    site.config("plugins", "nowhere\ntaker\n");
    let output = check(&site, &[]);
    assert!(!output.stdout.contains(&0x1b));
    let shown = in_a_terminal(&site);
    assert!(shown.contains("\u{1b}[1;31merror\u{1b}[0m: "), "{shown:?}");
    assert!(
        shown.contains("\u{1b}[1;31m1 error, no warnings\u{1b}[0m"),
        "{shown:?}"
    );
}

/// What the check writes to a terminal.
fn in_a_terminal(site: &Site) -> String {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let name = name.to_str().unwrap();
    let theirs = std::fs::File::options()
        .read(true)
        .write(true)
        .open(name)
        .unwrap();
    let mut command = Command::new(CAMELPOST);
    command.args(["check", "--config"]).arg(site.path("config"));
    camelpost_support::process::as_root(&mut command);
    let mut child = command
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stdout(theirs)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(command);
    let mut ours = std::fs::File::from(ours);
    let mut text = Vec::new();
    let mut block = [0; 4096];
    // The end of the other side is an error here.
    while let Ok(count) = ours.read(&mut block) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&block[..count]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&text).into_owned()
}
