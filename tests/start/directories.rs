//! Directories and users: what is not there, or not the service user's.

use std::path::Path;

use rustix::process::geteuid;

use crate::Site;

#[test]
fn a_spool_directory_that_cannot_be_made_is_named() {
    let site = Site::new();
    let path = site.path("absent/spool");
    site.config("spool_dir", path.to_str().expect("UTF-8"));
    let said = site.fails_in_a_line(&[]);
    let expected = format!(
        "camelpost: spool directory {}/: could not create it: No such file or directory; \
         the config file spool_dir",
        path.display()
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_spool_directory_that_the_service_user_may_not_write_to_is_named() {
    let site = Site::new();
    // Root may write anywhere; another user may not write to what is not its own.
    let args: &[&str] = match geteuid().is_root() {
        true => &["--user", "nobody"],
        false => &[],
    };
    site.allow("spool", 0o500);
    let said = site.fails_in_a_line(args);
    let expected = format!(
        "camelpost: spool directory {}/: could not write to it: Permission denied; ",
        site.path("spool").display()
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn an_unknown_user_is_named() {
    assert_eq!(
        Site::new().fails_in_a_line(&["--user", "no-such-user"]),
        "camelpost: there is no user no-such-user on this machine; create it or name another \
         with --user"
    );
}

#[test]
fn a_config_that_is_no_directory_is_named() {
    let site = Site::new();
    let file = site.path("config").join("spool_dir");
    for (path, reason) in [
        (file.as_path(), "it is not a directory"),
        (Path::new("/no/such/dir"), "No such file or directory"),
    ] {
        let said = site.fails_in_a_line(&["--config", path.to_str().expect("UTF-8")]);
        let expected = format!("camelpost: config directory {}: {reason}; ", path.display());
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn a_config_directory_that_the_service_user_may_not_enter_is_named() {
    let site = Site::new();
    let (args, mode): (&[&str], _) = match geteuid().is_root() {
        true => (&["--user", "nobody"], 0o700),
        false => (&[], 0),
    };
    site.allow("config", mode);
    let said = site.fails_in_a_line(args);
    site.allow("config", 0o700);
    let expected = format!(
        "camelpost: config directory {}: the service user may not enter it: Permission denied; ",
        site.path("config").display()
    );
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_plugin_that_the_service_user_may_not_reach_is_not_called_absent() {
    let site = Site::new();
    site.plugin("hidden", "sub hook_quit { }\n");
    let (args, mode, user): (&[&str], _, _) = match geteuid().is_root() {
        true => (&["--user", "nobody"], 0o700, "nobody".to_owned()),
        false => (&[], 0, std::env::var("USER").unwrap_or_default()),
    };
    site.allow("spool", 0o777);
    site.config("spool_perms", "0777\n");
    site.allow("plugins", mode);
    let said = site.fails_in_a_line(args);
    site.allow("plugins", 0o700);
    let expected = format!(
        "{}plugin hidden: permission denied as user {user}",
        site.at("plugins", 2)
    );
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.contains(&site.plugin_path("hidden")), "{said}");
}
