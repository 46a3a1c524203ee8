//! Plugins whose variables cannot be exchanged between sessions: from when that is found, their
//! sessions have workers of their own.

use std::io::Write;
use std::process::{Command, Stdio};

use camelpost_support::process::ask;

use crate::server::{CAMELPOST, Client, RUNNER, Server, TAKER, line, until};

/// Counts its calls in a session. `HELP mark` does what cannot be undone in its process, so that it is
/// found unfit to be shared when the session's turn ends.
const ODD: (&str, &str) = (
    "odd",
    r#"
    my $count = 0;
    sub fragile { 1 }
    sub hook_vrfy {
        my ($self, $transaction, @args) = @_;
        undef &fragile if grep { /mark/ } @args;
        return (OK, join ' ', ++$count, Camelpost::pid());
    }
    sub hook_help { return &hook_vrfy }
    "#,
);

/// What cannot be exchanged from the start.
const TIED: &str = r#"
    require Tie::Scalar;
    our $sock;
    tie $sock, 'Tie::StdScalar';
    "#;

const TOLD: &str = "plugin odd: its sub fragile was undefined, so it cannot be shared between \
                    sessions: its sessions get workers of their own (plugin_settings: keep, isolate)";

/// A server, and how to ask it for its status.
struct Asked {
    server: Server,
    control: String,
    _dir: tempfile::TempDir,
}

fn start(plugins: &[(&str, &str)], args: &[&str], settings: &str) -> Asked {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control").display().to_string();
    let server = Server::start_configured(
        plugins,
        &[args, &["--spare-workers", "0", "--control", &control]].concat(),
        &[],
        &[("plugin_settings", settings)],
    );
    Asked {
        server,
        control,
        _dir: dir,
    }
}

impl Asked {
    fn status(&self, how: &[&str]) -> String {
        let output = ask(
            CAMELPOST,
            self.control.as_ref(),
            &[&["status"], how].concat(),
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The words with which the status tells how a plugin is shared.
    fn sharing(&self, plugin: &str) -> String {
        let status = self.status(&["--plugins"]);
        let table = status.split_once(" SHARING\n").unwrap().1;
        let words = |line: &str| {
            let (name, words) = line.split_at_checked(11)?.1.split_once(' ')?;
            (name == plugin).then(|| words.trim().to_owned())
        };
        let found = table.lines().find_map(words);
        found.unwrap_or_else(|| panic!("no {plugin} in {status}"))
    }
}

fn worker(client: &mut Client) -> String {
    client.run("Camelpost::pid()")
}

/// What a session has done is looked at when another one of its worker has its turn.
fn next_turn(open: &mut [Client], places: &[String], place: &str) {
    let at = places.iter().position(|other| other == place).unwrap();
    assert_eq!(worker(&mut open[at]), place);
}

/// What the plugin has counted, and where.
fn call(client: &mut Client) -> (String, String) {
    split(&client.expect("VRFY x", "250"))
}

fn split(reply: &str) -> (String, String) {
    let mut words = reply.split_whitespace().skip(1);
    let mut word = || words.next().unwrap().to_owned();
    (word(), word())
}

fn connect<const N: usize>(server: &Server) -> [Client; N] {
    [(); N].map(|()| {
        let mut client = server.connect();
        client.expect("HELO client.example", "250");
        client
    })
}

#[test]
fn a_plugin_that_is_found_unfit_has_a_worker_for_each_session_from_then_on() {
    let asked = start(&[ODD, RUNNER, TAKER], &["--workers", "2"], "");
    let server = &asked.server;
    let mut open: [Client; 8] = connect(server);
    let old: Vec<String> = open.iter_mut().map(worker).collect();
    let mut two = old.clone();
    two.sort();
    two.dedup();
    assert_eq!(two.len(), 2, "{old:?}");
    assert_eq!(asked.sharing("odd"), "shared");
    // Shared so far.
    for (client, place) in open.iter_mut().zip(&old) {
        assert_eq!(call(client).1, *place);
    }
    let (_, marked) = split(&open[0].expect("HELP mark", "2"));
    assert_eq!(marked, old[0]);
    next_turn(&mut open[1..], &old[1..], &marked);
    server.wait_for(TOLD);
    let reason = "sub fragile was undefined";
    assert_eq!(asked.sharing("odd"), format!("own workers: {reason}"));
    assert_eq!(asked.sharing("taker"), "shared");
    let entry = format!(
        r#"{{"generation":1,"plugin":"odd","sharing":"own_workers","reason":"its {reason}"}}"#
    );
    assert!(asked.status(&["--plugins", "--json"]).contains(&entry));
    // Those that are open go on where they are, until they come to it.
    let mut apart = Vec::new();
    for (client, place) in open.iter_mut().zip(&old) {
        client.expect("NOOP", "250");
        assert_eq!(worker(client), *place);
        apart.push(call(client).1);
        assert_eq!(worker(client), *apart.last().unwrap());
    }
    let stayed = apart.iter().filter(|place| two.contains(place)).count();
    assert!(
        stayed <= 2,
        "the last of each worker may: {apart:?} {old:?}"
    );
    // New ones are in workers that nobody has marked, and share these.
    let mut new: [Client; 6] = connect(server);
    let places: Vec<String> = new.iter_mut().map(worker).collect();
    let mut shared = places.clone();
    shared.sort();
    shared.dedup();
    assert!(shared.len() <= 2, "{places:?}");
    assert!(
        !shared.iter().any(|place| two.contains(place)),
        "{places:?} {old:?}"
    );
    for client in &mut new {
        assert_eq!(call(client).0, "1", "nobody else's count");
    }
    let mut places: Vec<String> = new.iter_mut().map(worker).collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), new.len());
    for client in open.iter_mut().chain(&mut new) {
        client.expect("QUIT", "221");
    }
    assert_eq!(server.count(TOLD), 1);
}

#[test]
fn thirty_sessions_that_find_it_in_several_workers_are_one_line_and_none_is_refused() {
    let asked = start(&[ODD, RUNNER], &["--workers", "4"], "");
    let server = &asked.server;
    let mut clients: [Client; 30] = connect(server);
    for client in &mut clients {
        client.send(b"HELP mark\r\n");
    }
    for client in &mut clients {
        let reply = client.reply();
        assert!(reply.starts_with("214 "), "{reply}");
    }
    server.wait_for(TOLD);
    for client in &mut clients {
        call(client);
        client.expect("QUIT", "221");
        client.rest();
    }
    // One after the other: each has a fresh worker, whether it marks once more or not.
    for line in ["HELP mark", "VRFY x", "VRFY x"] {
        let [mut client] = connect(server);
        assert_eq!(split(&client.expect(line, "2")).0, "1");
        client.expect("QUIT", "221");
        client.rest();
    }
    assert_eq!(server.count(TOLD), 1);
    assert_eq!(server.count(" 421"), 0);
}

#[test]
fn a_reload_forgets_the_mark_until_it_is_found_again() {
    let asked = start(&[ODD, RUNNER], &["--workers", "1"], "");
    let server = &asked.server;
    connect::<1>(server)[0].expect("HELP mark", "2");
    server.wait_for(TOLD);
    server.reload();
    let shared_again = || !asked.status(&["--plugins"]).contains("own workers");
    until("the old generation is gone", shared_again);
    let mut open: [Client; 2] = connect(server);
    let place = worker(&mut open[0]);
    for client in &mut open {
        assert_eq!(call(client).1, place);
    }
    open[1].expect("HELP mark", "2");
    assert_eq!(worker(&mut open[0]), place);
    until("a second line", || server.count(TOLD) == 2);
    assert_ne!(call(&mut open[0]).1, place);
}

#[test]
fn sessions_of_an_unfit_plugin_wait_where_all_further_processes_are_in_use() {
    let args = ["--workers", "1", "--extra-processes", "1"];
    let asked = start(&[ODD, RUNNER], &args, "");
    let server = &asked.server;
    let [mut one, mut other, mut third] = connect(server);
    let place = worker(&mut one);
    assert_eq!(split(&one.expect("HELP mark", "2")).1, place);
    assert_eq!(worker(&mut other), place);
    server.wait_for(TOLD);
    assert_ne!(call(&mut other).1, place);
    third.send(b"VRFY x\r\n");
    server.wait_for("waits for a process of its own");
    one.expect("NOOP", "250");
    // Clients that come now have a worker all the same.
    let [mut new] = connect(server);
    assert_ne!(worker(&mut new), place);
    other.expect("QUIT", "221");
    let (_, apart) = split(&third.reply());
    assert_ne!(apart, place);
    // The last one of its worker has that for itself.
    third.expect("QUIT", "221");
    third.rest();
    assert_eq!(call(&mut one).1, place);
    for client in [&mut one, &mut new] {
        client.expect("QUIT", "221");
    }
}

#[test]
fn a_mark_in_a_process_of_one_session_does_no_harm() {
    let args = ["--workers", "2", "--sessions-per-worker", "1"];
    for (args, settings) in [(&args[..], ""), (&["--workers", "1"], "odd isolate\n")] {
        let asked = start(&[ODD, RUNNER], args, settings);
        let server = &asked.server;
        let mut open: [Client; 3] = connect(server);
        for client in &mut open {
            for line in ["VRFY x", "HELP mark", "VRFY x"] {
                client.expect(line, "2");
            }
        }
        let mut places: Vec<String> = open.iter_mut().map(worker).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), 3);
        for client in &mut open {
            client.expect("QUIT", "221");
            client.rest();
        }
        let [mut next] = connect(server);
        assert_eq!(call(&mut next).0, "1");
        let expected = usize::from(settings.is_empty());
        until("the log", || server.count(TOLD) == expected);
    }
}

#[test]
fn what_is_found_while_plugins_load_is_told_once_and_counts_from_the_first_session() {
    let unfit = format!("{TIED}{}", ODD.1);
    // Not its own, but of a plugin that it knows.
    let kept = "# see Qpsmtpd::Plugin::odd\nsub hook_noop { DECLINED }";
    let (odd, alone) = (&unfit, unfit.replace("hook_vrfy", "hook_other"));
    let plugins = [("odd", &**odd), ("kept", kept), ("alone", &*alone), RUNNER];
    let asked = start(
        &plugins,
        &["--workers", "1"],
        "kept keep\nalone isolate\nalone keep\n",
    );
    let server = &asked.server;
    let told = "its variable $sock is tied, so it cannot be shared";
    server.wait_for(&format!("plugin odd: {told}"));
    server.wait_for(
        "plugin kept: its variable $sock is tied; it stays shared between the \
         sessions of a worker (plugin_settings: keep)",
    );
    let expected = "own workers: variable $sock is tied";
    assert_eq!(asked.sharing("odd"), expected);
    assert_eq!(asked.sharing("kept"), "keeps its variables");
    assert_eq!(asked.sharing("alone"), "isolated (plugin_settings)");
    assert_eq!(asked.sharing("runner"), "shared");
    let mut open: [Client; 3] = connect(server);
    for client in &mut open {
        assert_eq!(call(client).0, "1");
    }
    let mut places: Vec<String> = open.iter_mut().map(worker).collect();
    places.dedup();
    assert_eq!(places.len(), 3);
    assert_eq!(server.count(told), 1, "isolated ones are isolated already");
}

#[test]
fn a_plugin_that_keeps_its_variables_stays_shared_when_it_is_found_unfit() {
    // Its own variables are nobody else's business; those of a plugin that it knows are exchanged.
    let parts = r#"
    sub fragile { 1 }
    sub hook_noop { undef &fragile; return DECLINED }
    "#;
    let odd = format!("# see Qpsmtpd::Plugin::parts\n{}", ODD.1);
    let plugins = [("parts", parts), ("odd", &odd), RUNNER];
    let asked = start(&plugins, &["--workers", "1"], "odd keep\n");
    let server = &asked.server;
    let [mut one, mut other] = connect(server);
    let place = worker(&mut one);
    assert_eq!(call(&mut one).0, "1");
    one.expect("NOOP", "250");
    assert_eq!(worker(&mut other), place);
    let told = "plugin odd: its sub fragile was undefined; it stays shared";
    server.wait_for(told);
    assert_eq!(call(&mut other), ("2".to_owned(), place.clone()));
    one.expect("QUIT", "221");
    one.rest();
    // Sessions that come now have another worker, but have it together.
    let mut next: [Client; 2] = connect(server);
    let [first, second] = next.each_mut().map(call);
    assert_eq!((&*first.0, &*second.0), ("1", "2"));
    assert_eq!(first.1, second.1);
    assert_eq!(server.count(told), 1);
    assert_eq!(asked.sharing("odd"), "keeps its variables");
}

#[test]
fn native_plugins_have_no_variables_to_keep() {
    let native = line("native/count_recipients max 5");
    let settings = "native/count_recipients keep\n";
    let asked = start(&[native], &["--workers", "1"], settings);
    connect::<1>(&asked.server)[0].expect("QUIT", "221");
    assert_eq!(asked.sharing("native/count_recipients"), "shared");
}

#[test]
fn a_process_of_one_session_says_nothing_of_what_sessions_cannot_share() {
    let odd = format!("{TIED}{}", ODD.1);
    let asked = start(&[("odd", &odd)], &["--workers", "1"], "");
    let mut inetd = Command::new(CAMELPOST)
        .args(["inetd", "--config"])
        .arg(asked.server.site.root().join("config"))
        .current_dir(asked.server.site.root())
        .env("TCPREMOTEIP", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = inetd.stdin.take().unwrap();
    stdin.write_all(b"HELP mark\r\nVRFY x\r\nQUIT\r\n").unwrap();
    let output = inetd.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "214", "250", "221"], "{said}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains("shared"), "{log}");
}
