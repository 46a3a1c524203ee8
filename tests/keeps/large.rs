//! Large containers: each way to change one in one session, none of which the others see.

use std::collections::BTreeSet;

use crate::compared::assert_same;
use crate::daemon::{Daemon, ONE_WORKER, Who};
use crate::play::{Act, Script, Transcript, play};

const PLUGINS: &str = "large\nanswer\n";

/// The subs of the plugin that change something.
fn ways() -> Vec<String> {
    let text = include_str!("plugins/large");
    let subs = text
        .lines()
        .filter_map(|line| line.strip_prefix("sub way_"));
    let ways: Vec<String> = subs
        .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(ways.len() > 60, "{ways:?}");
    ways
}

fn large(client: usize, words: &str) -> (usize, Act) {
    (client, Act::Say(format!("LARGE {words}")))
}

/// What a way changes.
fn container(way: &str) -> &str {
    let all = [
        "package_hash",
        "package_array",
        "self_hash",
        "self_array",
        "self_table",
        "hash",
        "array",
        "table",
        "text",
        "object",
    ];
    all.into_iter().find(|name| way.starts_with(name)).unwrap()
}

/// For each way two sessions: the one with the odd number changes, the other looks before and after. The
/// first is there all the time; at the end it looks, and then it changes everything itself.
fn script(ways: &[String]) -> Script {
    let mut acts = vec![(0, Act::Connect), large(0, "see")];
    for (number, way) in (0..).zip(ways) {
        let [one, other] = [2 * number + 1, 2 * number + 2];
        let container = container(way);
        let see = format!("see {container}");
        acts.extend([
            (one, Act::Connect),
            (other, Act::Connect),
            large(other, &see),
        ]);
        acts.push(large(one, &format!("{way} {container}")));
        acts.extend([large(other, &see), large(one, &see), (one, Act::Quit)]);
        acts.extend([large(other, &see), (other, Act::Quit)]);
    }
    acts.push(large(0, "see"));
    acts.extend(
        ways.iter()
            .map(|way| large(0, &format!("{way} {}", container(way)))),
    );
    acts.extend([(0, Act::Quit), (1000, Act::Connect), large(1000, "see")]);
    acts.push((1000, Act::Quit));
    acts.into_iter().map(|act| vec![act]).collect()
}

/// The lines of a reply about containers, without the codes.
fn lines(reply: &str) -> BTreeSet<&str> {
    reply.lines().filter_map(|line| line.get(4..)).collect()
}

/// What the first session has seen first.
fn at_load(transcript: &Transcript) -> BTreeSet<&str> {
    let lines = lines(&transcript[&0][0].1);
    assert!(
        lines.len() == 11 && lines.contains("references same same same"),
        "{lines:?}"
    );
    lines
}

/// Sessions that have changed nothing see what there was at load.
fn assert_others_see_nothing(transcript: &Transcript) {
    let at_load = at_load(transcript);
    let mut wrong = Vec::new();
    for (client, entries) in transcript.iter().filter(|(client, _)| *client % 2 == 0) {
        let sees = entries
            .iter()
            .filter(|(line, _)| line.starts_with("LARGE see"));
        for (number, (line, reply)) in (0..).zip(sees) {
            for line_seen in lines(reply).difference(&at_load) {
                wrong.push(format!(
                    "client {client}, look {number}, {line}: {line_seen}"
                ));
            }
        }
    }
    let count = wrong.len();
    wrong.truncate(20);
    assert_eq!(count, 0, "so many looks were wrong: {wrong:#?}");
}

/// What a way does not undo itself is seen by its own session.
fn assert_own_changes_are_seen(transcript: &Transcript, ways: &[String]) {
    let undone = [
        "hash_deleted_locally",
        "array_locally",
        "package_hash_localised",
    ];
    for (number, way) in (0..).zip(ways) {
        let [(_, changed), (_, after), _] = &transcript[&(2 * number + 1)][..] else {
            panic!("{way}: {:?}", transcript[&(2 * number + 1)]);
        };
        assert_eq!(changed, after, "{way}");
        assert!(!changed.contains("died"), "{way}: {changed}");
        let is_seen = lines(after).difference(&at_load(transcript)).count() > 0;
        assert_eq!(is_seen, !undone.contains(&way.as_str()), "{way}: {after}");
    }
}

#[test]
fn no_change_of_a_large_container_is_seen_by_others() {
    let ways = ways();
    let [original, camelpost] = [Who::Original, ONE_WORKER].map(|who| {
        let transcript = play(&Daemon::start(who, PLUGINS), &script(&ways));
        assert_others_see_nothing(&transcript);
        assert_own_changes_are_seen(&transcript, &ways);
        transcript
    });
    assert_same(&original, &camelpost);
}

#[test]
fn thirty_sessions_with_large_containers_do_not_see_each_other() {
    let ways = ways();
    let mut acts: Vec<(usize, Act)> = (0..30).map(|client| (client, Act::Connect)).collect();
    let own = |client: usize| &ways[(client * 7) % ways.len()];
    acts.extend((0..30).map(|client| large(client, &format!("{} none", own(client)))));
    acts.extend((0..30).rev().map(|client| large(client, "see")));
    acts.extend((0..30).map(|client| (client, Act::Quit)));
    acts.extend([(30, Act::Connect), large(30, "see"), (30, Act::Quit)]);
    let script: Script = acts.into_iter().map(|act| vec![act]).collect();
    let [original, camelpost] =
        [Who::Original, ONE_WORKER].map(|who| play(&Daemon::start(who, PLUGINS), &script));
    assert_same(&original, &camelpost);
}
