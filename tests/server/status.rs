//! What a status says of loads and refusals, and what `ps` shows of the processes.

use serde_json::Value;

use crate::control::{ask, told};
use crate::daemon::{Daemon, config, until};
use crate::metrics::{scrape, start};

crate::tests! {
    a_status_says_what_is_loaded_and_what_has_changed_since,
    a_status_says_when_and_why_a_reload_failed_until_one_goes_well,
    refusals_are_counted_by_stage_also_those_of_workers_that_have_ended,
    ps_shows_what_each_process_is,
}

fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&told(daemon, &["status", "--json"])).unwrap()
}

fn a_status_says_what_is_loaded_and_what_has_changed_since() {
    let dir = config(&[("name", "one"), ("gone", "x")]);
    std::fs::create_dir(dir.path().join("plugins")).unwrap();
    let daemon = Daemon::start_with(dir, &[]);
    let first = status(&daemon);
    let loaded = &first["loaded"];
    let config = daemon.path("config").display().to_string();
    assert_eq!(loaded["config"], *config);
    assert_eq!(loaded["profile"], "1.00");
    assert_eq!(loaded["plugins"], 1);
    assert_eq!(loaded["perl"], Value::Null);
    // In this century.
    assert!(loaded["since"].as_u64().unwrap() > 1_000_000_000);
    assert_eq!(loaded["changed"]["count"], 0);
    let shown = told(&daemon, &["status"]);
    let line = format!("config      {config}, as qpsmtpd 1.00, without perl, 1 plugins, loaded 2");
    assert!(shown.contains(&line), "{shown}");
    assert!(!shown.contains("changed "), "{shown}");

    std::fs::write(daemon.path("config/name"), "two").unwrap();
    std::fs::write(daemon.path("plugins/new"), "x").unwrap();
    std::fs::remove_file(daemon.path("config/gone")).unwrap();
    let changed = &status(&daemon)["loaded"]["changed"];
    assert_eq!(changed["count"], 3);
    let shown = told(&daemon, &["status"]);
    let line = shown.lines().find(|line| line.starts_with("changed "));
    let line = line.unwrap_or_else(|| panic!("{shown}"));
    for name in ["config/gone", "config/name", "plugins/new"] {
        assert!(line.contains(name), "{line}");
    }
    for number in 0..7 {
        std::fs::write(daemon.path(&format!("config/more{number}")), "").unwrap();
    }
    let shown = told(&daemon, &["status"]);
    assert!(shown.contains(" and 5 more\n"), "{shown}");
    told(&daemon, &["reload"]);
    assert_eq!(status(&daemon)["loaded"]["changed"]["count"], 0);
}

fn a_status_says_when_and_why_a_reload_failed_until_one_goes_well() {
    let (daemon, address) = start(&[]);
    assert_eq!(status(&daemon)["failed_reload"], Value::Null);
    let problem = "camelpost: plugins:3: no plugin x\nmore\n";
    std::fs::write(daemon.path("config/fail"), problem).unwrap();
    assert_eq!(ask(daemon.dir.path(), &["reload"]).status.code(), Some(1));
    let failed = &status(&daemon)["failed_reload"];
    assert_eq!(failed["reason"], "plugins:3: no plugin x");
    assert!(failed["at"].as_u64().unwrap() > 1_000_000_000);
    let shown = told(&daemon, &["status"]);
    let line = "what was loaded stays: plugins:3: no plugin x\n";
    assert!(
        shown.contains("FAILED      reload at 2") && shown.contains(line),
        "{shown}"
    );
    assert!(scrape(address).contains("camelpost_last_load_failed 1\n"));
    std::fs::remove_file(daemon.path("config/fail")).unwrap();
    told(&daemon, &["reload"]);
    assert_eq!(status(&daemon)["failed_reload"], Value::Null);
    assert!(!told(&daemon, &["status"]).contains("FAILED"));
    assert!(scrape(address).contains("camelpost_last_load_failed 0\n"));
}

fn refusals_are_counted_by_stage_also_those_of_workers_that_have_ended() {
    let (daemon, address) = start(&[]);
    assert!(told(&daemon, &["status"]).contains("refused     nothing\n"));
    let mut client = daemon.connect();
    client.send_line("REFUSE");
    assert_eq!(client.line(), "550 refused\r\n");
    client.end("LAST");
    until("the worker has ended", || {
        status(&daemon)["counters"]["worker_ends"]["retired"] == 1
    });
    let mut client = daemon.connect();
    client.send_line("REFUSE");
    assert_eq!(client.line(), "550 refused\r\n");
    let shown = told(&daemon, &["status"]);
    let line = "refused     connect 2 (4xx), 0 (5xx); rcpt 0 (4xx), 2 (5xx)\n";
    assert!(shown.contains(line), "{shown}");
    let page = scrape(address);
    for line in [
        "camelpost_refusals_total{stage=\"connect\",class=\"4xx\"} 2\n",
        "camelpost_refusals_total{stage=\"rcpt\",class=\"5xx\"} 2\n",
        "camelpost_refusals_total{stage=\"queue\",class=\"5xx\"} 0\n",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
    let once = told(&daemon, &["top", "--once"]);
    assert!(
        once.contains("2 connect") && once.contains("2 rcpt"),
        "{once}"
    );
}

/// What `ps` shows of a process.
pub fn title(pid: impl std::fmt::Display) -> String {
    // One that has just ended has none.
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8(words).unwrap();
    words.trim_end_matches('\0').replace('\0', " ")
}

fn ps_shows_what_each_process_is() {
    let daemon = Daemon::start(&[]);
    let client = daemon.connect();
    assert_eq!(title(daemon.child.id()), "camelpost: supervisor");
    assert_eq!(title(client.pid()), "camelpost: worker");
    told(&daemon, &["reload"]);
    let children = format!("/proc/{0}/task/{0}/children", daemon.child.id());
    until("the new zygote is there", || {
        let children = std::fs::read_to_string(&children).unwrap();
        let mut titles = children.split_whitespace().map(title);
        titles.any(|title| title == "camelpost: zygote (load 2)")
    });
}
