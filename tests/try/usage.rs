//! What is said where there is no session.

use std::process::Output;

use camelpost_support::Site;
use camelpost_support::process::as_root;

use crate::played::{CAMELPOST, command, run};

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_config_directory_that_is_not_there_is_named() {
    let site = Site::new("taker\n");
    let mut command = site.command(CAMELPOST);
    command.args(["try", "--config"]).arg(site.path("nowhere"));
    as_root(&mut command);
    let text = said(&run(command, ""));
    assert!(
        text.contains(&site.path("nowhere").display().to_string()),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_configuration_that_cannot_be_loaded_is_one_line_as_check_has_it() {
    let site = Site::new("taker\nnowhere\n");
    let text = said(&run(command(&site, &["--from", "a@b.example"]), ""));
    let mut check = site.command(CAMELPOST);
    check.args(["check", "--config"]).arg(site.path("config"));
    as_root(&mut check);
    let checked = run(check, "");
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    let line = checked
        .lines()
        .find_map(|line| line.strip_prefix("error: "))
        .unwrap();
    assert_eq!(text, format!("camelpost: {line}\n"));
    assert!(line.contains("config/plugins:2: plugin nowhere"), "{line}");
}

#[test]
fn a_message_file_that_is_not_there_is_named_before_anything_is_loaded() {
    let site = Site::new("nowhere\n");
    let file = site.path("no.txt").display().to_string();
    let more = ["--rcpt", "c@example.org", "--message", &file];
    let text = said(&run(command(&site, &more), ""));
    assert_eq!(
        text,
        format!(
            "camelpost: cannot read the message {file}: No such file or directory; name another file \
             with --message\n"
        )
    );
}

#[test]
fn wrong_usage_has_the_status_2() {
    let site = Site::new("taker\n");
    for (more, part) in [
        (&["--ip", "here"][..], "--ip"),
        (&["--message", "x"], "--rcpt"),
        (&["--helo", "a\r\nNOOP", "--from", "x"], "--helo"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let text = said(&run(command(&site, more), ""));
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn starttls_is_not_played() {
    let site = Site::new("taker\n");
    let output = run(command(&site, &["-H"]), "EHLO x\nSTARTTLS\nQUIT\n");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        text,
        "camelpost: STARTTLS is not played; --tls tries a session in TLS\n"
    );
}

#[test]
fn what_plugins_print_while_they_load_is_not_the_client_s() {
    let site = Site::new("loud\ntaker\n");
    site.put(
        "plugins/loud",
        "sub register { local $| = 1; print STDOUT \"250 loaded\\n\" }",
    );
    let output = run(command(&site, &["-H", "--from", "a@b.example"]), "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("loaded"), "{text}");
    assert!(text.starts_with("< 220 "), "{text}");
}
