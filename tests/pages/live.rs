//! When a setting counts, as docs/reference.md has it, in a daemon that runs: for the next connection, or at a reload,
//! which a wrong value makes fail.

use std::process::Command;

use camelpost_support::{Client, Server, Setup, Site};

use crate::CAMELPOST;
use crate::page::Page;

/// The settings of docs/reference.md whose line has this in it.
fn settings(words: &str) -> Vec<String> {
    let page = Page::of("docs/reference.md").text;
    let sections = page.split("\n### ").skip(1);
    let parts = sections.filter_map(|section| section.split_once('\n'));
    let found = parts.filter(|(_, text)| {
        let line = text.trim_start().lines().next().unwrap();
        line.starts_with("Default: ") && line.contains(words)
    });
    found.map(|(name, _)| name.to_owned()).collect()
}

fn server() -> Server {
    let site = Site::empty();
    let control = site.path("control").display().to_string();
    Server::start_in(
        site,
        CAMELPOST,
        &Setup {
            plugins: &[("rcpt_ok", "")],
            args: &["--control", &control],
            config: &[("compat", "0.94\n")],
            ..Setup::default()
        },
    )
}

#[test]
fn what_is_read_for_each_connection_counts_for_the_next_one() {
    let named = settings("Read for each connection.");
    assert_eq!(named, ["databytes", "me", "smtpgreeting", "timeout"]);
    let server = server();
    let mut before = Client::when_ready(server.port);
    assert!(before.reply().contains("mx.example "));
    server.config("me", "other.example.org\n");
    server.config("smtpgreeting", "hello\n");
    server.config("databytes", "4711\n");
    server.config("timeout", "1\n");
    let mut after = Client::when_ready(server.port);
    assert_eq!(after.reply().trim_end(), "220 hello ESMTP");
    let ehlo = after.expect("EHLO client.example", "250");
    assert!(
        ehlo.contains("SIZE 4711") && ehlo.contains("other.example.org"),
        "{ehlo}"
    );
    assert!(after.reply().starts_with("421 "), "a second is over");
}

fn reload(server: &Server) -> (bool, String) {
    let mut command = Command::new(CAMELPOST);
    let output = command
        .args(["reload", "--control"])
        .arg(server.site.path("control"))
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_wrong_value_makes_a_reload_fail_and_what_was_loaded_stays() {
    let server = server();
    let mut wrong = 0;
    for name in settings("Read at the start and at a reload.") {
        let lines = settings("in each line").contains(&name);
        let texts = ["plugin_settings", "smtpgreeting", "spool_dir"].contains(&&*name);
        if lines || texts {
            continue;
        }
        let old = std::fs::read_to_string(server.site.path("config").join(&name));
        server.config(&name, "@@ wrong/1\n");
        let (is_loaded, said) = reload(&server);
        let place = format!("/{name}:1: {name} is ");
        assert!(!is_loaded && said.contains(&place), "{name}: {said}");
        match old {
            Ok(old) => server.config(&name, &old),
            Err(_) => std::fs::remove_file(server.site.path("config").join(&name)).unwrap(),
        }
        wrong += 1;
    }
    assert!(wrong > 18, "{wrong}");
    assert!(
        Client::when_ready(server.port)
            .reply()
            .contains("mx.example ")
    );
    assert_eq!(reload(&server), (true, String::new()));
}
