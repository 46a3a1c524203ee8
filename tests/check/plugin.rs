//! `camelpost check --plugin`: files of plugins by themselves, for editors and an author's own tests.

use std::process::Command;

use camelpost_support::Site;
use camelpost_support::process::as_root;

use crate::{CAMELPOST, said};

fn of(site: &Site, options: &[&str], files: &[&str]) -> (Vec<String>, Option<i32>) {
    let mut command = Command::new(CAMELPOST);
    command.arg("check");
    as_root(&mut command);
    command.args(options).arg("--plugin");
    let output = command
        .args(files.iter().map(|file| site.path(file)))
        .current_dir(site.root())
        .output()
        .unwrap();
    (said(site, &output.stdout), output.status.code())
}

#[test]
fn each_file_is_looked_at_with_its_own_lines_as_places() {
    let site = Site::empty();
    site.put("a/good", "sub hook_mail { return DECLINED }\n");
    site.put("a/broken", "sub hook_mail {\n    my $x = ;\n}\n");
    site.put(
        "b/good",
        "sub hook_rcptt { return DENY }\nsub hook_mail { 1 }\n",
    );
    let (lines, status) = of(&site, &[], &["a/good", "a/broken", "b/good", "b/none"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        lines,
        [
            "error: @ROOT@/a/broken:2: plugin broken does not compile: syntax error at @ROOT@/a/broken line 2, at EOF",
            "warning: @ROOT@/b/good:1: plugin good: there is no hook of the name rcptt, so nothing calls hook_rcptt; \
             hook_rcpt is one",
            "error: @ROOT@/b/none: No such file or directory",
            "2 errors, 1 warning",
        ]
    );
}

#[test]
fn a_plugin_that_wants_arguments_or_config_is_no_error() {
    let site = Site::empty();
    site.put(
        "a/wants",
        "sub register {\n    my ($self, $qp, @args) = @_;\n    die \"no file is named\\n\" unless @args;\n}\nsub hook_mail { 1 }\n",
    );
    site.put(
        "a/asks",
        "sub register {\n    my ($self, $qp) = @_;\n    die \"no zones\\n\" unless $qp->config('own_zones');\n}\nsub hook_mail { 1 }\n",
    );
    let (lines, status) = of(&site, &[], &["a/wants", "a/asks"]);
    assert_eq!(status, Some(0));
    assert_eq!(
        lines,
        [
            "warning: @ROOT@/a/wants: plugin wants: no file is named (it was loaded without arguments)",
            "warning: @ROOT@/a/asks: plugin asks: no zones (it was loaded without arguments)",
            "no errors, 2 warnings",
        ]
    );
    site.config("own_zones", "zone.example\n");
    let config = site.path("config");
    let (lines, _) = of(&site, &["--config", config.to_str().unwrap()], &["a/asks"]);
    assert_eq!(lines, ["no errors, no warnings"]);
}

#[test]
fn what_a_plugin_hooks_is_a_note_when_asked_for() {
    let site = Site::empty();
    site.put(
        "auth/mine",
        "sub hook_auth_plain { 1 }\nsub hook_quit { 1 }\n",
    );
    let (lines, status) = of(&site, &["--verbose"], &["auth/mine"]);
    assert_eq!(status, Some(0));
    assert_eq!(
        lines[0],
        "note: @ROOT@/auth/mine: plugin mine: Perl, @ROOT@/auth/mine; hooks: auth-plain, quit"
    );
}
