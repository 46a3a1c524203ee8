//! A store that is away: the verdict is on_error's, within the time limit, the log says so once, and once that it
//! is back.

use std::time::{Duration, Instant};

use camelpost_support::{Client, free_port};

use super::redis::{Redis, line, silent};
use super::server::Running;

pub const TESTS: &[super::Test] = &[
    ("on_error_decides_while_the_store_is_away", away),
    ("an_outage_is_said_once_and_so_is_its_end", said_once),
    (
        "a_server_that_never_answers_is_given_up_in_time",
        never_answers,
    ),
    ("a_directory_that_is_taken_away_is_an_outage", no_directory),
];

fn rcpt(client: &mut Client) -> String {
    client.say("RSET");
    assert!(client.say("MAIL FROM:<a@b.example>").starts_with("250 "));
    client.say("RCPT TO:<a@b.example>")
}

fn greeted(server: &Running) -> Client {
    let mut client = server.greeted();
    assert!(client.say("HELO x").starts_with("250 "));
    client
}

fn away() {
    for (word, code, gives) in [
        ("defer", "450 ", "the hook gets DENYSOFT"),
        ("deny", "550 ", "the hook gets DENY"),
        ("skip", "450 ", "the hook goes on without it"),
    ] {
        let store = line(free_port());
        let settings = format!("native/keeper on_error {word}\n");
        let server = Running::start(&store, &settings);
        let mut client = greeted(&server);
        let reply = rcpt(&mut client);
        assert!(reply.starts_with(code), "{word}: {reply}");
        let log = server.log();
        let told = format!(
            "cannot connect: Connection refused; nothing more is said until that is over; {gives} (plugin_settings on_error)"
        );
        assert!(log.contains(&told), "{log}");
        assert!(!log.contains("cret"), "{log}");
        server.stop();
    }
}

fn said_once() {
    let port = free_port();
    let server = Running::start(&line(port), "native/keeper on_error defer\n");
    let mut clients = [greeted(&server), greeted(&server), greeted(&server)];
    let gone = || server.log().matches("cannot connect").count();
    let back = || server.log().matches("can be reached again").count();
    for _ in 0..3 {
        for client in &mut clients {
            assert!(rcpt(client).starts_with("450 "));
            // Perl's plugin dies of it, and says no more.
            assert!(client.say("PADD n").starts_with("500 Unrec"));
        }
    }
    assert_eq!((gone(), back()), (1, 0), "{}", server.log());
    let redis = Redis::start_on(port);
    // A server that has failed is left alone for a second.
    std::thread::sleep(Duration::from_millis(1100));
    for client in &mut clients {
        assert_eq!(client.say("FETCH none"), "250 none");
        assert_eq!(client.say("PGET none"), "250 undef");
    }
    assert_eq!((gone(), back()), (1, 1), "{}", server.log());
    redis.stop();
    for client in &mut clients {
        assert!(rcpt(client).starts_with("450 "));
    }
    // By then the connections are closed, or cannot be made.
    let again = server
        .log()
        .matches("nothing more is said until that is over")
        .count();
    assert_eq!(again, 2, "{}", server.log());
    server.stop();
}

fn never_answers() {
    let (_listener, store) = silent();
    // Two seconds are the store's own, and a hook that has less gets its answer in time, too.
    let server = Running::start(
        &store,
        "native/keeper on_error deny\nnative/keeper timeout 1\n",
    );
    let mut client = greeted(&server);
    let begun = Instant::now();
    assert!(rcpt(&mut client).starts_with("550 "));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let log = server.log();
    assert!(log.contains("no answer within 7"), "{log}");
    assert!(!log.contains("was not done after"), "{log}");
    server.stop();
}

fn no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let store = format!("embedded {}", kept.display());
    let server = Running::start(&store, "native/keeper on_error deny\n");
    let mut client = greeted(&server);
    std::fs::remove_dir_all(&kept).unwrap();
    std::fs::write(&kept, "").unwrap();
    assert!(rcpt(&mut client).starts_with("550 "));
    assert!(rcpt(&mut client).starts_with("550 "));
    let log = server.log();
    let told = format!("store {}: ", kept.display());
    assert_eq!(log.matches(&told).count(), 1, "{log}");
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(client.say("ADD n"), "250 1");
    assert!(server.log().contains("can be reached again"));
    server.stop();
}
