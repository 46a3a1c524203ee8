//! `camelpost hooks`: who runs on a hook, in which order.

use std::process::{Command, Output};

use camelpost_support::Site;
use camelpost_support::process::as_root;

use crate::{CAMELPOST, said, usual};

fn run(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(CAMELPOST);
    command.args(["hooks", "--config"]).arg(site.path("config"));
    as_root(&mut command);
    command
        .args(words)
        .current_dir(site.root())
        .output()
        .unwrap()
}

fn hooks(site: &Site, words: &[&str]) -> Vec<String> {
    said(site, &run(site, words).stdout)
}

/// Perl and native plugins on one hook.
fn mixed() -> Site {
    let site = usual();
    site.put(
        "plugins/first",
        "sub register {\n    my ($self) = @_;\n    $self->register_hook('rcpt', 'look');\n    \
         $self->register_hook('rcpt', sub { DECLINED });\n}\nsub look { DECLINED }\n",
    );
    site.config(
        "plugins",
        "# the first\nfirst a b\nnative/count_recipients max 50\ntaker\n",
    );
    site.config(
        "plugin_settings",
        "first timeout 5\nfirst on_error defer\nnative/count_recipients timeout 0\n",
    );
    site
}

#[test]
fn a_hook_s_plugins_are_in_order_with_what_holds_for_them() {
    assert_eq!(
        hooks(&mixed(), &["rcpt"]),
        [
            "rcpt",
            "  1 Perl   first a b: look  (@ROOT@/config/plugins:2)  timeout 5 s, on_error defer",
            "  2 Perl   first a b  (@ROOT@/config/plugins:2)  timeout 5 s, on_error defer",
            "  3 native count_recipients max 50  (@ROOT@/config/plugins:3)  any time",
            "  4 Perl   taker: hook_rcpt  (@ROOT@/config/plugins:4)",
        ]
    );
}

#[test]
fn native_plugins_alone_need_no_perl_and_twins_are_native() {
    let site = usual();
    site.config(
        "plugins",
        "native/rcpt_ok\nnative/queue/maildir @ROOT@/Maildir\n",
    );
    assert_eq!(
        hooks(&site, &[]),
        [
            "rcpt",
            "  1 native rcpt_ok  (@ROOT@/config/plugins:1)",
            "queue",
            "  1 native queue::maildir @ROOT@/Maildir  (@ROOT@/config/plugins:2)",
        ]
    );
    site.config("plugin_dirs", "/usr/share/qpsmtpd/plugins\n");
    site.config("plugins", "rcpt_ok\n");
    site.config("plugin_settings", "* native\n");
    assert_eq!(
        hooks(&site, &["hook_rcpt"]),
        ["rcpt", "  1 native rcpt_ok  (@ROOT@/config/plugins:1)"]
    );
    assert_eq!(hooks(&site, &["quit"]), ["no plugin runs on quit"]);
}

#[test]
fn scripts_get_json() {
    let output = run(&mixed(), &["--json", "rcpt"]).stdout;
    let text = String::from_utf8(output).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0]["method"], "look");
    assert_eq!(lines[0]["args"], serde_json::json!(["a", "b"]));
    assert_eq!(lines[0]["timeout"], 5);
    assert_eq!(lines[0]["on_error"], "defer");
    assert_eq!(lines[2]["native"], true);
    assert_eq!(lines[2]["order"], 3);
}

#[test]
fn an_unknown_hook_is_one_line_with_the_likely_one() {
    let output = run(&usual(), &["rcptt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "camelpost: there is no hook rcptt; rcpt is one\n");
}

#[test]
fn a_configuration_that_does_not_load_is_one_line() {
    let site = usual();
    site.config("plugins", "nowhere\n");
    let output = run(&site, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&site, &output.stderr);
    assert_eq!(said.len(), 1, "{said:#?}");
    let start = "camelpost: @ROOT@/config/plugins:1: plugin nowhere not found";
    assert!(said[0].starts_with(start), "{said:#?}");
}
