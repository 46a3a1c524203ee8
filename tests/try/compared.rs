//! Dialogues of the comparison suite, with the running daemon and through `camelpost try`: the same replies, and
//! the same verdicts.

use std::collections::HashSet;
use std::process::Command;

use camelpost_oracle::client::{converse, visible};
use camelpost_oracle::daemon::{Daemon, Which};
use camelpost_oracle::dialogue::{ConfigSet, Dialogue, Step};
use camelpost_oracle::ground::Ground;
use camelpost_oracle::normal::Normal;
use camelpost_oracle::read_set;
use camelpost_support::dns;
use regex::Regex;

use crate::played::{CAMELPOST, Played, run};

/// Of so many dialogues one is played.
struct Part {
    name: &'static str,
    text: &'static str,
    one_of: usize,
}

macro_rules! part {
    ($name:literal, $one_of:literal) => {
        Part {
            name: $name,
            text: include_str!(concat!("../dialogues/", $name, ".txt")),
            one_of: $one_of,
        }
    };
}

/// What a client types that waits for each reply; none where the dialogue needs another one.
fn typed(dialogue: &Dialogue) -> Option<String> {
    let mut typed = String::new();
    if !dialogue.greeting {
        return None;
    }
    for step in &dialogue.steps {
        match step {
            Step::Send(line) | Step::SendMaybe(line) | Step::Data(line) => {
                let line = std::str::from_utf8(line).ok()?;
                typed.push_str(line);
                typed.push('\n');
            }
            Step::Eof => {}
            _ => return None,
        }
    }
    (!typed.contains('\r')).then_some(typed)
}

/// The server's lines of a transcript.
fn replies(lines: &[String]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line.starts_with("S: "))
        .cloned()
        .collect()
}

/// `PLUGIN HOOK VERDICT` of a line of the log at its closest.
fn verdicts<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let form = Regex::new(r"Plugin (\S+), hook (\S+) returned ([A-Z_]+),").unwrap();
    let lines = lines.filter_map(|line| form.captures(line));
    lines
        .map(|found| format!("{} {} {}", &found[1], &found[2], &found[3]))
        .collect()
}

fn try_session(
    set: &ConfigSet,
    ground: &Ground,
    dns: std::net::SocketAddr,
    dialogue: &Dialogue,
    typed: &str,
) -> Played {
    let root = ground.root();
    let mut command = Command::new(CAMELPOST);
    command
        .args(["try", "--queue", "--json", "--config"])
        .arg(root.join("config"));
    command.args(["--user", &ground.user, "--ip", &dialogue.from.to_string()]);
    command.env_clear();
    command.envs(dns::environment(dns));
    command
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    command.env("QPSMTPD_CONFIG", root.join("config"));
    command.envs(
        set.env
            .iter()
            .map(|(name, value)| (name, value.replace("@ROOT@", &root.display().to_string()))),
    );
    command.current_dir(root);
    Played::of(&run(command, typed))
}

fn play(part: &Part) {
    let mut set = read_set(part.name, part.text).unwrap();
    set.files
        .push(("config/loglevel".to_owned(), "7\n".to_owned()));
    let ground = Ground::new(&set, None).unwrap();
    let normal = Normal::new(ground.root(), None, &ground.stub_ports());
    let zone = dns::Zone::parse(set.dns.iter().map(String::as_str)).unwrap();
    let dns = dns::serve(zone).unwrap();
    let mut daemon = Daemon::start(Which::Camelpost(CAMELPOST), &set, &ground, dns).unwrap();
    // Without the session that has seen whether it answers.
    daemon.settle().unwrap();
    ground.harvest();
    daemon.log();
    let playable = set
        .dialogues
        .iter()
        .filter_map(|dialogue| Some((dialogue, typed(dialogue)?)));
    let mut played = 0;
    let mut seen = HashSet::new();
    for (dialogue, typed) in playable.step_by(part.one_of) {
        let name = format!("{}/{}", part.name, dialogue.name);
        let said = replies(&normal.lines(&converse(dialogue, daemon.port, ground.root(), &[])));
        daemon.settle().unwrap();
        let delivered = normal.lines(&ground.harvest());
        let log = daemon.log();
        let decided = verdicts(log.iter().map(String::as_str));

        let tried = try_session(&set, &ground, dns, dialogue, &typed);
        let lines: Vec<String> = tried
            .replies()
            .iter()
            .map(|line| format!("S: {}", visible(line.as_bytes())))
            .collect();
        assert_eq!(
            replies(&normal.lines(&lines)),
            said,
            "{name}: {}",
            tried.stderr
        );
        assert_eq!(normal.lines(&ground.harvest()), delivered, "{name}");
        let calls = tried.all("plugin").map(|call| {
            let word = |name: &str| call[name].as_str().unwrap().to_owned();
            format!("{} {} {}", word("plugin"), word("hook"), word("verdict"))
        });
        let is_verdict = |call: &String| {
            call.rsplit(' ')
                .next()
                .is_some_and(|word| word == word.to_uppercase())
        };
        let calls: Vec<String> = calls.filter(is_verdict).collect();
        assert_eq!(calls, decided, "{name}");
        seen.extend(calls);
        played += 1;
    }
    assert!(played > 1, "{} has dialogues that can be played", part.name);
    assert!(!seen.is_empty(), "{} has plugins that are asked", part.name);
}

#[test]
fn verdicts_of_each_kind_come_to_the_same() {
    play(&part!("verdicts", 12));
}

#[test]
fn recipients_and_messages_come_to_the_same() {
    play(&part!("rcpt_lists", 1));
    play(&part!("messages", 5));
}

#[test]
fn hooks_come_in_the_same_order_and_done_means_the_same() {
    play(&part!("hook_order", 3));
    play(&part!("done", 6));
}

#[test]
fn commands_and_resets_come_to_the_same() {
    play(&part!("commands", 8));
    play(&part!("resets", 5));
}
