//! What the store's methods mean, the same with the embedded store and with Redis: sessions in this process.

use std::time::Duration;

use camelpost::testing::{Client, Site};

use super::keeper::Keeper;
use super::redis::{Redis, embedded};

pub const TESTS: &[super::Test] = &[
    ("what_is_set_is_found_until_it_is_removed", set_and_remove),
    ("a_value_is_gone_when_its_time_is_over", expiry),
    ("a_change_is_made_of_what_there_is", updates),
    ("an_error_is_the_call_s_alone", errors),
    ("a_wrong_line_ends_the_start_with_its_place", wrong_line),
    ("a_server_is_reached_by_its_socket_too", by_socket),
];

fn connect(store: &str) -> Client {
    let site = Site::new().plugin::<Keeper>("").config("store", store);
    site.connect().unwrap()
}

fn both_ways(test: impl Fn(&str)) {
    let dir = tempfile::tempdir().unwrap();
    test(&embedded(&dir.path().join("store")));
    let redis = Redis::start();
    test(&redis.line());
    redis.stop();
}

fn said(client: &mut Client, line: &str) -> String {
    let reply = client.say(line);
    assert_eq!(reply.code(), 250, "{line}: {reply:?}");
    reply.text()
}

fn play(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        assert_eq!(said(client, line), *reply, "{line}");
    }
}

fn set_and_remove() {
    both_ways(|store| {
        let mut client = connect(store);
        play(
            &mut client,
            &[
                ("FETCH a", "none"),
                ("PUT a 1", "stored"),
                ("PUT a 2", "stored"),
                ("FETCH a", "'2'"),
                ("FETCH b", "none"),
                ("DEL a", "true"),
                ("DEL a", "false"),
                ("FETCH a", "none"),
                ("PUT a ", "stored"),
                ("FETCH a", "''"),
                ("LONG", "'long'"),
                ("PUT stays 1", "stored"),
            ],
        );
        client.quit();
        // It outlives the session, and the server.
        play(&mut connect(store), &[("FETCH stays", "'1'")]);
    });
}

fn expiry() {
    both_ways(|store| {
        let mut client = connect(store);
        play(
            &mut client,
            &[
                ("PUT a 1 300", "stored"),
                ("PUT b 1 60000", "stored"),
                ("PUT c 1 300", "stored"),
                ("ADD n 5 300", "5"),
                ("FETCH a", "'1'"),
                // From now on it stays.
                ("PUT c 2", "stored"),
            ],
        );
        std::thread::sleep(Duration::from_millis(400));
        play(
            &mut client,
            &[
                ("FETCH a", "none"),
                ("FETCH b", "'1'"),
                ("FETCH c", "'2'"),
                ("ADD n 1 300", "1"),
                ("DEL a", "false"),
            ],
        );
    });
}

fn updates() {
    both_ways(|store| {
        let mut client = connect(store);
        play(
            &mut client,
            &[
                ("ADD n", "1"),
                ("ADD n 10", "11"),
                ("ADD n -12", "-1"),
                ("TWICE none", "none"),
                ("PUT t ab", "stored"),
                ("TWICE t", "'abab'"),
                ("FETCH t", "'abab'"),
                ("DROP t", "none"),
                ("FETCH t", "none"),
            ],
        );
    });
}

fn errors() {
    both_ways(|store| {
        let mut client = connect(store);
        assert_eq!(said(&mut client, "PUT t text"), "stored");
        for line in ["ADD t", "BREAK t", "NAMELESS"] {
            let reply = client.say(line).text();
            assert!(reply.starts_with("Unrecognized"), "{line}: {reply}");
        }
        assert_eq!(said(&mut client, "FETCH t"), "'text'");
        let ended = client.quit();
        for told in [
            "[keeper]:  'text' in the store is no number",
            "[keeper]:  the name of a store has 1 to 100 bytes, not 0",
        ] {
            assert!(ended.has_logged(told), "{told}: {:?}", ended.log);
        }
        let panicked = [
            "what was to change a value of the store panicked",
            "as told",
        ];
        assert!(
            panicked.iter().any(|told| ended.has_logged(told)),
            "{:?}",
            ended.log
        );
    });
}

fn wrong_line() {
    for (line, told) in [
        (
            "lmdb",
            "store:1: store is \"lmdb\"; it must be one line: \"embedded\"",
        ),
        (
            "embedded\nembedded",
            "store:2: store is \"embedded\"; it must be one line",
        ),
        ("redis://name.invalid", "store: redis://name.invalid:6379: "),
        (
            "embedded /nonexistent/a",
            "store: store /nonexistent/a: cannot make the directory: ",
        ),
    ] {
        let site = Site::new().plugin::<Keeper>("").config("store", line);
        let error = site.connect().err().unwrap();
        assert!(error.contains(told), "{line}: {error}");
    }
}

fn by_socket() {
    let redis = Redis::start();
    // No password is said there, which the server wants.
    let line = format!("unix:{}", redis.socket().display());
    let mut client = connect(&line);
    assert!(client.say("FETCH a").text().starts_with("Unrecognized"));
    let ended = client.quit();
    let told = format!("store {line}: the server says: NOAUTH");
    assert!(ended.has_logged(&told), "{:?}", ended.log);
    assert_eq!(redis.say("CONFIG SET requirepass \"\""), "+OK");
    let mut client = connect(&format!("{line}?db=2"));
    play(&mut client, &[("PUT a 1", "stored"), ("FETCH a", "'1'")]);
    redis.stop();
}
