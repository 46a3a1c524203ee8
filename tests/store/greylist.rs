//! greylisting over the store: workers that meet one client at once, Perl's plugin of 1.00 and the native one with
//! one store, a store that is away.

use camelpost_support::{Client, Site, free_port};

use super::redis::line;
use super::server::{APART, Server, stores};

pub const TESTS: &[super::Test] = &[
    ("workers_that_greylist_one_client_lose_no_try", workers),
    ("perl_code_and_the_native_plugin_share_triplets", perl),
    ("a_plugin_has_a_recipient_s_own_times", by_recipient),
    (
        "the_plugin_of_1_00_and_the_native_one_share_triplets",
        the_plugin_of_1_00,
    ),
    ("on_error_decides_of_a_client_while_the_store_is_away", away),
];

/// The client's key: 127.0.0.1 as a number.
const KEY: &str = "2130706433";

/// Qpsmtpd::DB as greylisting of 1.00 has it, in a client's hands.
const PERL: &str = r#"
    sub init {
        my $self = shift;
        $self->db(name => 'greylist', class => 'Qpsmtpd::DB::File::DBM');
    }
    sub hook_unrecognized_command {
        my ($self, $transaction, $verb, @words) = @_;
        my ($key, $value) = split ' ', "@words";
        return DECLINED unless $verb =~ /^p(get|put)$/i;
        $self->db->set($key, $value) if lc $verb eq 'pput';
        my $kept = $self->db->get($key);
        $self->qp->respond(250, defined $kept ? $kept : 'undef');
        return DONE;
    }
"#;

fn site(plugins: &str, store: Option<&str>) -> Site {
    let site = Site::new(plugins);
    site.put("plugins/perl_keeper", PERL);
    if let Some(store) = store {
        site.put("config/store", store);
    }
    site
}

fn greeted(server: &Server) -> Client {
    let mut client = server.greeted();
    client.expect("HELO client.example", "250 ");
    client
}

const MAIL: &str = "MAIL FROM:<a@client.example>";
const DENIED: &str = "450 This mail is temporarily denied";

fn workers() {
    const TRIES: usize = 20;
    let server = Server::of(site("native/greylisting\n", None), APART);
    let clients: Vec<Client> = (0..4).map(|_| greeted(&server)).collect();
    // All at once.
    let tries = clients.into_iter().map(|mut client| {
        std::thread::spawn(move || {
            for _ in 0..TRIES {
                client.expect(MAIL, DENIED);
            }
        })
    });
    let tries: Vec<_> = tries.collect();
    tries.into_iter().for_each(|tries| tries.join().unwrap());
    let log = server.site.read("run/log");
    let told = |text: &str| log.matches(text).count();
    assert_eq!(told("fail: initial DENYSOFT, unknown"), 1, "{log}");
    for count in 1..4 * TRIES {
        let text = format!("fail: black DENYSOFT - {count} deferred connections");
        assert_eq!(told(&text), 1, "{text}: {log}");
    }
    server.stop();
}

fn perl() {
    let store = Some("embedded");
    let server = Server::of(site("native/greylisting\nperl_keeper\n", store), APART);
    let mut client = greeted(&server);
    client.expect(MAIL, DENIED);
    client.expect(MAIL, DENIED);
    let kept = client.say(&format!("PGET {KEY}"));
    let (time, counts) = kept.split_once(':').unwrap();
    assert_eq!(counts, "1:1:0", "{kept}");
    let time: i64 = time.strip_prefix("250 ").unwrap().parse().unwrap();
    // A known client's, of an hour ago.
    let known = format!("{}:1:1:7", time - 3600);
    let line = format!("PPUT {KEY} {known}");
    assert_eq!(client.say(&line), format!("250 {known}"));
    let mut other = greeted(&server);
    other.expect(MAIL, "250 ");
    let kept = client.say(&format!("PGET {KEY}"));
    assert!(kept.ends_with(":1:1:8"), "{kept}");
    // One that Perl code has set does not expire by itself, and is forgotten nevertheless.
    let old = format!("PPUT {KEY} {}:1:1:7", time - 37 * 86_400);
    client.expect(&old, "250 ");
    other.say("RSET");
    other.expect(MAIL, DENIED);
    drop((client, other));
    server.stop();
}

fn by_recipient() {
    let lines = "chooser\nnative/greylisting per_recipient 1\ntaker\n";
    let site = site(lines, None);
    site.put("config/compat", "1.00\n");
    site.put(
        "plugins/chooser",
        r#"
        sub hook_user_config {
            my ($self, $transaction, $whose, $name) = @_;
            my $is_meant = $name eq 'denysoft_greylist' && $whose->{rcpt}->user eq 'hurried';
            return $is_meant ? (OK, 'black_timeout 0', 'nonsense') : DECLINED;
        }
        "#,
    );
    site.put("plugins/taker", "sub hook_rcpt { return OK }\n");
    let server = Server::of(site, "");
    let mut client = greeted(&server);
    client.expect(MAIL, "250 ");
    for (user, reply) in [
        ("patient", DENIED),
        ("patient", DENIED),
        ("hurried", "250 "),
        ("patient", DENIED),
    ] {
        client.expect(&format!("RCPT TO:<{user}@example.org>"), reply);
    }
    drop(client);
    server.stop();
}

fn the_plugin_of_1_00() {
    let Some(checkout) = std::env::var_os("QPSMTPD_100") else {
        eprintln!("needs QPSMTPD_100, a checkout of upstream's repository");
        return;
    };
    let plugins = std::path::Path::new(&checkout).join("plugins");
    stores(|store| {
        // Both go by the checkout's file, the native one in its place.
        let both = "greylisting:1 reject 0\ngreylisting:2\nperl_keeper\n";
        let site = site(both, store);
        site.put("config/compat", "1.00\n");
        let dirs = format!(
            "{}\n{}\n",
            site.path("plugins").display(),
            plugins.display()
        );
        site.put("config/plugin_dirs", &dirs);
        site.put("config/plugin_settings", "greylisting:2 native\n");
        let server = Server::of(site, APART);
        let mut client = greeted(&server);
        for _ in 0..2 {
            client.expect(MAIL, DENIED);
        }
        let kept = client.say(&format!("PGET {KEY}"));
        assert!(kept.ends_with(":1:3:0"), "{kept}");
        let log = server.site.read("run/log");
        for text in [
            "greylisting_3a1: fail: initial DENYSOFT, unknown",
            "greylisting_3a2: fail: black DENYSOFT - 1 deferred connections",
            "greylisting_3a1: fail: black DENYSOFT - 2 deferred connections",
            "greylisting_3a2: fail: black DENYSOFT - 3 deferred connections",
        ] {
            assert_eq!(log.matches(text).count(), 1, "{text}: {log}");
        }
        server.stop();
    });
}

fn away() {
    for (word, reply) in [("defer", "450 "), ("skip", "250 ")] {
        let site = site("native/greylisting\n", Some(&line(free_port())));
        let settings = format!("native/greylisting on_error {word}\n");
        site.put("config/plugin_settings", &settings);
        let server = Server::of(site, "");
        let mut client = greeted(&server);
        for _ in 0..3 {
            client.expect(MAIL, reply);
            client.expect("RSET", "250 ");
        }
        let log = server.site.read("run/log");
        let told = "cannot connect: Connection refused; nothing more is said until that is over; the hook ";
        assert_eq!(log.matches(told).count(), 1, "{log}");
        drop(client);
        server.stop();
    }
}
