//! The same scripts played with the original's daemon, which is the measure: it answers as this suite
//! says, and Camelpost as it does, line by line.

use std::collections::BTreeSet;

use crate::answers::{assert_right, places, told, wrong};
use crate::daemon::{ALL, Daemon, ONE_WORKER, SHARED, Who};
use crate::known::KNOWN;
use crate::play::{Script, Transcript, in_bursts, one_by_one, play, processes, with_whoami};
use crate::side_by_side::script;

/// The lines of a reply that are to be the same.
fn lines(reply: &str) -> Vec<&str> {
    let known = |line: &&str| {
        let place = line.get(4..).and_then(|text| text.split_once('='));
        place.is_some_and(|(place, _)| KNOWN.iter().any(|(known, _)| *known == place))
    };
    reply.lines().filter(|line| !known(line)).collect()
}

/// Each reply of the one is the other's.
pub fn assert_same(original: &Transcript, camelpost: &Transcript) {
    let mut differences = Vec::new();
    assert_eq!(original.len(), camelpost.len());
    for (client, entries) in original {
        let others = &camelpost[client];
        assert_eq!(entries.len(), others.len(), "client {client}");
        let both = entries.iter().zip(others);
        for ((line, reply), (_, other)) in both.filter(|((line, _), _)| line != "WHOAMI") {
            let (a, b) = (lines(reply), lines(other));
            for number in 0..a.len().max(b.len()) {
                let (a, b) = (a.get(number), b.get(number));
                if a != b {
                    differences.push(format!("client {client}: {line}: {a:?} was {b:?}"));
                }
            }
        }
    }
    let count = differences.len();
    differences.truncate(30);
    assert_eq!(
        count,
        0,
        "differences, the first are\n{}",
        differences.join("\n")
    );
}

/// Plays a script with the original and with Camelpost: both answer as this suite says, line by line the
/// same. Gives both transcripts.
pub fn both(camelpost: Who, script: &Script) -> [Transcript; 2] {
    let transcripts = [Who::Original, camelpost].map(|who| {
        let transcript = play(&Daemon::start(who, SHARED), script);
        let mut all = wrong(&transcript);
        if who != Who::Original {
            all.retain(|place, _| KNOWN.iter().all(|(known, _)| known != place));
        }
        assert!(all.is_empty(), "{who:?}: {}", told(&all));
        transcript
    });
    let [original, camelpost] = &transcripts;
    assert_same(original, camelpost);
    transcripts
}

/// And in one worker.
fn in_one_process(script: Script) {
    let [original, camelpost] = both(ONE_WORKER, &with_whoami(script));
    assert_eq!(processes(&original).len(), original.len());
    assert_eq!(processes(&camelpost).len(), 1);
}

/// By itself, so that it can be run before Camelpost does the same.
#[test]
fn the_original_answers_as_this_suite_says() {
    let daemon = Daemon::start(Who::Original, ALL);
    for script in [one_by_one(1..3, 6), in_bursts(9, script(8, 20, 3))] {
        let all = wrong(&play(&daemon, &script));
        assert!(all.is_empty(), "{}", told(&all));
    }
}

#[test]
fn sessions_one_after_the_other_are_the_original_s() {
    in_one_process(one_by_one(1..6, 3));
}

#[test]
fn two_hundred_sessions_side_by_side_in_one_worker_are_the_original_s() {
    in_one_process(script(10, 200, 3));
}

#[test]
fn what_is_known_to_differ_does() {
    let daemon = Daemon::start(ONE_WORKER, SHARED);
    let all = wrong(&play(&daemon, &script(11, 20, 3)));
    let differing: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    for (place, reason) in KNOWN {
        assert!(
            differing.contains(place),
            "{place} does not differ any more: {reason}"
        );
    }
}

/// Places of a plugin that is not asked would go unseen.
#[test]
fn all_plugins_are_asked() {
    let daemon = Daemon::start(Who::Original, ALL);
    let transcript = play(&daemon, &one_by_one(1..2, 1));
    let places = places(&transcript[&1][0].1);
    let asked: BTreeSet<&str> = places
        .keys()
        .filter_map(|place| place.split('.').next())
        .collect();
    let names = [
        "object",
        "lexicals",
        "globals",
        "structures",
        "classes",
        "in_place",
        "code",
        "modules",
        "My::Keeper",
        "parent",
        "child",
        "child::_isa_parent",
        "child_3a0",
        "child_3a0::_isa_parent",
        "child_3a1",
        "child_3a1::_isa_parent",
        "grandchild",
        "grandchild::_isa_child",
        "grandchild::_isa_child::_isa_parent",
        "twice_3a0",
        "twice_3a1",
        "magic",
        "extremes",
        "oddities",
        "tied",
        "fields",
        "undefines",
        "redefines",
        "logging::keeper",
        "config_keeper",
        "ends",
        "breaks",
    ];
    assert_eq!(asked, BTreeSet::from(names));
    assert!(places.len() > 300, "{} places", places.len());
}

#[test]
fn what_is_right_is_told_from_what_is_not() {
    let reply = "250-a.b=2\n250-a.c=2 client7-1 client7-2\n250-a.d=3\n250 end";
    let mut transcript = Transcript::new();
    let entry = ("KEEP 2 client7-2".to_owned(), reply.to_owned());
    transcript.insert(7, vec![entry]);
    let all = wrong(&transcript);
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a.d"]);
    assert_eq!(all["a.d"][0].said, "3");
    let failed = std::panic::catch_unwind(|| assert_right(&transcript));
    assert!(failed.is_err());
}
