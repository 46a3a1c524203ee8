//! Who says what when: scripts that a seed decides, and how they are played.

use std::collections::{BTreeMap, BTreeSet};

use camelpost_support::Client;
use camelpost_support::random::Random;

use crate::daemon::Daemon;

/// What one client does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Connect,
    Say(String),
    Quit,
    HangUp,
    /// The server loads its configuration anew.
    Reload,
}

/// A client's number and what it does. One after the other, or at the same time.
pub type Script = Vec<Vec<(usize, Act)>>;

/// What each client said, and the reply.
pub type Transcript = BTreeMap<usize, Vec<(String, String)>>;

/// The tag that a client gives with its nth KEEP.
pub fn tag(client: usize, n: usize) -> String {
    format!("client{client}-{n}")
}

pub fn keep(client: usize, n: usize) -> Act {
    Act::Say(format!("KEEP {n} {}", tag(client, n)))
}

/// Each client connects, says KEEP so many times and quits.
pub fn usual(client: usize, rounds: usize) -> Vec<Act> {
    let mut acts = vec![Act::Connect];
    acts.extend((1..=rounds).map(|n| keep(client, n)));
    acts.push(Act::Quit);
    acts
}

/// One session after the other.
pub fn one_by_one(clients: std::ops::Range<usize>, rounds: usize) -> Script {
    let acts =
        clients.flat_map(|client| usual(client, rounds).into_iter().map(move |a| (client, a)));
    acts.map(|act| vec![act]).collect()
}

/// The same where each session asks first who it is.
pub fn with_whoami(script: Script) -> Script {
    let whoami = |client| vec![(client, Act::Say("WHOAMI".to_owned()))];
    let with = |burst: Vec<(usize, Act)>| match &burst[..] {
        [(client, Act::Connect)] => vec![burst.clone(), whoami(*client)],
        _ => vec![burst],
    };
    script.into_iter().flat_map(with).collect()
}

/// The processes that have served the sessions, as WHOAMI said.
pub fn processes(transcript: &Transcript) -> BTreeSet<&str> {
    let all = transcript.values().flatten();
    let whoami = all.filter(|(line, _)| line == "WHOAMI");
    whoami
        .filter_map(|(_, reply)| reply.rsplit(' ').next())
        .collect()
}

/// The acts of all clients in an order that the seed decides; the last act of each comes when all
/// others are done, so that all are there at a time.
pub fn shuffled(seed: u64, clients: Vec<(usize, Vec<Act>)>) -> Script {
    let mut random = Random::new(seed);
    let mut script = Vec::new();
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for (client, mut acts) in clients {
        lasts.extend(acts.pop().map(|act| (client, vec![act])));
        firsts.push((client, acts));
    }
    for mut part in [firsts, lasts] {
        part.retain(|(_, acts)| !acts.is_empty());
        for (_, acts) in &mut part {
            acts.reverse();
        }
        while !part.is_empty() {
            let which = random.within(0..part.len());
            let (client, acts) = &mut part[which];
            script.extend(acts.pop().map(|act| vec![(*client, act)]));
            if acts.is_empty() {
                part.swap_remove(which);
            }
        }
    }
    script
}

/// The same script with runs of acts of different clients at the same time.
pub fn in_bursts(seed: u64, script: Script) -> Script {
    let mut random = Random::new(seed);
    let mut bursts: Script = Vec::new();
    let mut room = 0;
    for (client, act) in script.into_iter().flatten() {
        match bursts.last_mut() {
            Some(burst) if room > 0 && burst.iter().all(|(other, _)| *other != client) => {
                burst.push((client, act));
                room -= 1;
            }
            _ => {
                bursts.push(vec![(client, act)]);
                room = random.within(0..20);
            }
        }
    }
    bursts
}

/// Plays a script: all acts of a burst are sent, then all replies are read.
pub fn play(daemon: &Daemon, script: &Script) -> Transcript {
    let mut clients: BTreeMap<usize, Client> = BTreeMap::new();
    let mut transcript = Transcript::new();
    for burst in script {
        for (number, act) in burst {
            match act {
                Act::Connect => {
                    clients.insert(*number, daemon.connect_silently());
                }
                Act::Say(line) => client(&mut clients, *number).send_line(line),
                Act::Quit => client(&mut clients, *number).send_line("QUIT"),
                Act::HangUp => {
                    clients.remove(number);
                }
                Act::Reload => daemon.reload(),
            }
        }
        for (number, act) in burst {
            let line = match act {
                // The greeting names the server's version.
                Act::Connect => {
                    let mut greeting = client(&mut clients, *number).reply();
                    if greeting.is_empty() && daemon.is_original() {
                        let log = daemon.log();
                        let last: Vec<&str> = log.lines().rev().take(30).collect();
                        eprintln!(
                            "client {number} is made anew; the original's last lines: {last:#?}"
                        );
                        clients.insert(*number, daemon.connect_silently());
                        greeting = client(&mut clients, *number).reply();
                    }
                    assert!(
                        greeting.starts_with("220 "),
                        "client {number}: {greeting:?}"
                    );
                    continue;
                }
                Act::HangUp | Act::Reload => continue,
                Act::Quit => "QUIT",
                Act::Say(line) => line,
            };
            let said = match act {
                Act::Quit => client(&mut clients, *number).rest(),
                _ => client(&mut clients, *number).reply(),
            };
            let entry = (line.to_owned(), said);
            transcript.entry(*number).or_default().push(entry);
        }
    }
    transcript
}

fn client(clients: &mut BTreeMap<usize, Client>, number: usize) -> &mut Client {
    clients.get_mut(&number).unwrap()
}
