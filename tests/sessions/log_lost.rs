//! A log that cannot be written: mail goes on, one line says so elsewhere, and the metrics count.

use std::fs;
use std::path::Path;

use crate::log::{REFUSER, envelope, lines, message};
use crate::server::{Server, TAKER, http, until};

#[test]
fn where_the_disk_of_the_log_is_full_mail_goes_on_and_one_line_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let log = log.to_str().unwrap();
    let args = ["--log-file", log, "--metrics", "127.0.0.1:0"];
    let config = [("junk_command_limit", "0\n"), ("command_limit", "0\n")];
    let server = Server::start_configured(&[REFUSER, TAKER], &args, &[], &config);
    for _ in 0..2 {
        let mut client = server.connect();
        client.expect("EHLO there", "250");
        envelope(&mut client, "good@mx.example", "250");
        message(&mut client);
        let line = server.wait_for("cannot be written (No space left on device");
        assert!(
            line.starts_with(&format!("camelpost: the log {log} ")),
            "{line}"
        );
        client.expect("NOOP", "250");
    }
    assert_eq!(server.count("cannot be written"), 1);
    let line = server.wait_for("Metrics on http://");
    let (_, rest) = line.split_once("http://").unwrap();
    let metrics = http(
        rest.strip_suffix("/metrics").unwrap(),
        "GET /metrics HTTP/1.1\r\n\r\n",
    );
    let lost = metrics
        .lines()
        .find_map(|line| line.strip_prefix("camelpost_log_lines_lost_total "));
    assert!(lost.unwrap().parse::<u64>().unwrap() > 10, "{metrics}");

    // There is room again.
    fs::remove_file(log).unwrap();
    server.ask_for_reload();
    until("the reload", || {
        let is_it = |line: &String| line.contains(" reloaded: ");
        lines(Path::new(log)).iter().any(is_it)
    });
    let mut client = server.connect();
    until("the log", || {
        client.expect("NOOP", "250");
        lines(Path::new(log))
            .iter()
            .any(|line| line.ends_with(" lines of the log were lost, it can be written again"))
    });
}
