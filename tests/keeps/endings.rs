//! What a session leaves when it ends: objects with DESTROY, END blocks, files of the connection.
//! However it ends, each of them ends once, sees the session's variables, and nothing is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::answers::assert_right;
use crate::daemon::{Daemon, MAY_LEAVE, Who, site};
use crate::play::{Act, Script, keep, one_by_one, play, shuffled, tag, usual, with_whoami};

const PLUGINS: &str = "ends\nbreaks\nanswer\n";

/// What ends in each session.
const ALL_ENDS: [&str; 7] = [
    "element", "end", "lexical", "loaded", "object", "package", "plugin",
];

/// Where a session that shares a worker cannot be as the original's, and why; what is no longer so fails.
const KNOWN: &[(&str, &str)] = &[(
    "loaded",
    "an object made at load is there for the next session, too",
)];

/// What ended in each session, in order, without what is known to differ: what, and what it saw of the
/// session's variables; and what is known to differ, of all sessions.
struct Endings {
    of: BTreeMap<usize, Vec<String>>,
    known: Vec<String>,
    /// Files of connections that nothing has removed.
    left: usize,
}

/// Plays a script; what then stands in var/ended.
fn endings(who: Who, script: Script) -> Endings {
    let site = site(PLUGINS);
    site.put("config/plugin_settings", "breaks timeout 1\n");
    let daemon = Daemon::start_in(who, site);
    let transcript = play(&daemon, &with_whoami(script));
    let text = all_that_ended(&daemon, transcript.len());
    let left = std::fs::read_dir(daemon.site.path("var/run")).unwrap();
    assert_right(&transcript);
    let mut endings = Endings {
        of: BTreeMap::new(),
        known: Vec::new(),
        left: left.count(),
    };
    for (client, entries) in transcript {
        let whoami = entries.iter().rfind(|(line, _)| line == "WHOAMI").unwrap();
        let [_, id, port, _] = whoami.1.split(' ').collect::<Vec<_>>()[..] else {
            panic!("client {client}: {whoami:?}");
        };
        let mut of = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if words[2] != port {
                continue;
            }
            let name = words[0];
            match KNOWN.iter().any(|(known, _)| *known == name) {
                true => endings.known.push(name.to_owned()),
                false => of.push(format!("{name} {}", words[3..].join(" "))),
            }
            assert_eq!(words[1], id, "client {client}: $$ is another's: {line}");
        }
        endings.of.insert(client, of);
    }
    endings
}

/// What stands in var/ended when so many sessions have ended, or when nothing more comes.
fn all_that_ended(daemon: &Daemon, sessions: usize) -> String {
    let (mut text, mut since) = (String::new(), Instant::now());
    loop {
        let now = daemon.site.read("var/ended");
        if now != text {
            (text, since) = (now, Instant::now());
        }
        // The objects of a process go after its connection has ended, and what comes twice comes late.
        let ended = text
            .lines()
            .filter(|line| line.starts_with("plugin "))
            .count();
        let patience = match ended >= sessions {
            true => Duration::from_millis(200),
            false => Duration::from_secs(5),
        };
        if since.elapsed() > patience {
            return text;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What ends in a session with so many KEEPs; perl is free to choose an order, but END comes first.
fn expected(client: usize, keeps: usize) -> Vec<String> {
    let tags: Vec<String> = (1..=keeps).map(|n| tag(client, n)).collect();
    let last = tags.last().map_or("none", String::as_str);
    let saw = format!("{keeps} {last} {}", tags.join(" "));
    let made_late = ["element", "lexical", "object", "package"];
    let is_there = |name: &&str| {
        let is_known = KNOWN.iter().any(|(known, _)| known == name);
        !is_known && (keeps > 0 || !made_late.contains(name))
    };
    let names = ALL_ENDS.into_iter().filter(is_there);
    names.map(|name| format!("{name} {saw}")).collect()
}

/// Whether each session of a script ended as it should.
fn assert_endings(endings: Endings, keeps: &BTreeMap<usize, usize>) {
    let mut wrong = Vec::new();
    for (client, keeps) in keeps {
        let mut found = endings.of[client].clone();
        if found.first().is_none_or(|first| !first.starts_with("end ")) {
            wrong.push(format!("client {client}: END is not first"));
        }
        found.sort();
        if found != expected(*client, *keeps) {
            wrong.push(format!("client {client}: {found:#?}"));
        }
    }
    wrong.extend((endings.left > 0).then(|| format!("{} files are left", endings.left)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How many KEEPs each client says.
fn keeps(script: &Script) -> BTreeMap<usize, usize> {
    let mut keeps = BTreeMap::new();
    for (client, act) in script.iter().flatten() {
        let is_keep = matches!(act, Act::Say(line) if line.starts_with("KEEP "));
        *keeps.entry(*client).or_default() += usize::from(is_keep);
    }
    keeps
}

/// Sessions that end in every way there is, with others open; with one whose hook is over its time,
/// where the server does not let it run on.
fn broken(late: bool) -> Script {
    let say = |text: &str| Act::Say(text.to_owned());
    let ways = |client: usize| {
        let mut acts = vec![Act::Connect, keep(client, 1)];
        acts.extend(match client % 5 {
            0 if late && client == 10 => vec![say("BREAK late"), keep(client, 2), Act::Quit],
            0 => vec![say("BREAK die"), keep(client, 2), Act::Quit],
            1 => vec![keep(client, 2), say("BREAK exit")],
            2 => vec![keep(client, 2), Act::HangUp],
            3 => vec![say("BREAK disconnect")],
            _ => vec![say("BREAK take"), keep(client, 2), say("WHOAMI"), Act::Quit],
        });
        acts
    };
    shuffled(13, (1..=15).map(|client| (client, ways(client))).collect())
}

fn both(script: Script) {
    let keeps = keeps(&script);
    for who in [Who::Original, MAY_LEAVE] {
        println!("with {who:?}");
        assert_endings(endings(who, script.clone()), &keeps);
    }
}

#[test]
fn what_a_session_made_ends_with_it() {
    both(one_by_one(1..5, 2));
}

#[test]
fn what_sessions_made_ends_with_each_of_them() {
    let clients = (1..=20).map(|client| (client, usual(client, client % 4)));
    both(shuffled(12, clients.collect()));
}

#[test]
fn it_ends_once_however_the_session_ends() {
    both(broken(false));
}

#[test]
fn it_ends_with_the_session_in_a_worker_of_its_own_and_in_many() {
    let script = broken(true);
    let keeps = keeps(&script);
    for args in [SINGLE, MANY] {
        let endings = endings(Who::Camelpost(args), script.clone());
        assert_endings(endings, &keeps);
    }
}

const MANY: &[&str] = &["--workers", "32"];
const SINGLE: &[&str] = &["--sessions-per-worker", "1"];

#[test]
fn what_is_known_to_end_otherwise_does() {
    let sessions = 4;
    for (name, reason) in KNOWN {
        let count = |who| {
            let known = endings(who, one_by_one(1..1 + sessions, 1)).known;
            known.iter().filter(|known| known == name).count()
        };
        assert_eq!(count(Who::Original), sessions, "{name}");
        assert_ne!(count(MAY_LEAVE), sessions, "{name}: {reason}");
    }
}
