//! What plugins may rely on and the original cannot show: hooks of 1.00, post-fork, what takes a
//! reload, and what ends with a session.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::server::{Client, RUNNER, Server, TAKER, until};

const PROFILE_100: (&str, &str) = ("compat", "1.00\n");

fn bye(mut client: Client) {
    client.expect("QUIT", "221");
    assert_eq!(client.rest(), "");
}

#[test]
fn post_fork_runs_once_in_each_worker_and_its_sessions_have_what_it_sets() {
    let forked = (
        "forked",
        r#"
        our $runs = 0;
        sub hook_post_fork { my ($self, @args) = @_; $self->{forked} = join ' ', ++$runs, readlink '/proc/self'; return DENY }
        sub hook_noop {
            my $self = shift;
            my $was = $self->{forked};
            $self->{forked} = 'of a session';
            return (DENY, join ' ', $was, readlink('/proc/self'), $runs);
        }
        "#,
    );
    let server = Server::start_with_one_worker(&[forked]);
    for _ in 0..3 {
        let mut client = server.connect();
        let said = client.expect("NOOP", "500");
        let words: Vec<&str> = said.split(' ').collect();
        // 500 RUNS PID PID RUNS: run once, in the process that serves the session.
        assert_eq!([words[1], words[4]], ["1", "1"], "{said}");
        assert_eq!(words[2], words[3], "{said}");
        bye(client);
    }
}

#[test]
fn user_config_is_asked_before_the_config_hook_and_the_file() {
    let users = (
        "users",
        r#"
        sub hook_user_config {
            my ($self, $transaction, $address, $name) = @_;
            return DECLINED if $name ne 'limit' || $address->user ne 'known';
            return (OK, ref $transaction, $address->address);
        }
        sub hook_config {
            my ($self, $transaction, $name) = @_;
            return $name eq 'hooked' ? (OK, 'of the config hook') : DECLINED;
        }
        sub hook_rcpt {
            my ($self, $transaction, $recipient) = @_;
            my @said = map { my @all = $recipient->config($_); scalar(@all) . " $all[0]" } qw(limit hooked);
            return (DENY, join '; ', @said, scalar $recipient->config('limit'));
        }
        "#,
    );
    for profile in ["0.94\n", "1.00\n"] {
        let files = [("compat", profile), ("limit", "of the file\n")];
        let server = Server::start_configured(&[users], &[], &[], &files);
        let mut client = server.connect();
        client.expect("EHLO x", "250");
        client.expect("MAIL FROM:<a@b.example>", "250");
        assert_eq!(
            client.expect("RCPT TO:<known@mx.example>", "550"),
            "550 2 Qpsmtpd::Transaction; 1 of the config hook; Qpsmtpd::Transaction"
        );
        assert_eq!(
            client.expect("RCPT TO:<other@mx.example>", "550"),
            "550 1 of the file; 1 of the config hook; of the file"
        );
        bye(client);
    }
}

/// The header that a queue hook gets, as one line.
const SHOWN: (&str, &str) = (
    "shown",
    r#"
    sub hook_rcpt { return OK }
    sub hook_queue {
        my ($self, $transaction) = @_;
        my $text = $transaction->header->as_string;
        $text =~ s/\n/|/g;
        return (OK, $text);
    }
    "#,
);

fn queued(server: &Server) -> String {
    let mut client = server.connect();
    client.expect("EHLO x", "250");
    client.expect("MAIL FROM:<a@b.example>", "250");
    client.expect("RCPT TO:<c@mx.example>", "250");
    client.expect("DATA", "354");
    let said = client.expect("Subject: hello\r\n\r\nbody\r\n.", "250");
    bye(client);
    said
}

#[test]
fn data_post_headers_runs_once_before_data_post_and_its_verdict_is_ignored() {
    let plugin = (
        "headers_seen",
        r#"
        sub hook_data_post_headers {
            my ($self, $transaction, @rest) = @_;
            my $header = $transaction->header;
            $header->add('X-Order', join ' ', 'data_post_headers', scalar(@rest),
                $header->count('Received'), $header->count('Authentication-Results'));
            return (DENY_DISCONNECT, 'ignored');
        }
        sub hook_data_post { $_[1]->header->add('X-Order', 'data_post'); return DECLINED }
        "#,
    );
    let server = Server::start_configured(&[plugin, SHOWN], &[], &[], &[PROFILE_100]);
    let said = queued(&server);
    assert!(
        said.ends_with("|Subject: hello|X-Order: data_post_headers 0 0 0|X-Order: data_post|"),
        "{said}"
    );
    assert!(said.starts_with("250 Authentication-Results: "), "{said}");
}

#[test]
fn under_1_00_an_ok_text_of_received_line_is_the_header() {
    let plugin = (
        "received",
        r#"
        sub hook_received_line {
            my ($self, $transaction, @args) = @_;
            return (OK, 'from a plugin (' . join('/', map { defined $_ ? $_ : 'undef' } @args) . ')');
        }
        "#,
    );
    let server = Server::start_configured(&[plugin, SHOWN], &[], &[], &[PROFILE_100]);
    let said = queued(&server);
    assert!(
        said.contains("|Received: from a plugin (ESMTP//)|"),
        "{said}"
    );
    assert!(!said.contains("(HELO "), "{said}");
}

#[test]
fn exit_in_pre_connection_ends_that_session_alone() {
    let plugin = (
        "exits",
        "sub hook_pre_connection { my ($self, $t, %a) = @_; exit if $a{remote_ip} eq '127.0.0.1' && -e 'exit' }",
    );
    let server = Server::start(&[plugin, TAKER]);
    let flag = server.site.root().join("exit");
    fs::write(&flag, "").unwrap();
    assert_eq!(server.connect_silently().rest(), "");
    fs::remove_file(&flag).unwrap();
    bye(server.connect());
}

#[test]
fn a_slow_pre_connection_delays_its_own_client_only() {
    let plugin = (
        "slow",
        r#"sub hook_pre_connection { for (1 .. 400) { last unless -e 'slow'; select undef, undef, undef, 0.05 } return DECLINED }"#,
    );
    let server = Server::start(&[plugin, TAKER]);
    let flag = server.site.root().join("slow");
    let mut quick = server.connect();
    fs::write(&flag, "").unwrap();
    let mut slow = server.connect_silently();
    // Both are accepted and answered by workers of their own.
    quick.expect("NOOP", "250");
    let waiting = server.connect_silently();
    drop(waiting);
    quick.expect("NOOP", "250");
    fs::remove_file(&flag).unwrap();
    let greeting = slow.reply();
    assert!(greeting.starts_with("220 "), "{greeting}");
    bye(slow);
    bye(quick);
}

#[test]
fn what_hangs_on_a_connection_ends_in_its_own_session() {
    let ended = (
        "ended",
        r#"
        sub Ended::DESTROY {
            my $qp = $_[0][0];
            open my $out, '>>', 'ended' or die $!;
            print $out join(' ', $_[0][1], $qp->connection->hello_host, $qp->config('me'),
                $qp->run_hooks_no_respond('noop')), "\n";
        }
        sub hook_noop { return (DENY, 'asked by a destructor') }
        sub hook_disconnect {
            my ($self, $transaction) = @_;
            $self->qp->connection->notes(end => bless [$self->qp, 'connection'], 'Ended');
            $self->qp->transaction->notes(end => bless [$self->qp, 'transaction'], 'Ended');
        }
        "#,
    );
    let server = Server::start_configured(&[ended], &["--workers", "1"], &[], &[PROFILE_100]);
    let file = server.site.root().join("ended");
    let mut expected = String::new();
    for host in ["one.example", "two.example"] {
        let mut client = server.connect();
        client.expect(&format!("EHLO {host}"), "250");
        bye(client);
        for what in ["transaction", "connection"] {
            expected += &format!("{what} {host} mx.example 901 asked by a destructor\n");
        }
        until("the ends", || {
            fs::read_to_string(&file).unwrap_or_default() == expected
        });
    }
}

#[test]
fn under_1_00_config_files_are_read_again_in_the_same_session() {
    let server = Server::start_configured(&[RUNNER], &[], &[], &[PROFILE_100, ("mine", "one\n")]);
    let mut client = server.connect();
    assert_eq!(client.run("$qp->config('mine')"), "one");
    server.config("mine", "two\n");
    assert_eq!(client.run("$qp->config('mine')"), "two");
    server.config("mine", "six\n");
    assert_eq!(client.run("$qp->config('mine')"), "six");
    bye(client);
}

#[test]
fn plugins_loglevel_spool_and_size_threshold_take_a_reload() {
    let look = "join ' ', $qp->trace_level, $qp->size_threshold, $qp->spool_dir, \
                scalar(@{$qp->hooks->{noop} || []}), $qp->plugin_dirs";
    let second = ("second", "sub hook_noop { return (DENY, 'loaded') }");
    let server = Server::start(&[RUNNER, TAKER]);
    let root = server.site.root().to_str().unwrap();
    let mut client = server.connect();
    let before = client.run(look);
    assert!(
        before.starts_with(&format!("6 1000 {root}/spool/ 0 {root}/plugins ")),
        "{before}"
    );
    bye(client);
    let other = format!("{root}/other");
    fs::create_dir_all(format!("{other}/spool")).unwrap();
    for (name, text) in [RUNNER, TAKER, second] {
        fs::write(format!("{other}/{name}"), text).unwrap();
    }
    server.config("loglevel", "LOGDEBUG\n");
    server.config("size_threshold", "77\n");
    server.config("spool_dir", &format!("{other}/spool\n"));
    server.config("plugin_dirs", &format!("{other}\n"));
    server.config("plugins", "runner\nsecond\ntaker\n");
    let mut client = server.connect();
    assert_eq!(client.run(look), before, "without a reload");
    bye(client);
    server.reload();
    let mut client = server.connect();
    let after = client.run(look);
    assert!(
        after.starts_with(&format!("7 77 {other}/spool/ 1 {other}")),
        "{after}"
    );
    client.expect("NOOP", "500");
    bye(client);
}

#[test]
fn register_runs_once_in_a_generation_however_many_workers_serve() {
    let plugin = (
        "counted",
        r#"
        sub register { open my $out, '>>', 'registered' or die $!; print $out "$$\n" }
        sub hook_noop { return (DENY, readlink '/proc/self') }
        "#,
    );
    let server = Server::start_with(&[plugin, TAKER], &["--workers", "3"], &[]);
    let lines = || {
        let text = fs::read_to_string(server.site.root().join("registered")).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    let mut workers: Vec<String> = clients.iter_mut().map(|c| c.say("NOOP")).collect();
    workers.sort();
    workers.dedup();
    assert_eq!(workers.len(), 3);
    clients.into_iter().for_each(bye);
    assert_eq!(lines().len(), 1);
    server.reload();
    bye(server.connect());
    assert_eq!(lines().len(), 2);
}

#[test]
fn plugins_beside_the_config_directory_is_searched_after_plugin_dirs_and_the_path_is_logged() {
    let dir = ("first", "sub hook_noop { return (DENY, __FILE__) }");
    let server = Server::start_configured(
        &[dir, RUNNER],
        &[],
        &[],
        &[
            ("plugin_dirs", "@ROOT@/spool\n"),
            ("plugins", "first\nrunner\n"),
            ("loglevel", "7\n"),
        ],
    );
    let beside = format!("{}/plugins", server.site.root().display());
    server.wait_for(&format!("Loading first from {beside}/first"));
    let mut client = server.connect();
    assert!(client.say("NOOP").ends_with(&format!("{beside}/first")));
    assert!(client.run("($qp->plugin_dirs)[-1]").ends_with(&beside));
    bye(client);
    // What plugin_dirs has comes first.
    fs::write(
        server.site.root().join("spool/first"),
        "sub hook_noop { return (DENY, 'of plugin_dirs') }",
    )
    .unwrap();
    server.reload();
    let mut client = server.connect();
    assert_eq!(client.say("NOOP"), "500 of plugin_dirs");
    bye(client);
}

#[test]
fn tabs_separate_the_words_of_a_line_of_plugins() {
    let plugin = (
        "tabbed",
        "sub register { my ($self, $qp, @a) = @_; $self->{a} = join '/', @a } \
         sub hook_noop { return (DENY, $_[0]{a}) }",
    );
    let lines = ("plugins", "tabbed\tone \t two\t\n");
    let server = Server::start_configured(&[plugin], &[], &[], &[lines]);
    let mut client = server.connect();
    assert_eq!(client.say("NOOP"), "500 one/two");
    bye(client);
}

#[test]
fn no_plugin_gets_another_qpsmtpd_s_modules_however_it_changes_inc() {
    let early = (
        "early",
        r#"
        use lib 'another';
        use Qpsmtpd::Postfix;
        require Qpsmtpd::DSN;
        sub hook_noop { return (DENY, map { $INC{"Qpsmtpd/$_.pm"} } qw(Postfix Postfix/Constants DSN)) }
        "#,
    );
    let late = (
        "late",
        r#"
        BEGIN { unshift @INC, 'another' }
        sub hook_vrfy {
            unshift @INC, 'another', sub { return };
            require Qpsmtpd::DB::Redis;
            require Another::Module;
            return (DENY, $INC{'Qpsmtpd/DB/Redis.pm'}, $INC{'Another/Module.pm'},
                scalar(grep { ref && $_ == $Camelpost::modules } @INC));
        }
        "#,
    );
    let server = Server::start_prepared(&[early, late, TAKER], |root| {
        for name in [
            "Qpsmtpd/Postfix",
            "Qpsmtpd/Postfix/Constants",
            "Qpsmtpd/DSN",
            "Qpsmtpd/DB/Redis",
        ] {
            let file = root.join(format!("another/{name}.pm"));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "die 'not the host\\'s'; 1").unwrap();
        }
        fs::create_dir_all(root.join("another/Another")).unwrap();
        fs::write(root.join("another/Another/Module.pm"), "1;").unwrap();
    });
    let mut client = server.connect();
    assert_eq!(
        client.expect("NOOP", "500"),
        "500-perl/Qpsmtpd/Postfix.pm\n500-perl/Qpsmtpd/Postfix/Constants.pm\n500 perl/Qpsmtpd/DSN.pm"
    );
    assert_eq!(
        client.expect("VRFY x", "554"),
        "554-perl/Qpsmtpd/DB/Redis.pm\n554-another/Another/Module.pm\n554 1"
    );
    bye(client);
}

#[test]
fn apache_qpsmtpd_is_refused_with_the_reason() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    let said = client.run(
        "unshift @INC, '/usr/share/perl5'; eval { require Apache::Qpsmtpd }; $@ =~ /^(.*?)\\./",
    );
    assert_eq!(
        said,
        "Apache::Qpsmtpd: Camelpost does not run inside Apache (mod_perl)"
    );
    bye(client);
}

#[test]
fn a_spool_directory_is_made_with_spool_perms_and_other_rights_are_a_warning() {
    let mode = |server: &Server, name: &str| {
        let path = server.site.root().join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    };
    let made = [("spool_dir", "@ROOT@/made\n"), ("spool_perms", "0750\n")];
    let server = Server::start_configured(&[TAKER], &[], &[], &made);
    assert_eq!(mode(&server, "made"), 0o750);
    let wrong = [("spool_perms", "0750\n")];
    let server = Server::start_configured(&[TAKER], &[], &[], &wrong);
    assert_eq!(mode(&server, "spool"), 0o700);
    let line = server.wait_for("Permissions on spool_dir");
    assert!(line.contains("0750"), "{line}");
}
