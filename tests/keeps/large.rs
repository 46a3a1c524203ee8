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

fn large(client: usize, word: &str) -> (usize, Act) {
    (client, Act::Say(format!("LARGE {word}")))
}

/// For each way two sessions: one changes, the other looks before and after. The third is there all
/// the time; it looks at the end, when it has changed everything itself.
fn script(ways: &[String]) -> Script {
    let mut acts = vec![(0, Act::Connect), large(0, "see")];
    for (number, way) in (0..).zip(ways) {
        let [one, other] = [2 * number + 1, 2 * number + 2];
        acts.extend([
            (one, Act::Connect),
            (other, Act::Connect),
            large(other, "see"),
        ]);
        acts.extend([large(one, way), large(other, "see"), large(one, "see")]);
        acts.extend([(one, Act::Quit), large(other, "see"), (other, Act::Quit)]);
    }
    acts.push(large(0, "see"));
    acts.extend(ways.iter().map(|way| large(0, way)));
    acts.extend([(0, Act::Quit), (1000, Act::Connect), large(1000, "see")]);
    acts.push((1000, Act::Quit));
    acts.into_iter().map(|act| vec![act]).collect()
}

/// What LARGE see says where nothing has been changed is the same always.
fn assert_others_see_nothing(transcript: &Transcript) {
    let at_load = &transcript[&0][0].1;
    assert!(at_load.starts_with("250-hash 5000:"), "{at_load}");
    let mut wrong = BTreeSet::new();
    for (client, entries) in transcript {
        if client % 2 == 1 {
            continue;
        }
        let sees = entries.iter().filter(|(line, _)| line == "LARGE see");
        for (number, (_, reply)) in (0..).zip(sees) {
            if reply != at_load {
                let changed: Vec<&str> = reply
                    .split('|')
                    .zip(at_load.split('|'))
                    .filter(|(a, b)| a != b)
                    .map(|(a, _)| a)
                    .collect();
                wrong.insert(format!("client {client}, look {number}: {changed:?}"));
            }
        }
    }
    let text: Vec<&String> = wrong.iter().take(20).collect();
    assert!(
        wrong.is_empty(),
        "{} looks were wrong: {text:#?}",
        wrong.len()
    );
}

/// What a way does not undo itself is seen by its own session.
fn assert_own_changes_are_seen(transcript: &Transcript, ways: &[String]) {
    let at_load = &transcript[&0][0].1;
    for (number, way) in (0..).zip(ways) {
        let entries = &transcript[&(2 * number + 1)];
        let [(_, changed), (_, after)] = &entries[..2] else {
            panic!("{way}: {entries:?}");
        };
        assert!(!changed.contains("died"), "{way}: {changed}");
        let undone = [
            "hash_deleted_and_put_back",
            "hash_deleted_locally",
            "array_locally",
            "package_hash_localised",
        ];
        let is_seen = after != at_load;
        // A deleted element that is put back with its value is another scalar.
        let expected = !undone.contains(&way.as_str()) || way == "hash_deleted_and_put_back";
        assert_eq!(is_seen, expected, "{way}: {after}");
        assert_eq!(changed, after, "{way}");
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
    acts.extend((0..30).map(|client| large(client, own(client))));
    acts.extend((0..30).rev().map(|client| large(client, "see")));
    acts.extend((0..30).map(|client| (client, Act::Quit)));
    acts.extend([(30, Act::Connect), large(30, "see"), (30, Act::Quit)]);
    let script: Script = acts.into_iter().map(|act| vec![act]).collect();
    let [original, camelpost] =
        [Who::Original, ONE_WORKER].map(|who| play(&Daemon::start(who, PLUGINS), &script));
    assert_same(&original, &camelpost);
}
