//! What is said on the control socket, and the commands that use it. Where it is: place.rs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::daemon::{Client, Daemon, config, until};

crate::tests! {
    status_shows_generation_workers_sessions_and_limits,
    status_for_people_says_the_same,
    status_lists_sessions_where_asked,
    status_shows_what_plugins_do_and_did,
    status_counts_what_became_of_sessions_and_workers,
    reload_waits_for_the_new_generation,
    a_reload_that_fails_says_why_and_the_old_generation_stays,
    a_reload_during_a_load_is_refused,
    drain_lets_sessions_end_and_then_the_daemon,
    drain_has_a_limit,
    a_drain_is_cut_short_by_sigterm,
    drain_without_waiting_answers_at_once,
    a_client_in_a_drain_is_not_taken,
    bad_requests_are_explained,
    callers_that_say_nothing_do_not_keep_others_out,
    status_answers_while_plugins_load,
    wrong_options_are_explained,
}

/// Runs `camelpost ARGS` for the daemons in `dir`.
pub fn ask(dir: &Path, args: &[&str]) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(args)
        .env("RUNTIME_DIRECTORY", dir.join("run"))
        .output()
        .unwrap()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a command that has to succeed.
pub fn told(daemon: &Daemon, args: &[&str]) -> String {
    let output = ask(daemon.dir.path(), args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).to_owned()
}

pub fn assert_refused(output: &Output, status: i32, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let problem = text(&output.stderr);
    assert!(problem.starts_with("camelpost: "), "{problem}");
    assert_eq!(problem.lines().count(), 1, "{problem}");
    for part in parts {
        assert!(problem.contains(part), "no {part:?} in {problem}");
    }
}

fn status(daemon: &Daemon) -> Value {
    serde_json::from_str(&told(daemon, &["status", "--json", "--sessions"])).unwrap()
}

/// Says one line on the control socket, gives the answer.
fn say(path: &Path, line: &[u8]) -> Value {
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(line).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

pub fn socket(daemon: &Daemon) -> PathBuf {
    daemon.path(&format!("run/{}.sock", daemon.child.id()))
}

fn status_shows_generation_workers_sessions_and_limits() {
    let args = [
        "--limit-connections",
        "7",
        "--max-from-ip",
        "4",
        "--workers",
        "3",
    ];
    let daemon = Daemon::start(&args);
    let client = daemon.connect();
    let status = status(&daemon);
    assert_eq!(status["pid"], daemon.child.id());
    assert_eq!(status["generation"], 1);
    assert_eq!(status["loading"], false);
    assert_eq!(status["listening"][0], daemon.address.unwrap().to_string());
    assert_eq!(status["limits"]["connections"], 7);
    assert_eq!(status["limits"]["connections_per_address"], 4);
    assert_eq!(status["limits"]["workers"], 3);
    assert_eq!(status["open_sessions"], 1);
    let workers = status["workers"].as_array().unwrap();
    let busy: Vec<&Value> = workers
        .iter()
        .filter(|one| one["state"] == "busy")
        .collect();
    assert_eq!(busy.len(), 1, "{workers:?}");
    assert_eq!(busy[0]["pid"], client.pid());
    assert_eq!(busy[0]["generation"], 1);
    assert!(busy[0]["resident_bytes"].as_u64().unwrap() > 100_000);
}

fn status_for_people_says_the_same() {
    let daemon = Daemon::start(&["--limit-connections", "7", "--max-from-ip", "0"]);
    let client = daemon.connect();
    let shown = told(&daemon, &["status"]);
    for part in [
        format!("pid {}, up ", daemon.child.id()),
        "generation 1\n".to_owned(),
        format!("listening   on {}\n", daemon.address.unwrap()),
        "1 open, 0 waiting for a worker; at most 7, any number from one address".to_owned(),
    ] {
        assert!(shown.contains(&part), "no {part:?} in {shown}");
    }
    let pid = client.pid().to_string();
    let line = shown
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&pid))
        .unwrap_or_else(|| panic!("no {pid} in {shown}"));
    assert!(line.contains(" busy ") && line.ends_with(" MB -"), "{line}");
    assert!(!shown.contains("127.0.0.1\n"), "{shown}");
    let shown = told(&daemon, &["status", "--sessions"]);
    let last = shown.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split_whitespace().collect();
    assert_eq!(words[words.len() - 2..], ["127.0.0.1", "waits"], "{shown}");
}

fn status_lists_sessions_where_asked() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    client.send_line("TLS");
    assert_eq!(client.line(), "220 go\r\n");
    let other = daemon.connect();
    until("the session's TLS is known", || {
        status(&daemon)["sessions"][0]["tls"] == true
    });
    let sessions = &status(&daemon)["sessions"];
    assert_eq!(sessions[0]["client"], "127.0.0.1");
    assert_eq!(sessions[0]["worker"], client.pid());
    for (session, client) in sessions.as_array().unwrap().iter().zip([&client, &other]) {
        let number: u64 = client.greeted("number").parse().unwrap();
        assert_eq!(session["session"], number);
        assert_eq!(session["state"], "waits");
        // In this century.
        assert!(session["since"].as_u64().unwrap() > 1_000_000_000);
    }
    assert_eq!(sessions[1]["worker"], other.pid());
    assert_eq!(sessions[1]["tls"], false);
    let without: Value = serde_json::from_str(&told(&daemon, &["status", "--json"])).unwrap();
    assert!(without.get("sessions").is_none());
}

fn status_shows_what_plugins_do_and_did() {
    let daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    client.send_line("CALL");
    until("the call runs", || {
        status(&daemon)["workers"]
            .as_array()
            .unwrap()
            .iter()
            .any(|worker| {
                let call = &worker["running"][0];
                worker["pid"] == client.pid()
                    && call["plugin"] == "greeter"
                    && call["hook"] == "call"
                    && call["limit_seconds"] == 60
            })
    });
    let shown = told(&daemon, &["status"]);
    assert!(shown.contains(" greeter call "), "{shown}");
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    assert_eq!(client.line(), "250 called\r\n");
    client.send_line("CALL");
    assert_eq!(client.line(), "250 called\r\n");
    // What a worker did is not forgotten with it.
    assert_eq!(client.end("LAST"), "221 bye\r\n");
    until("the worker has ended", || {
        status(&daemon)["counters"]["worker_ends"]["retired"] == 1
    });
    let shown = told(&daemon, &["status", "--plugins", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let plugin = &shown["plugins"][0];
    assert_eq!(
        (&plugin["plugin"], &plugin["hook"]),
        (&"greeter".into(), &"call".into())
    );
    assert_eq!(
        (&plugin["calls"], &plugin["died"], &plugin["late"]),
        (&2.into(), &2.into(), &0.into())
    );
    assert_eq!(plugin["verdicts"], serde_json::json!({"DENY": 2}));
    assert!(plugin["nanoseconds"].as_u64().unwrap() > 1_000_000);
    let classes = plugin["durations"].as_array().unwrap();
    let calls: u64 = classes
        .iter()
        .map(|one| one["calls"].as_u64().unwrap())
        .sum();
    assert_eq!(calls, 2);
    let shown = told(&daemon, &["status", "--plugins"]);
    assert!(shown.ends_with(" call greeter DENY:2\n"), "{shown}");
}

fn status_counts_what_became_of_sessions_and_workers() {
    let mut daemon = Daemon::start(&["--max-from-ip", "2"]);
    let mut first = daemon.connect();
    let second = daemon.connect();
    assert!(daemon.connect().greeting.starts_with("421 4.7.0 "));
    first.end("QUIT");
    kill_process(Pid::from_raw(second.pid()).unwrap(), Signal::KILL).unwrap();
    daemon.wait_for("got a 421");
    until("its place is free", || {
        let mut client = daemon.connect();
        client.greeting.starts_with("220 ") && client.end("EXIT").starts_with("421 ")
    });
    until("the ends are counted", || {
        status(&daemon)["counters"]["worker_ends"]["status 9"] == 1
    });
    let counters = &status(&daemon)["counters"];
    assert!(counters["connections"].as_u64().unwrap() >= 4);
    assert!(counters["refused_per_address"].as_u64().unwrap() >= 1);
    assert_eq!(counters["sessions_done"], 1);
    assert_eq!(counters["sessions_lost"], 2);
    assert_eq!(counters["worker_ends"]["signal 9"], 1);
    assert_eq!(counters["loads"], 1);
}

fn reload_waits_for_the_new_generation() {
    let daemon = Daemon::start_with(config(&[("name", "one")]), &[]);
    let mut old = daemon.connect();
    std::fs::write(daemon.path("config/name"), "two").unwrap();
    assert_eq!(told(&daemon, &["reload"]), "reloaded: generation 2\n");
    assert_eq!(daemon.connect().greeted("name"), "two");
    let now = status(&daemon);
    assert_eq!(now["generation"], 2);
    let generations: Vec<u64> = now["workers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|worker| worker["pid"] == old.pid())
        .map(|worker| worker["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(generations, [1]);
    assert_eq!(old.end("QUIT"), "221 bye\r\n");
}

fn a_reload_that_fails_says_why_and_the_old_generation_stays() {
    let daemon = Daemon::start_with(config(&[("name", "one")]), &[]);
    std::fs::write(
        daemon.path("config/fail"),
        "camelpost: plugins line 3: no plugin x\n",
    )
    .unwrap();
    let output = ask(daemon.dir.path(), &["reload"]);
    assert_refused(&output, 1, &["camelpost: plugins line 3: no plugin x"]);
    std::fs::write(daemon.path("config/vanish"), "").unwrap();
    std::fs::remove_file(daemon.path("config/fail")).unwrap();
    let output = ask(daemon.dir.path(), &["reload"]);
    assert_refused(&output, 1, &["exit status: 7", "before all were loaded"]);
    assert_eq!(daemon.connect().greeted("name"), "one");
    let status = status(&daemon);
    assert_eq!(status["generation"], 1);
    assert_eq!(status["counters"]["loads_failed"], 2);
}

fn a_reload_during_a_load_is_refused() {
    let daemon = Daemon::start(&[]);
    std::fs::write(daemon.path("config/wait"), "").unwrap();
    let dir = daemon.dir.path().to_owned();
    let first = std::thread::spawn(move || ask(&dir, &["reload"]));
    until("it loads", || status(&daemon)["loading"] == true);
    let second = ask(daemon.dir.path(), &["reload"]);
    assert_refused(&second, 1, &["already loading"]);
    std::fs::remove_file(daemon.path("config/wait")).unwrap();
    let first = first.join().unwrap();
    assert_eq!(text(&first.stdout), "reloaded: generation 2\n");
}

fn drain_lets_sessions_end_and_then_the_daemon() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let dir = daemon.dir.path().to_owned();
    let drain = std::thread::spawn(move || ask(&dir, &["drain", "--limit", "60"]));
    daemon.wait_for("1 open sessions may go on for 60 seconds");
    assert_eq!(status(&daemon)["stopping"], true);
    client.send_line("still here");
    assert_eq!(client.line(), "250 still here\r\n");
    assert!(!drain.is_finished());
    assert_eq!(client.end("QUIT"), "221 bye\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
    let output = drain.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "drained\n");
}

fn drain_has_a_limit() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    assert_eq!(told(&daemon, &["drain", "--limit", "0"]), "drained\n");
    // It is told to end before it is cut off.
    assert_eq!(client.rest(), "421 told to stop\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_drain_is_cut_short_by_sigterm() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    told(&daemon, &["drain", "--no-wait"]);
    daemon.signal(Signal::TERM);
    assert_eq!(client.rest(), "421 told to stop\r\n");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn drain_without_waiting_answers_at_once() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    let said = told(&daemon, &["drain", "--no-wait"]);
    assert_eq!(said, "draining: 1 session is open\n");
    let output = ask(daemon.dir.path(), &["reload"]);
    assert_refused(&output, 1, &["the service is stopping"]);
    client.end("QUIT");
    assert_eq!(daemon.wait().code(), Some(0));
}

fn a_client_in_a_drain_is_not_taken() {
    let mut daemon = Daemon::start(&[]);
    let mut client = daemon.connect();
    told(&daemon, &["drain", "--no-wait"]);
    until("nobody listens", || {
        std::net::TcpStream::connect(daemon.address.unwrap()).is_err()
    });
    client.end("QUIT");
    daemon.wait();
}

fn bad_requests_are_explained() {
    let daemon = Daemon::start(&[]);
    let path = socket(&daemon);
    let long = [&b"x".repeat(5000)[..], b"\n"].concat();
    for (line, part) in [
        (&b"\n"[..], "not a request"),
        (b"status\n", "not a request"),
        (b"\xff\xfe\n", "not a request"),
        (b"{\"version\":9,\"command\":\"status\"}\n", "version 9"),
        (b"{\"version\":1,\"command\":\"fly\"}\n", "fly"),
        (b"{\"version\":1,\"command\":\"drain\"}\n", "limit_seconds"),
        (&long, "longer than 4096 bytes"),
    ] {
        let answer = say(&path, line);
        assert_eq!(
            (&answer["version"], &answer["result"]),
            (&1.into(), &"failed".into())
        );
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    let deep = [&b"[".repeat(4000)[..], b"\n"].concat();
    assert_eq!(say(&path, &deep)["result"], "failed");
    let good = say(&path, b"{\"version\":1,\"command\":\"status\"}\n");
    assert_eq!(good["result"], "status");
    assert_eq!(good["generation"], 1);
}

fn callers_that_say_nothing_do_not_keep_others_out() {
    let daemon = Daemon::start(&[]);
    let _silent: Vec<UnixStream> = (0..40)
        .map(|_| UnixStream::connect(socket(&daemon)).unwrap())
        .collect();
    // Within the patience of both: the silent ones are hung up on.
    assert!(told(&daemon, &["status"]).contains("generation 1"));
    assert_eq!(daemon.connect().end("QUIT"), "221 bye\r\n");
}

fn status_answers_while_plugins_load() {
    let daemon = Daemon::begin(config(&[("wait", "")]), &[]);
    until("the socket is there", || socket(&daemon).exists());
    let status = status(&daemon);
    assert_eq!(status["generation"], Value::Null);
    assert_eq!(status["loading"], true);
    assert!(status["listening"].as_array().unwrap().is_empty());
}

fn wrong_options_are_explained() {
    let dir = config(&[]);
    for args in [
        &["drain", "--limit", "soon"][..],
        &["drain", "--limit", "-1"],
        &["status", "now"],
        &["reload", "--json"],
        &["serve", "--control", ""],
        &["serve", "--metrics-public"],
        &["serve", "--metrics", "9125"],
    ] {
        let output = ask(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains("--help"), "{output:?}");
    }
    // A limit beyond reason is a long one.
    let mut daemon = Daemon::start(&[]);
    let mut client: Client = daemon.connect();
    told(
        &daemon,
        &["drain", "--no-wait", "--limit", &u64::MAX.to_string()],
    );
    client.end("QUIT");
    assert_eq!(daemon.wait().code(), Some(0));
}
