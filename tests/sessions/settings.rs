//! What the file plugin_settings changes in sessions, but for the time (see watchdog.rs).

use crate::server::{RUNNER, Server, TAKER};

const DIES: (&str, &str) = (
    "dies",
    "sub hook_mail { die qq{no\\n} } sub hook_helo { die qq{no\\n} }",
);

const LOGGER_DIES: (&str, &str) = ("logger_dies", "sub hook_logging { die qq{no\\n} }");

fn start(settings: &str) -> Server {
    Server::start_configured(
        &[DIES, RUNNER, TAKER, LOGGER_DIES],
        &["--workers", "1", "--spare-workers", "0"],
        &[],
        &[("plugin_settings", settings)],
    )
}

#[test]
fn a_plugin_that_dies_is_skipped_unless_on_error_says_otherwise() {
    for (settings, code) in [
        ("", "250"),
        ("dies on_error skip\n", "250"),
        ("dies on_error defer\n", "450"),
        ("dies on_error deny\n", "550"),
        ("* on_error deny\ndies on_error defer\n", "450"),
        ("* on_error deny\n", "550"),
        ("runner on_error deny\n", "250"),
    ] {
        let server = start(settings);
        let mut client = server.connect();
        client.expect("EHLO there", "250");
        client.expect("MAIL FROM:<a@example.org>", code);
        client.expect("QUIT", "221");
    }
}

#[test]
fn a_session_in_which_an_isolated_plugin_ran_uses_its_worker_up() {
    let server = start("dies isolate\ndies on_error skip\n");
    let session = |line: Option<&str>| {
        let mut client = server.connect();
        let worker = client.worker();
        if let Some(line) = line {
            client.say(line);
        }
        client.expect("QUIT", "221");
        // The worker is free when the client sees the end.
        client.rest();
        worker
    };
    let first = session(None);
    let second = session(Some("HELO there"));
    let third = session(None);
    // Where it has not run, the worker is kept.
    assert_eq!(first, second);
    assert_ne!(second, third);
}

#[test]
fn a_file_that_is_not_understood_leaves_what_was_loaded_before() {
    let server = start("dies timeout 7\n");
    server.config("plugin_settings", "dies timeout 7\nnone timeout 3\n");
    server.ask_for_reload();
    let line = server.wait_for("reload failed, what was loaded stays");
    let file = server.site.root().join("config/plugin_settings");
    let expected = format!(
        "{}:2: there is no plugin \"none\" in plugins or logging; there are: dies, runner, taker, \
         logger_dies, \
         * for all",
        file.display()
    );
    assert!(line.contains(&expected), "{line}");
    server.connect().expect("QUIT", "221");
}
