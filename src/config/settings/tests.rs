use std::path::Path;

use super::super::compat::Profile;
use super::*;

fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<CoreSettings, ConfigError>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let settings = CoreSettings::load(&ConfigDir::new(vec![dir.path().to_path_buf()]));
    (dir, settings)
}

#[test]
fn an_empty_directory_gives_the_defaults() {
    let settings = load(&[]).1.unwrap();
    assert_eq!(settings.compat.profile, Profile::V100);
    assert_eq!(settings.me, hostname());
    assert_eq!(settings.timeout, Duration::from_secs(1200));
    assert_eq!(settings.size_threshold, 0);
    assert_eq!(settings.databytes, None);
    assert_eq!(settings.spool.mode, 0o700);
    assert!(
        settings
            .spool
            .path
            .as_os_str()
            .as_bytes()
            .ends_with(b"/tmp/")
    );
    assert_eq!(settings.plugin_dirs.len(), 1);
    assert!(settings.plugins.is_empty() && settings.logging.is_empty());
}

#[test]
fn settings_are_the_first_line_of_their_files_and_lists_all_lines() {
    let settings = load(&[
        ("compat", "0.94\n"),
        ("me", "# name\nmx.example.com\nignored\n"),
        ("loglevel", "LOGNOTICE\n"),
        ("logging", "logging/warn 6\nlogging/file x\n"),
        ("plugin_dirs", "/a\n/b\n"),
        ("plugins", "# c\nrcpt_ok\n  queue/maildir /var/mail x\n"),
        ("databytes", "5000\n"),
        ("timeout", "60\n"),
        ("size_threshold", "0\n"),
        ("spool_dir", "/var/spool/x\n"),
        ("spool_perms", "755\n"),
        ("smtpgreeting", "hello there\n"),
    ]);
    let settings = settings.1.unwrap();
    assert_eq!(settings.compat.profile, Profile::V094);
    assert_eq!(settings.me, b"mx.example.com");
    assert_eq!(settings.log_level, Some(5));
    assert_eq!(settings.logging[0].args, [b"6".to_vec()]);
    assert_eq!(settings.logging[1].name, b"logging/file");
    assert_eq!(settings.plugin_dirs, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(settings.plugins[1].name, b"queue/maildir");
    assert_eq!(settings.plugins[1].place.line, 3);
    assert_eq!(settings.databytes, Some(5000));
    assert_eq!(settings.timeout, Duration::from_secs(60));
    assert_eq!(settings.size_threshold, 0);
    assert_eq!(settings.spool.path.as_os_str(), "/var/spool/x/");
    assert_eq!(settings.spool.mode, 0o755);
    assert_eq!(settings.greeting.unwrap(), b"hello there");
}

#[test]
fn timeoutsmtpd_comes_before_timeout_and_zero_is_not_set() {
    let timeout = |files| load(files).1.unwrap().timeout.as_secs();
    assert_eq!(timeout(&[("timeoutsmtpd", "5\n"), ("timeout", "6\n")]), 5);
    assert_eq!(timeout(&[("timeoutsmtpd", "0\n"), ("timeout", "6\n")]), 6);
    assert_eq!(timeout(&[("timeout", "0\n")]), 1200);
}

#[test]
fn a_wrong_value_is_an_error_with_file_line_value_and_what_is_allowed() {
    let wrong = [
        ("compat", "# x\n1.01\n", Compat::ALLOWED),
        ("loglevel", "# x\nloud\n", "0 (LOGEMERG) to 7 (LOGDEBUG)"),
        ("databytes", "# x\n10M\n", "a number of bytes"),
        ("databytes", "# x\n+10\n", "a number of bytes"),
        ("timeout", "# x\n-5\n", "a number of seconds"),
        ("size_threshold", "# x\n12k\n", "a number of bytes"),
        ("taint", "# x\nno\n", "1 (on) or 0 (off)"),
        ("spool_perms", "# x\n0888\n", "octal"),
        ("spool_perms", "# x\n77777\n", "octal"),
    ];
    for (name, text, allowed) in wrong {
        let (dir, settings) = load(&[(name, text)]);
        let error = settings.unwrap_err().to_string();
        let value = text.lines().nth(1).unwrap();
        let start = format!(
            "{}:2: {name} is \"{value}\"",
            dir.path().join(name).display()
        );
        assert!(
            error.starts_with(&start) && error.contains(allowed),
            "{error}"
        );
    }
}

#[test]
fn a_level_is_a_number_or_a_name() {
    for (text, level) in [
        ("0", 0),
        ("7", 7),
        ("99", 7),
        ("LOGDEBUG", 7),
        ("warning", 4),
        ("LOGRADAR", 0),
    ] {
        assert_eq!(
            load(&[("loglevel", text)]).1.unwrap().log_level,
            Some(level),
            "{text}"
        );
    }
}

#[test]
fn a_broken_plugins_file_is_an_error() {
    let (_dir, settings) = load(&[("plugins", "rcpt_ok\nx\u{1}\n")]);
    assert!(
        settings
            .unwrap_err()
            .to_string()
            .contains("plugins:2: unsafe characters")
    );
    let (_dir, settings) = load(&[("plugins", "rcpt_ok\n$include plugins\n")]);
    assert!(settings.unwrap_err().to_string().contains("plugins:2"));
}

#[test]
fn the_limits_of_a_session_have_defaults_and_zero_is_none() {
    let limits = load(&[]).1.unwrap().limits;
    assert_eq!((limits.errors, limits.junk_commands), (Some(20), Some(100)));
    assert_eq!(
        (limits.commands, limits.auth_failures),
        (Some(1000), Some(10))
    );
    assert_eq!(limits.envelope_size, Some(80_000));
    assert_eq!(
        (limits.header_size, limits.header_lines),
        (Some(102_400), Some(2000))
    );
    assert_eq!(limits.greeting_timeout, Some(Duration::from_secs(300)));
    assert_eq!(limits.session_timeout, Some(Duration::from_secs(3600)));
    let names = [
        "error_limit",
        "junk_command_limit",
        "command_limit",
        "auth_failure_limit",
        "envelope_size_limit",
        "header_size_limit",
        "header_line_limit",
        "greeting_timeout",
        "session_timeout",
    ];
    let limits = load(&names.map(|name| (name, "0\n"))).1.unwrap().limits;
    assert_eq!(limits, Limits::default());
    for name in names {
        let error = load(&[(name, "# x\n5m\n")]).1.unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name}:2: {name} is \"5m\"")),
            "{error}"
        );
    }
}

#[test]
fn queue_sync_is_on_unless_it_is_0_and_takes_no_other_word() {
    let with = |text| load(&[("queue_sync", text)]).1;
    assert!(load(&[]).1.unwrap().queue_sync);
    assert!(with("1\n").unwrap().queue_sync);
    assert!(!with("0\n").unwrap().queue_sync);
    let problem = with("yes\n").unwrap_err().to_string();
    assert!(
        problem.contains("queue_sync") && problem.contains("1 (on) or 0 (off)"),
        "{problem}"
    );
}
