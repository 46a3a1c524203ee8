//! What `ps` shows of processes with sessions, beside what plugins see and set as `$0`.

use crate::server::{RUNNER, Server};

fn title(pid: &str) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let words = String::from_utf8(words).unwrap();
    words.trim_end_matches('\0').replace('\0', " ")
}

#[test]
fn a_worker_shows_its_sessions_and_a_session_s_own_process_its_client() {
    let keeper = ("keeper", "sub hook_vrfy { return (OK, $$) }");
    let server = Server::start_configured(
        &[keeper, RUNNER],
        &["--workers", "1", "--spare-workers", "0"],
        &[],
        &[("plugin_settings", "keeper isolate\n")],
    );
    let (mut one, mut other) = (server.connect(), server.connect());
    let worker = one.worker();
    assert_eq!(other.worker(), worker);
    assert_eq!(title(&worker), "camelpost: worker (2 sessions)");
    one.expect("VRFY x", "250");
    let own = one.worker();
    assert_eq!(title(&own), "camelpost: session 127.0.0.1");
    // perl has its own idea of the name, in each session.
    let seen = other.run("$0");
    assert!(seen.ends_with("/camelpost"), "{seen}");
    assert_eq!(
        one.run("$0 = 'a plugin names itself, and at some length'; $0"),
        "a plugin names itself, and at some length"
    );
    assert_eq!(title(&own), "camelpost: session 127.0.0.1");
    assert_eq!(other.run("$0"), seen);
    assert!(title(&worker).starts_with("camelpost: worker"));
}
