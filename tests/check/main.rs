//! `camelpost check`: every fault of a configuration in one run, with its place, and nothing to say about one that
//! is right; what `camelpost config` and `camelpost hooks` show of one.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

mod config;
mod faults;
mod golden;
mod hooks;
mod plugin;

use std::process::{Command, Output};

use camelpost_support::process::as_root;
use camelpost_support::{Site, repository};

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

fn check(site: &Site, more: &[&str]) -> Output {
    let mut command = Command::new(CAMELPOST);
    command.args(["check", "--config"]).arg(site.path("config"));
    as_root(&mut command);
    command
        .args(more)
        .current_dir(site.root())
        .output()
        .unwrap()
}

/// What was found, the site's directory as `@ROOT@`.
fn found(site: &Site) -> (Vec<String>, Option<i32>) {
    found_with(site, &[])
}

/// The same with further options.
fn found_with(site: &Site, more: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = check(site, more);
    (said(site, &output.stdout), output.status.code())
}

/// Lines without what depends on the machine.
fn said(site: &Site, text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let root = site.root().display().to_string();
    let lines = text.lines().map(|line| line.replace(&root, "@ROOT@"));
    // Another perl than that which this was built with is true, and no concern of these tests.
    let lines = lines.filter(|line| !line.contains("/usr/bin/perl is perl"));
    let lines = lines.map(|line| line.split(" (@INC").next().unwrap_or_default().to_owned());
    lines.collect()
}

/// Where a directory has no `compat`, it has come from qpsmtpd just now.
const LIMITS: &str = "these limits hold, and qpsmtpd has none of them: connections from one address (--max-from-ip, 5 where \
    it is not given), auth_failure_limit 10, command_limit 1000, data_min_rate 100, envelope_size_limit 80000, error_limit \
    20, greeting_timeout 300, header_line_limit 2000, header_size_limit 102400, junk_command_limit 100, recipient_limit \
    1000, session_timeout 3600; 0 in the file of that name, or behind that option, is no limit";

fn usual() -> Site {
    let site = Site::new("taker\n");
    site.config("compat", "1.00\n");
    site
}

#[test]
fn a_configuration_that_is_right_has_nothing_to_say() {
    assert_eq!(
        found(&usual()),
        (vec!["no errors, no warnings".to_owned()], Some(0))
    );
}

#[test]
fn the_configuration_that_ships_is_right() {
    let mut command = Command::new(CAMELPOST);
    command
        .args(["check", "--config", "config"])
        .current_dir(repository());
    as_root(&mut command);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("no errors"), "{said}");
}

#[test]
fn every_broken_line_of_plugins_is_told_of_in_one_run() {
    let site = usual();
    site.put("plugins/broken", "sub hook_mail {\n    my $x = ;\n}\n");
    site.put(
        "plugins/needs",
        "use No::Such::Module;\nsub hook_mail { return DECLINED }\n",
    );
    site.put("plugins/leaves", "sub register { exit 3 }\n");
    site.put("plugins/dies", "sub register { die \"no database\\n\" }\n");
    site.config(
        "plugins",
        "nowhere\nbroken\nneeds\nleaves\ndies\nnative/no_such\nnative/count_recipients maks 3\ntaker\n",
    );
    let (lines, status) = found(&site);
    assert_eq!(status, Some(1));
    assert_eq!(lines.last().unwrap(), "7 errors, no warnings", "{lines:#?}");
    for (line, part) in [
        (
            1,
            "plugin nowhere not found; directories searched: @ROOT@/plugins",
        ),
        (
            2,
            "plugin broken does not compile: syntax error at @ROOT@/plugins/broken line 2",
        ),
        (3, "the Perl module No::Such::Module is missing"),
        (4, "plugin leaves called exit(3) while it was loaded"),
        (5, "plugin dies: no database"),
        (
            6,
            "native/no_such: there is no such native plugin; there are: ",
        ),
        (
            7,
            "native/count_recipients: unknown argument 'maks'; there are: max, loglevel",
        ),
    ] {
        let place = format!("error: @ROOT@/config/plugins:{line}: ");
        let said = lines.iter().find(|said| said.starts_with(&place));
        assert!(
            said.is_some_and(|said| said.contains(part)),
            "{place}{part}\n{lines:#?}"
        );
    }
}

#[test]
fn what_was_meant_otherwise_is_a_warning_and_no_error() {
    let site = usual();
    site.put(
        "plugins/mine",
        "sub hook_rcptt { return DENY }\nsub hook_mail { my @l = $_[0]->qp->config('own_list'); return DECLINED }\n",
    );
    site.put("plugins/idle", "sub helper { 1 }\n");
    site.put(
        "plugins/wrong",
        "sub register { $_[0]->register_hook('data_post', 'chekc') }\n",
    );
    site.config("plugins", "mine\nidle\nwrong\ntaker\n");
    site.config("plugin_dirs", "@ROOT@/plugins\n@ROOT@/plugin\n");
    site.config("rcpthosts", "a.example\n$include more_hosts\n");
    site.config("rcpthotss", "b.example\n");
    site.config("own_lits", "c\n");
    site.config("nobodys_business", "d\n");
    site.config("me", "\u{feff}mx.example\n");
    site.config("flat_auth_pw", "user:secret\n");
    site.allow("config/flat_auth_pw", 0o644);
    std::fs::remove_file(site.path("config/compat")).unwrap();
    let (mut lines, status) = found(&site);
    assert_eq!(status, Some(0));
    assert_eq!(lines.pop().unwrap(), "no errors, 11 warnings", "{lines:#?}");
    let mut expected = [
        "@ROOT@/plugins/mine:1: plugin mine: there is no hook of the name rcptt, so nothing calls hook_rcptt; hook_rcpt is one",
        "@ROOT@/config/plugins:2: plugin idle has no hooks: nothing calls it",
        "@ROOT@/config/plugins:3: plugin wrong registers chekc for the hook data_post, and has no such sub: each call of it dies",
        "@ROOT@/config/plugin_dirs:2: @ROOT@/plugin: No such file or directory",
        "@ROOT@/config/rcpthosts:2: there is no more_hosts, so this $include is nothing",
        "@ROOT@/config/rcpthotss: nothing asks for a file of this name; rcpthosts is asked for",
        "@ROOT@/config/own_lits: nothing asks for a file of this name; own_list is asked for",
        "@ROOT@/config/me: a byte order mark (EF BB BF) is at its head, and a part of the first line: save it without",
        "@ROOT@/config/flat_auth_pw: it has passwords, and every user may read it (mode 644): chmod o-r",
        "@ROOT@/config/compat: there is no such file, so plugins find qpsmtpd 1.00; write 0.94 or 1.00 into it, \
         whichever they were written for",
        LIMITS,
    ]
    .map(|text| format!("warning: {text}"));
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn a_log_that_cannot_be_written_is_told_of() {
    let site = usual();
    site.put(
        "plugins/logging/file",
        "sub hook_logging { return DECLINED }\n",
    );
    for (path, is_fine) in [("log", true), ("none/log", false), ("none/%Y.log", false)] {
        let line = format!("logging/file loglevel LOGINFO @ROOT@/{path}\n");
        site.config("logging", &line);
        let (lines, _) = found(&site);
        let text = format!(
            "warning: @ROOT@/config/logging:1: logging/file cannot write @ROOT@/{path} (No such file or directory), \
             so nothing is logged there; the service's user has to be able to"
        );
        assert_eq!(!lines.contains(&text), is_fine, "{path} {lines:#?}");
    }
}

#[test]
fn wrong_values_are_all_told_of_with_their_lines() {
    let site = usual();
    site.config("databytes", "# a comment\nmany\n");
    site.config("size_threshold", "-1\n");
    site.config("plugin_settings", "taker on_error maybe\n");
    site.config("rcpthosts", "$include x2\n");
    site.config("x2", "$include rcpthosts\n");
    let (lines, status) = found(&site);
    assert_eq!(status, Some(1));
    for place in [
        "error: @ROOT@/config/databytes:2: ",
        "error: @ROOT@/config/size_threshold:1: ",
        "error: @ROOT@/config/plugin_settings:1: ",
        "error: @ROOT@/config/x2:1: Circular $include reference in config rcpthosts: @ROOT@/config/x2:1 includes @ROOT@/config/rcpthosts again",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(place)),
            "{place}\n{lines:#?}"
        );
    }
}

#[test]
fn scripts_get_json_with_file_and_line() {
    let site = usual();
    site.config("plugins", "nowhere\ntaker\n");
    let output = check(&site, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(lines[0]["severity"], "error");
    assert_eq!(lines[0]["line"], 1);
    assert_eq!(
        lines[0]["file"],
        site.path("config/plugins").display().to_string()
    );
}

#[test]
fn a_plugin_that_ends_the_process_is_no_clean_bill() {
    let site = usual();
    site.put("plugins/kills", "sub register { kill KILL => $$ }\n");
    site.config("plugins", "kills\ntaker\n");
    let (lines, status) = found(&site);
    assert_eq!(status, Some(1));
    assert!(lines.last().unwrap().starts_with("1 error"), "{lines:#?}");
}

#[test]
fn a_directory_that_is_none_is_one_line() {
    let mut command = Command::new(CAMELPOST);
    command.args(["check", "--config", "/no/such/directory"]);
    as_root(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("error: config directory /no/such/directory: "),
        "{said}"
    );
}
