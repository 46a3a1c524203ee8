//! Whole servers: sessions of several workers have one store, and so have Perl plugins where config `store` names
//! it. Where it names none, Perl plugins keep what they had.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use camelpost_support::{Client, Daemon, Site, free_port, me};

use super::redis::Redis;

pub const TESTS: &[super::Test] = &[
    ("workers_count_in_one_store", workers),
    (
        "a_session_that_leaves_its_worker_has_the_store_too",
        fork_out,
    ),
    ("perl_and_native_plugins_share_a_key", perl),
    ("a_perl_plugin_s_db_does_what_it_did", perl_methods),
    ("without_a_line_perl_plugins_keep_their_files", perl_files),
    ("a_worker_in_a_sandbox_has_the_store", sandbox),
];

/// What native/keeper does, by Qpsmtpd::DB.
const PERL: &str = r#"
    use Qpsmtpd::DB;
    sub init {
        my $self = shift;
        $self->db(name => 'shared', class => 'Qpsmtpd::DB::File::DBM');
        $self->db->candidate_dirs('/nonexistent');
        $self->db->nfs_locking(0);
        # In the process that workers are forked from, as greylisting does it.
        eval { $self->db->size };
    }
    sub hook_unrecognized_command {
        my ($self, $transaction, $verb, @words) = @_;
        @words = split ' ', "@words";
        my ($key, $value) = @words;
        my $db = $self->db;
        my %does = (
            padd => sub {
                $db->lock or die 'no lock';
                my $sum = ($db->get($key) || 0) + ($value || 1);
                $db->set($key, $sum);
                $db->unlock;
                $sum;
            },
            pput => sub { $db->set($key, $value) },
            pget => sub { $db->get($key) },
            pmget => sub { join ',', map { defined $_ ? $_ : '-' } $db->mget(@words) },
            pdel => sub { $db->delete(@words) },
            pkeys => sub { join ',', sort $db->get_keys },
            psize => sub { $db->size },
            pflush => sub { $db->flush },
            pwithin => sub {
                $db->lock && $db->lock or die 'no lock';
                $db->set(a => 1); $db->set(b => 2); $db->delete('x');
                my @seen = (join(',', sort $db->get_keys), $db->get('b'), $db->size, $db->delete('a'), $db->size);
                $db->unlock;
                join ' ', @seen, $db->unlock || 0;
            },
            pclass => sub { ref $db },
        );
        my $do = $does{lc $verb} or return DECLINED;
        my $said = $do->();
        $self->qp->respond(250, defined $said ? $said : 'undef');
        return DONE;
    }
"#;

pub(super) struct Server {
    pub(super) site: Site,
    port: u16,
    daemon: Daemon,
}

impl Server {
    fn start(plugins: &str, store: Option<&str>, args: &str) -> Server {
        let site = Site::new(plugins);
        site.put("plugins/perl_keeper", PERL);
        if let Some(store) = store {
            site.put("config/store", store);
        }
        Server::of(site, args)
    }

    pub(super) fn of(site: Site, args: &str) -> Server {
        let port = free_port();
        let mut command = site.command(std::env::current_exe().unwrap());
        let usual = format!(
            "serve -H -l 127.0.0.1 -p {port} -u {} --control none --drain-timeout 1",
            me()
        );
        command.args(usual.split(' ')).args(args.split_whitespace());
        let daemon = Daemon::logging_to(&site, command);
        Server { site, port, daemon }
    }

    pub(super) fn greeted(&self) -> Client {
        let mut client = Client::when_ready(self.port);
        assert!(client.reply().starts_with("220 "));
        client
    }

    pub(super) fn stop(mut self) {
        assert!(self.daemon.stop().success());
    }
}

/// Each session has a worker of its own.
pub(super) const APART: &str = "--sessions-per-worker 1 -m 20";

pub(super) fn stores(test: impl Fn(Option<&str>)) {
    test(Some("embedded"));
    let redis = Redis::start();
    test(Some(&redis.line()));
    redis.stop();
}

fn workers() {
    let each = |store: Option<&str>| {
        let server = Server::start("native/keeper\nnative/teller\n", store, APART);
        let mut clients: Vec<Client> = (0..4).map(|_| server.greeted()).collect();
        let workers: BTreeSet<String> = clients
            .iter_mut()
            .map(|client| client.say("VRFY x"))
            .collect();
        assert_eq!(workers.len(), 4, "{workers:?}");
        // All at once.
        let counted: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        client.expect("ADD n", "250 ");
                    }
                    client
                })
            })
            .collect();
        let mut clients: Vec<Client> = counted.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(clients[1].say("FETCH n"), "250 '200'");
        assert_eq!(clients[2].say("PUT k v"), "250 stored");
        assert_eq!(clients[3].say("FETCH k"), "250 'v'");
        let dir = server.site.path("spool/store");
        if dir.exists() {
            assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        }
        assert_eq!(dir.exists(), store.is_none_or(|store| store == "embedded"));
        server.stop();
    };
    each(None);
    stores(each);
}

fn fork_out() {
    stores(|store| {
        for (key, rest) in [("one", ""), ("two", "perl_keeper\n")] {
            let site = Site::new(&format!("native/keeper\nnative/teller\n{rest}"));
            site.put("plugins/perl_keeper", PERL);
            site.put("config/store", store.unwrap());
            site.put("config/plugin_settings", "native/teller isolate\n");
            let server = Server::of(site, "--workers 1 --spare-workers 0");
            let (mut stays, mut leaves) = (server.greeted(), server.greeted());
            let line = format!("ADD {key}");
            assert_eq!(stays.say(&line), "250 1");
            assert_eq!(leaves.say(&line), "250 2");
            let child = leaves.say("VRFY x");
            assert!(child.starts_with("250 "), "{child}");
            assert_eq!(leaves.say(&line), "250 3");
            assert_eq!(stays.say(&line), "250 4");
            assert_eq!(leaves.say(&format!("FETCH {key}")), "250 '4'");
            if !rest.is_empty() {
                assert_eq!(leaves.say(&format!("P{line}")), "250 5");
                assert_eq!(stays.say(&format!("P{line}")), "250 6");
            }
            drop(leaves);
            stays.expect(&line, "250 ");
            assert!(!server.site.read("run/log").contains("cannot fork"));
            server.stop();
        }
    });
}

fn perl() {
    stores(|store| {
        let server = Server::start("native/keeper\nperl_keeper\n", store, APART);
        let mut clients = [server.greeted(), server.greeted()];
        assert_eq!(clients[0].say("PPUT k perl"), "250 perl");
        assert_eq!(clients[1].say("FETCH k"), "250 'perl'");
        assert_eq!(clients[1].say("PUT k native"), "250 stored");
        assert_eq!(clients[0].say("PGET k"), "250 native");
        // A lock of Perl's keeps native plugins out between its get and its set, and the other way round.
        let threads = clients.into_iter().zip(["PADD n", "ADD n"]);
        let threads: Vec<_> = threads
            .map(|(mut client, line)| {
                std::thread::spawn(move || {
                    for _ in 0..60 {
                        client.expect(line, "250 ");
                    }
                    client
                })
            })
            .collect();
        let clients: Vec<Client> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        let [mut one, _] = <[Client; 2]>::try_from(clients).ok().unwrap();
        assert_eq!(one.say("FETCH n"), "250 '120'");
        // What Perl did not set to expire and native did.
        assert_eq!(one.say("PUT short x 200"), "250 stored");
        assert_eq!(one.say("PGET short"), "250 x");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(one.say("PGET short"), "250 undef");
        server.stop();
    });
}

fn perl_methods() {
    stores(|store| {
        let server = Server::start("native/keeper\nperl_keeper\n", store, APART);
        let mut client = server.greeted();
        for (line, reply) in [
            ("PCLASS", "Qpsmtpd::DB::Camelpost"),
            ("PGET a", "undef"),
            ("PPUT a 1", "1"),
            ("PPUT x:y 0", "0"),
            ("PMGET x:y none a", "0,-,1"),
            ("PKEYS", "a,x:y"),
            ("PSIZE", "2"),
            ("PDEL a none", "1"),
            ("PDEL a", "0"),
            ("PPUT x 5", "5"),
            ("PWITHIN", "a,b,x:y 2 3 1 2 0"),
            ("PKEYS", "b,x:y"),
            ("PFLUSH", "1"),
            ("PSIZE", "0"),
        ] {
            assert_eq!(client.say(line), format!("250 {reply}"), "{line}");
        }
        // Nothing of another name.
        assert_eq!(client.say("PPUT a 1"), "250 1");
        assert!(client.say("HELO x").starts_with("250 "));
        assert!(client.say("MAIL FROM:<a@b.example>").starts_with("250 "));
        client.say("RCPT TO:<a@b.example>");
        assert_eq!(client.say("PKEYS"), "250 a");
        server.stop();
    });
}

fn perl_files() {
    let site = Site::new("native/keeper\nperl_keeper\n");
    let dir = site.path("db");
    std::fs::create_dir(&dir).unwrap();
    let named = PERL.replace("/nonexistent", &dir.display().to_string());
    site.put("plugins/perl_keeper", &named);
    let server = Server::of(site, APART);
    let mut client = server.greeted();
    assert_eq!(client.say("PCLASS"), "250 Qpsmtpd::DB::File::DBM");
    assert_eq!(client.say("PPUT a 1"), "250 1");
    assert_eq!(client.say("FETCH a"), "250 none");
    assert!(dir.join("shared.dbm").exists());
    server.stop();
}

fn sandbox() {
    let site = Site::new("native/keeper\nperl_keeper\n");
    site.put("plugins/perl_keeper", PERL);
    let dir = site.path("kept");
    site.put("config/store", "embedded @ROOT@/kept size=16M\n");
    let server = Server::of(site, "--sandbox landlock,seccomp");
    let mut client = server.greeted();
    assert_eq!(client.say("ADD n"), "250 1");
    assert_eq!(client.say("PADD n"), "250 2");
    assert!(dir.join("data.mdb").exists());
    server.stop();
}

/// For the other file.
pub(super) struct Running(Server);

impl Running {
    pub(super) fn start(store: &str, settings: &str) -> Running {
        let site = Site::new("native/keeper\nperl_keeper\n");
        site.put("plugins/perl_keeper", PERL);
        site.put("config/store", store);
        site.put("config/plugin_settings", settings);
        Running(Server::of(site, APART))
    }

    pub(super) fn greeted(&self) -> Client {
        self.0.greeted()
    }

    pub(super) fn log(&self) -> String {
        self.0.site.read("run/log")
    }

    pub(super) fn stop(self) {
        self.0.stop();
    }
}
