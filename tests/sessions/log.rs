//! The log of the service: the lines about itself, the log in JSON and `camelpost why` over it, files that are
//! moved away, levels for systemd's journal, ids, and the filters of packaging/fail2ban.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value};

use crate::server::{CAMELPOST, Client, RUNNER, Server, TAKER, until};

/// Keeps each line that it is given.
const KEEPER: (&str, &str) = (
    "keeper",
    r#"sub hook_logging {
        my ($self, $transaction, $level, $hook, $plugin, @log) = @_;
        my ($path) = $ENV{KEPT} =~ /(.*)/;
        open my $file, '>>', $path or die $!;
        print $file "$level @log\n";
        return DECLINED;
    }"#,
);

const RECEIVED: &str = "my $line = $qp->received_line('ESMTP', '', ''); $line =~ tr/\\n/ /; $line";

pub const REFUSER: (&str, &str) = (
    "refuser",
    "sub hook_rcpt { my ($self, $t, $to) = @_; return (DENY, 'not that one') if $to->user eq 'bad'; \
       $self->log(LOGWARN, 'a look at it'); return DECLINED } \
     sub hook_noop { my $none; use warnings; my $text = qq{it is $none}; warn qq{said so\\n}; \
       local $SIG{__WARN__} = sub { }; warn 'unheard'; return DECLINED }",
);

pub fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn objects(path: &Path) -> Vec<Map<String, Value>> {
    let object = |line: &String| match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        _ => panic!("no object: {line}"),
    };
    lines(path).iter().map(object).collect()
}

fn why(log: &Path, what: &str) -> Output {
    let mut command = Command::new(CAMELPOST);
    command.args(["why", what, "--log"]).arg(log);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn envelope(client: &mut Client, to: &str, code: &str) -> String {
    client.expect("MAIL FROM:<joe@there.example>", "250");
    client.expect(&format!("RCPT TO:<{to}>"), code)
}

pub fn message(client: &mut Client) -> String {
    client.expect("DATA", "354");
    client.expect("Subject: x\r\n\r\nbody\r\n.", "250")
}

#[test]
fn lines_about_the_service_go_to_logging_plugins_too() {
    let kept = tempfile::NamedTempFile::new().unwrap();
    let environment = [("KEPT", kept.path().to_str().unwrap())];
    let config = [("logging", "keeper\n"), ("plugins", "keeper\n")];
    let mut server = Server::start_configured(&[KEEPER], &[], &environment, &config);
    let has = |text: &str| lines(kept.path()).iter().any(|line| line.contains(text));
    until("the log", || has("4 Listening on "));
    assert!(has("4 camelpost "), "{:?}", lines(kept.path()));
    server.reload();
    until("the log", || has("4 reloaded: perl "));
    server.config("plugins", "keeper\nno_such_plugin\n");
    server.ask_for_reload();
    until("the log", || {
        has("3 reload failed, what was loaded stays: ")
    });
    server.stop();
    assert!(has("4 stopping"), "{:?}", lines(kept.path()));
}

#[test]
fn the_log_in_json_has_every_message_and_refusal_of_many_clients_at_a_time() {
    let args = [
        "--log-file",
        "json.log",
        "--log-format",
        "json",
        "--workers",
        "2",
        "--spare-workers",
        "0",
    ];
    let config = [
        ("show_id", "received queued refused\n"),
        ("loglevel", "4\n"),
    ];
    let server = Server::start_configured(&[REFUSER, TAKER], &args, &[], &config);
    let log = server.site.path("json.log");
    let mut ids = BTreeSet::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.connect();
                    client.expect("EHLO there", "250");
                    let mut ids = Vec::new();
                    for _ in 0..5 {
                        ids.push(envelope(
                            &mut client,
                            "bad@mx.example",
                            "550 not that one (",
                        ));
                        client.expect("RCPT TO:<good@mx.example>", "250");
                        ids.push(message(&mut client));
                    }
                    client.expect("QUIT", "221");
                    client.rest();
                    ids
                })
            })
            .collect();
        for client in clients {
            for reply in client.join().unwrap() {
                let (_, id) = reply.rsplit_once('(').unwrap();
                ids.insert(id.trim_end_matches(')').to_owned());
            }
        }
    });
    // The refusal and the reply to the message name the same transaction.
    assert_eq!(ids.len(), 100, "{ids:?}");
    let count = |event: &str, more: &dyn Fn(&Map<String, Value>) -> bool| {
        let all = objects(&log);
        let of = all.iter().filter(|object| object["event"] == event);
        of.filter(|object| more(object)).count()
    };
    until("the log", || count("disconnect", &|_| true) == 20);
    assert_eq!(count("connect", &|_| true), 20);
    assert_eq!(count("message", &|it| it["outcome"] == "queued"), 100);
    assert_eq!(count("reply", &|it| it["code"] == 550), 100);
    assert_eq!(
        count("plugin", &|it| it["verdict"] == "DENY"
            && it["plugin"] == "refuser"),
        100
    );
    assert_eq!(count("plugin", &|it| it["verdict"] == "DECLINED"), 0);
    assert_eq!(count("line", &|it| it["text"] == "a look at it"), 100);
    let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in objects(&log) {
        if let (Some(id), Some(transaction)) = (object.get("id"), object.get("transaction")) {
            let transactions = of.entry(id.to_string()).or_default();
            transactions.insert(transaction.as_str().unwrap().to_owned());
        }
    }
    let all: BTreeSet<String> = of.values().flatten().cloned().collect();
    assert_eq!(all, ids);
    assert!(of.values().all(|transactions| transactions.len() == 5));

    let one = ids.first().unwrap();
    let story = said(&why(&log, one));
    for text in [
        "from Unknown [127.0.0.1]:",
        "rcpt: refuser said DENY in ",
        "to RCPT TO:<bad@mx.example>, the client saw: 550 not that one (",
        "log of refuser: a look at it",
        "from <joe@there.example> to <good@mx.example>, ",
        "was queued",
        "the end",
    ] {
        assert!(story.contains(text), "{text} is not in\n{story}");
    }
    assert_eq!(story.matches("transaction ").count(), 1, "{story}");
    let stories = said(&why(&log, "bad@mx.example"));
    assert_eq!(stories.matches("connection ").count(), 20);
}

#[test]
fn who_asks_why_of_what_is_not_there_gets_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let cases = [
        (
            put(
                "json",
                "{\"event\":\"service\",\"pid\":1,\"text\":\"x\",\"time\":\"x\"}\n",
            ),
            "nothing about 1-a in ",
        ),
        (
            put("text", "17 Listening on 127.0.0.1:25\n"),
            " is no log in JSON: ",
        ),
        (dir.path().join("none"), ": No such file or directory"),
    ];
    for (log, text) in cases {
        let output = why(&log, "1-a");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(problem.contains(text), "{problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
}

#[test]
fn what_a_client_has_written_is_no_event_and_moves_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let forged =
        r#"{"event":"line","id":"7-abc","ip":"192.0.2.9","pid":1,"time":"x","text":"forged"}"#;
    let real = r#"{"event":"reply","id":"8-abc","ip":"192.0.2.9","pid":1,"time":"x\u001b]0;y","code":550,"lines":["550 a\u001b[31mb\nc\u202e"]}"#;
    let connect = r#"{"event":"connect","id":"8-abc","ip":"192.0.2.9","pid":1,"time":"x"}"#;
    fs::write(
        &log,
        format!("4194305 dispatching NOOP {forged}\n{connect}\n{real}\n"),
    )
    .unwrap();
    let said = said(&why(&log, "192.0.2.9"));
    assert!(
        said.contains("connection 8-abc") && !said.contains("forged"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 3, "{said}");
    let acts =
        |character: char| character != '\n' && (character.is_control() || character == '\u{202e}');
    assert!(!said.contains(acts), "{said:?}");
}

#[test]
fn a_logging_plugin_that_hangs_with_a_line_of_the_service_keeps_no_client_waiting() {
    let hangs = (
        "hangs",
        "sub hook_logging { my ($self, $t, $level, $hook, $plugin, @log) = @_; \
           1 while \"@log\" =~ /^(Listening|plugin hangs)/; return DECLINED }",
    );
    let config = [
        // In one of them: in both it would be called twice for each line.
        ("logging", "hangs\n"),
        ("plugins", "taker\n"),
        ("plugin_settings", "* timeout 1\n"),
    ];
    let server = Server::start_configured(&[hangs, TAKER], &["--workers", "4"], &[], &config);
    let mut client = server.connect();
    client.expect("EHLO there", "250");
    server.wait_for("plugin hangs running the logging hook");
    server.wait_for("logging plugins get no more of them");
    client.expect("QUIT", "221");
    assert_eq!(server.count("is not done after"), 1);
}

#[test]
fn a_log_file_that_was_moved_away_is_made_anew_with_the_next_load() {
    let server = Server::start_with(&[RUNNER, TAKER], &["--log-file", "it.log"], &[]);
    let (log, old) = (server.site.path("it.log"), server.site.path("it.log.1"));
    until("the log", || {
        lines(&log)
            .iter()
            .any(|line| line.contains(" Listening on "))
    });
    fs::rename(&log, &old).unwrap();
    let before = lines(&old).len();
    server.ask_for_reload();
    until("the log", || {
        lines(&log).iter().any(|line| line.contains(" reloaded: "))
    });
    let mut client = server.connect();
    client.expect("EHLO there", "250");
    until("the log", || {
        lines(&log)
            .iter()
            .any(|line| line.contains("dispatching EHLO there"))
    });
    // Also by a load that fails.
    fs::rename(&log, server.site.path("it.log.2")).unwrap();
    server.config("plugins", "no_such_plugin\n");
    server.ask_for_reload();
    until("the log", || {
        lines(&log)
            .iter()
            .any(|line| line.contains("reload failed, "))
    });
    let said = lines(&old)[before..].to_vec();
    assert!(
        said.iter().all(|line| line.contains("reloading")),
        "{said:?}"
    );
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_log_file_that_cannot_be_made_ends_the_start_with_one_line() {
    let site = camelpost_support::Site::empty();
    site.config("plugins", "")
        .config("spool_dir", "@ROOT@/spool\n");
    let mut command = Command::new(CAMELPOST);
    command.args([
        "serve",
        "--listen-address",
        "127.0.0.1:0",
        "--log-file",
        "no/such/dir.log",
    ]);
    command.arg("--config").arg(site.path("config"));
    camelpost_support::process::as_root(&mut command);
    let output = command.current_dir(site.root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("no/such/dir.log: No such file or directory"),
        "{said}"
    );
}

#[test]
fn lines_for_the_journal_have_their_level_before_them() {
    let site = camelpost_support::Site::empty();
    site.config("plugins", "")
        .config("spool_dir", "@ROOT@/spool\n");
    let path = site.path("out");
    let log = fs::File::create(&path).unwrap();
    let facts = log.metadata().unwrap();
    let mut command = Command::new(CAMELPOST);
    command.args(["serve", "--listen-address", "127.0.0.1:0"]);
    command.arg("--config").arg(site.path("config"));
    command.env("JOURNAL_STREAM", format!("{}:{}", facts.dev(), facts.ino()));
    camelpost_support::process::as_root(&mut command);
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    until("the log", || {
        lines(&path)
            .iter()
            .any(|line| line.contains(" Listening on "))
    });
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    );
    child.wait().unwrap();
    let all = lines(&path);
    assert!(all.iter().all(|line| line.starts_with("<4>")), "{all:?}");
}

#[test]
fn the_id_is_in_received_and_in_notes_and_elsewhere_only_where_that_was_asked_for() {
    let server = Server::start(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("EHLO there", "250");
    let connection = client.run("$qp->connection->notes('connection_id')");
    let connection = connection.trim_start_matches("250 ").to_owned();
    for number in 1..=2 {
        let refused = client.expect("RCPT TO:<x@y@z>", "5");
        assert!(!refused.contains(&connection), "{refused}");
        envelope(&mut client, "x@mx.example", "250");
        let transaction = client.run("$qp->transaction->notes('transaction_id')");
        assert_eq!(
            transaction.trim_start_matches("250 "),
            format!("{connection}.{number}")
        );
        let line = client.run(RECEIVED);
        assert!(
            line.contains(&format!("with ESMTP id {connection}.{number}; ")),
            "{line}"
        );
        let taken = message(&mut client);
        assert!(!taken.contains(&connection), "{taken}");
    }
    let silent = Server::start_configured(&[RUNNER, TAKER], &[], &[], &[("show_id", "none\n")]);
    let mut client = silent.connect();
    client.expect("EHLO there", "250");
    envelope(&mut client, "x@mx.example", "250");
    let line = client.run(RECEIVED);
    assert!(!line.contains(" id "), "{line}");
}

/// fail2ban's own test program, unpacked by packaging/install-deps.
fn found_by_fail2ban(log: &Path, filter: &str) -> String {
    let root = camelpost_support::repository().join("target/fail2ban");
    let dir = tempfile::tempdir().unwrap();
    let filters = dir.path().join("filter.d");
    fs::create_dir(&filters).unwrap();
    let ours = camelpost_support::repository().join("packaging/fail2ban");
    for name in ["camelpost.conf", "camelpost-json.conf"] {
        fs::copy(ours.join(name), filters.join(name)).unwrap();
    }
    let common = root.join("etc/fail2ban/filter.d/common.conf");
    fs::copy(common, filters.join("common.conf")).unwrap();
    let output = Command::new("python3")
        .arg(root.join("usr/bin/fail2ban-regex"))
        .arg("-c")
        .arg(dir.path())
        .args(["-o", "row"])
        .arg(log)
        .arg(filter)
        .env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn fail2ban_finds_the_refused_client_and_nobody_else() {
    let refuses = (
        "refuses",
        "sub hook_rcpt { my ($self, $t) = @_; \
           return (DENY, 'Relaying denied (#5.7.1)') if $self->connection->remote_ip eq '127.0.0.3'; return OK }",
    );
    for (format, filter) in [("text", "camelpost"), ("json", "camelpost-json")] {
        let args = [
            "--log-file",
            "it.log",
            "--log-format",
            format,
            "--workers",
            "1",
            "--spare-workers",
            "0",
        ];
        let server = Server::start_with(&[refuses], &args, &[]);
        // The clients are in one worker at the same time.
        let mut clients = [2, 3, 4].map(|last| {
            let from = std::net::Ipv4Addr::new(127, 0, 0, last);
            let mut client = camelpost_support::Connection::from(from, server.port).unwrap();
            client.send(b"EHLO there\r\n").unwrap();
            client
        });
        for client in &mut clients {
            client
                .send(b"MAIL FROM:<a@there.example>\r\nRCPT TO:<x@mx.example>\r\nQUIT\r\n")
                .unwrap();
        }
        for client in &mut clients {
            client.rest(camelpost_support::PATIENCE).1.unwrap();
        }
        let found = found_by_fail2ban(&server.site.path("it.log"), filter);
        assert!(found.contains("'127.0.0.3'"), "{format}: {found}");
        assert!(
            !found.contains("'127.0.0.2'") && !found.contains("'127.0.0.4'"),
            "{format}: {found}"
        );
    }
}

#[test]
fn what_perl_warns_of_is_a_line_with_its_plugin_and_hook() {
    let args = ["--log-file", "json.log", "--log-format", "json"];
    let server = Server::start_with(&[REFUSER], &args, &[]);
    let log = server.site.path("json.log");
    let mut client = server.connect();
    for _ in 0..2 {
        client.expect("NOOP", "250");
    }
    client.expect("QUIT", "221");
    client.rest();
    let warned = || {
        let mut all = objects(&log);
        all.retain(|object| {
            object.get("hook") == Some(&"noop".into()) && object["event"] == "line"
        });
        all
    };
    until("the log", || warned().len() == 4);
    let texts = ["Use of uninitialized value $none", "said so"];
    for (object, text) in warned().iter().zip(texts.into_iter().cycle()) {
        assert_eq!(object["plugin"], "refuser");
        assert!(
            object["text"].as_str().unwrap().starts_with(text),
            "{object:?}"
        );
        assert!(object.contains_key("id"));
    }
}
