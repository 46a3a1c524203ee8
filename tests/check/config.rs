//! `camelpost config`: what counts, and which line says it.

use std::process::{Command, Output};

use camelpost_support::Site;

use crate::{CAMELPOST, said, usual};

fn run(site: &Site, words: &[&str]) -> Output {
    Command::new(CAMELPOST)
        .args(["config", "--config"])
        .arg(site.path("config"))
        .args(words)
        .current_dir(site.root())
        .output()
        .unwrap()
}

fn config(site: &Site, words: &[&str]) -> Vec<String> {
    said(site, &run(site, words).stdout)
}

#[test]
fn each_value_has_its_unit_and_the_line_that_says_it_or_is_a_default() {
    let site = usual();
    site.config("databytes", "# ten\n10485760\n");
    site.config("rcpthosts", "example.org\n$include more\n");
    site.config("more", "example.net\n");
    let lines = config(&site, &[]);
    for line in [
        "databytes = 10485760 bytes  (@ROOT@/config/databytes:2)",
        "error_limit = 20 errors  (default)",
        "compat = 1.00  (@ROOT@/config/compat:1)",
        "plugins = taker  (@ROOT@/config/plugins:1)",
        "spool_dir = @ROOT@/spool/  (@ROOT@/config/spool_dir:1)",
        "timeout = 1200 seconds  (default)",
        "rcpthosts = 2 lines  (@ROOT@/config/rcpthosts)",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line}\n{lines:#?}"
        );
    }
    assert_eq!(
        config(&site, &["rcpthosts"]),
        [
            "rcpthosts = example.org  (@ROOT@/config/rcpthosts:1)",
            "rcpthosts = example.net  (@ROOT@/config/more:1)",
        ]
    );
    let set = config(&site, &["--not-default"]);
    assert!(
        !set.iter().any(|line| line.contains("(default)")),
        "{set:#?}"
    );
    assert_eq!(
        config(&site, &["error_limit"]),
        ["error_limit = 20 errors  (default)"]
    );
    assert_eq!(
        config(&site, &["badhelo"]),
        ["badhelo = (nothing)  (default)"]
    );
}

#[test]
fn scripts_get_json() {
    let site = usual();
    site.config("databytes", "7\n");
    let text = String::from_utf8(run(&site, &["--json", "databytes"]).stdout).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["value"], "7");
    assert_eq!(line["unit"], "bytes");
    assert_eq!(line["default"], false);
    assert_eq!(line["line"], 1);
    let all = String::from_utf8(run(&site, &["--json"]).stdout).unwrap();
    for line in all.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["name"].is_string());
    }
}

#[test]
fn an_unknown_name_is_one_line_with_the_likely_one() {
    let site = usual();
    let output = run(&site, &["databyte"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(
        said(&site, &output.stderr),
        [
            "camelpost: databyte: no setting and no file of the config directory has this name; databytes is one"
        ]
    );
}

#[test]
fn a_wrong_value_is_told_of_and_counts_as_a_failure() {
    let site = usual();
    site.config("databytes", "many\n");
    let output = run(&site, &[]);
    assert_eq!(output.status.code(), Some(1));
    let wrong = "databytes is wrong: @ROOT@/config/databytes:1: databytes is \"many\"; it must be a number of bytes";
    let lines = said(&site, &output.stdout);
    assert!(lines.iter().any(|line| line == wrong), "{lines:#?}");
    assert_eq!(run(&site, &["error_limit"]).status.code(), Some(0));
}

#[test]
fn passwords_are_not_shown() {
    let site = usual();
    site.config("flat_auth_pw", "user@example.org:geheim\n");
    site.config("store", "redis://smtp:geheim@store.example/1\n");
    for words in [&[][..], &["flat_auth_pw"], &["store"], &["--json"]] {
        let output = run(&site, words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.is_empty() && !text.contains("geheim"), "{text}");
    }
    assert_eq!(
        config(&site, &["store"]),
        ["store = redis://store.example:6379/1  (@ROOT@/config/store:1)"]
    );
}

#[test]
fn a_directory_that_is_none_is_one_line() {
    for command in ["config", "hooks"] {
        let output = Command::new(CAMELPOST)
            .args([command, "--config", "/no/such/directory"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("camelpost: config directory /no/such/directory: "),
            "{said}"
        );
    }
}
