//! What a native plugin does wrong, and what the other sessions of its worker notice of it: nothing.

use camelpost_support::{Client, Site, free_port, me, wait_for};

pub const TESTS: &[super::Test] = &[
    ("a_panic_is_that_session_s_alone", panic_is_alone),
    ("on_error_says_what_a_panic_means", on_error),
    (
        "a_failure_ends_its_call_and_the_log_names_the_plugin",
        failure,
    ),
    ("on_error_says_what_a_failure_means", on_failure),
    ("lines_of_one_plugin_are_told_apart_by_a_number", numbered),
    ("a_plugin_that_blocks_is_told_of", blocks),
    (
        "an_isolated_plugin_has_a_process_for_each_session",
        isolated,
    ),
    (
        "a_plugin_that_never_answers_is_given_up_after_its_time",
        late,
    ),
];

/// What stands beside the tester.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Nothing: there is no interpreter.
    Alone,
    /// A Perl plugin that has no hook.
    BesidePerl,
}

impl Kind {
    pub fn plugins(self) -> &'static str {
        match self {
            Kind::Alone => "native/tester\n",
            Kind::BesidePerl => "native/tester\nidle\n",
        }
    }
}

/// The daemon with one worker for all sessions.
pub struct Daemon {
    daemon: camelpost_support::Daemon,
    port: u16,
}

impl Daemon {
    pub fn start(site: &Site) -> Daemon {
        Daemon::start_with(site, &[])
    }

    /// With these variables in its environment.
    pub fn start_with(site: &Site, environment: &[(&str, String)]) -> Daemon {
        site.put("plugins/idle", "sub idle { }\n");
        let port = free_port();
        let mut command = site.command(std::env::current_exe().unwrap());
        let args = format!(
            "serve -H -l 127.0.0.1 -p {port} -u {} --workers 1 --spare-workers 0",
            me()
        );
        command.args(args.split(' ')).args(["--control", "none"]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let daemon = camelpost_support::Daemon::logging_to(site, command);
        let daemon = Daemon { daemon, port };
        // The worker has plugins then.
        assert!(daemon.connect().reply().starts_with("220 "));
        daemon
    }

    pub fn connect(&self) -> Client {
        Client::when_ready(self.port)
    }

    pub fn stop(mut self) {
        assert!(self.daemon.stop().success());
    }
}

fn both_ways(settings: &str, test: impl Fn(&Site, &Daemon)) {
    for kind in [Kind::Alone, Kind::BesidePerl] {
        let site = Site::new(kind.plugins());
        site.put("config/plugin_settings", settings);
        let daemon = Daemon::start(&site);
        test(&site, &daemon);
        daemon.stop();
    }
}

fn greeted(daemon: &Daemon) -> Client {
    let mut client = daemon.connect();
    assert!(client.reply().starts_with("220 "));
    assert!(client.say("HELO x").starts_with("250 "));
    client
}

fn panic_is_alone() {
    both_ways("", |site, daemon| {
        let (mut bad, mut good) = (greeted(daemon), greeted(daemon));
        let worker = good.say("VRFY x");
        assert_eq!(bad.say("VRFY x"), worker, "one worker has both");
        assert!(good.say("MAIL FROM:<a@example.net>").starts_with("250 "));
        assert!(bad.say("FOO panics").starts_with("5"));
        assert!(
            bad.say("MAIL FROM:<panics@example.net>")
                .starts_with("250 ")
        );
        // Both go on, in the same worker.
        assert!(good.say("RCPT TO:<ok@example.com>").starts_with("250 "));
        assert!(bad.say("RCPT TO:<ok@example.com>").starts_with("250 "));
        assert_eq!(good.say("VRFY x"), worker);
        assert_eq!(bad.say("VRFY x"), worker);
        let log = site.read("run/log");
        let told = "FATAL PLUGIN ERROR [tester]:  panicked: as it was told";
        assert_eq!(log.matches(told).count(), 2, "{log}");
    });
}

fn on_error() {
    both_ways("native/tester on_error deny\n", |_, daemon| {
        let mut client = greeted(daemon);
        assert!(
            client
                .say("MAIL FROM:<panics@example.net>")
                .starts_with("550 ")
        );
        assert!(client.say("MAIL FROM:<a@example.net>").starts_with("250 "));
    });
}

fn failure() {
    both_ways("", |site, daemon| {
        let mut client = greeted(daemon);
        assert!(
            client
                .say("MAIL FROM:<fails@example.net>")
                .starts_with("250 ")
        );
        assert!(client.say("RCPT TO:<ok@example.com>").starts_with("250 "));
        let log = site.read("run/log");
        let told = "FATAL PLUGIN ERROR [tester]:  as it was told";
        assert_eq!(log.matches(told).count(), 1, "{log}");
    });
}

fn on_failure() {
    both_ways("native/tester on_error defer\n", |_, daemon| {
        let mut client = greeted(daemon);
        assert!(
            client
                .say("MAIL FROM:<fails@example.net>")
                .starts_with("450 ")
        );
    });
}

fn numbered() {
    for rest in ["", "idle\n"] {
        let site = Site::new(&format!("native/tester:1\nnative/tester:2\n{rest}"));
        site.put("config/loglevel", "7\n");
        site.put("config/plugin_settings", "native/tester:2 on_error deny\n");
        let daemon = Daemon::start(&site);
        let mut client = greeted(&daemon);
        // The first of them is skipped, the second refuses.
        assert!(
            client
                .say("MAIL FROM:<fails@example.net>")
                .starts_with("550 ")
        );
        drop(client);
        daemon.stop();
        let log = site.read("run/log");
        for name in ["tester_3a1", "tester_3a2"] {
            let told = format!("FATAL PLUGIN ERROR [{name}]:  as it was told");
            assert_eq!(log.matches(&told).count(), 1, "{log}");
        }
    }
}

fn blocks() {
    both_ways("", |site, daemon| {
        greeted(daemon).say("FOO waits");
        assert!(!site.read("run/log").contains("waiting for"));
        greeted(daemon).say("FOO blocks");
        let told = "a native plugin running the unrecognized_command hook has kept all sessions of its \
                    worker waiting for ";
        assert!(
            site.read("run/log").contains(told),
            "{}",
            site.read("run/log")
        );
    });
}

fn isolated() {
    both_ways("native/tester isolate\n", |_, daemon| {
        let (mut one, mut other) = (greeted(daemon), greeted(daemon));
        let (first, second) = (one.say("VRFY x"), other.say("VRFY x"));
        assert_ne!(first, second);
        assert_eq!(one.say("VRFY x"), first);
    });
}

fn late() {
    both_ways("native/tester timeout 1\n", |site, daemon| {
        let (mut bad, mut good) = (greeted(daemon), greeted(daemon));
        bad.say("MAIL FROM:<a@example.net>");
        bad.say("RCPT TO:<ok@example.com>");
        assert!(bad.say("DATA").starts_with("354 "));
        bad.send_line("Subject: sleeps\r\n\r\nbody\r\n.");
        assert!(good.say("NOOP").starts_with("250 "), "it does not wait");
        assert!(bad.reply().starts_with("452 "));
        assert!(bad.say("NOOP").starts_with("250 "));
        wait_for("the line", || {
            let log = site.read("run/log");
            log.contains("plugin tester running the data_post hook was not done after 1 s")
                .then_some(())
        });
    });
}
