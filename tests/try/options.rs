//! What each option means for the plugins, and what is queued.

use std::fs;

use camelpost_support::Site;

use crate::played::{Played, command, play, run, site_with, typed};

/// Says in the reply to NOOP what Perl finds.
fn asked(expression: &str, more: &[&str]) -> String {
    let site = site_with(&format!(
        "sub hook_noop {{ my $self = shift; my $c = $self->connection; my @v = ({expression}); \
         $self->qp->respond(250, join ' ', map {{ defined $_ ? $_ : 'undef' }} @v); return DONE }}"
    ));
    let played = typed(&site, more, "EHLO client.example\nNOOP\nQUIT\n");
    played.reply_to("NOOP").concat()
}

const CLIENT: &str = "$c->remote_ip, $c->remote_host, $c->remote_info, $ENV{TCPREMOTEIP}";

#[test]
fn the_client_has_the_address_and_the_name_that_are_given() {
    assert_eq!(
        asked(CLIENT, &[]),
        "250 127.0.0.1 Unknown Unknown 127.0.0.1"
    );
    let given = ["--ip", "192.0.2.7", "--host", "mail.example.net"];
    assert_eq!(
        asked(CLIENT, &given),
        "250 192.0.2.7 mail.example.net mail.example.net 192.0.2.7"
    );
    let v6 = ["--ip", "2001:db8::7"];
    assert_eq!(
        asked("$c->remote_ip, $c->local_ip", &v6),
        "250 2001:db8::7 ::1"
    );
}

#[test]
fn without_a_name_it_is_looked_up_as_the_service_does() {
    let zone =
        camelpost_support::dns::Zone::parse(["7.2.0.192.in-addr.arpa PTR found.example.net"])
            .unwrap();
    let dns = camelpost_support::dns::serve(zone).unwrap();
    let site = Site::new("taker\n");
    let mut command = command(&site, &["--json", "--ip", "192.0.2.7"]);
    command.envs(camelpost_support::dns::environment(dns));
    let played = Played::of(&run(command, "QUIT\n"));
    assert_eq!(
        played.all("connected").next().unwrap()["host"],
        "found.example.net"
    );
}

#[test]
fn helo_is_what_is_said_and_the_address_where_nothing_is() {
    let site = Site::new("taker\n");
    let said = |more: &[&str]| {
        let played = play(&site, more);
        played.all("command").nth(1).unwrap()["command"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        said(&["--from", "a@b.example", "--helo", "x.example"]),
        "EHLO x.example"
    );
    assert_eq!(said(&["--from", "a@b.example"]), "EHLO [127.0.0.1]");
    assert_eq!(
        said(&["--from", "", "--ip", "2001:db8::7"]),
        "EHLO [IPv6:2001:db8::7]"
    );
}

#[test]
fn a_recipient_without_a_sender_is_a_bounce_s() {
    let played = play(&Site::new("taker\n"), &["--rcpt", "c@example.org"]);
    assert_eq!(played.reply_to("MAIL FROM:<>").len(), 1);
    assert_eq!(played.status, Some(0));
}

#[test]
fn tls_has_the_notes_that_a_session_in_tls_has() {
    let notes = "$c->notes('tls_enabled'), $c->notes('tls_socket_is_duped'), \
                 $c->notes('tls_socket') && $c->notes('tls_socket')->get_cipher";
    assert_eq!(asked(notes, &[]), "250 undef undef undef");
    assert_eq!(asked(notes, &["--tls"]), "250 1 1 TLS_AES_256_GCM_SHA384");
}

#[test]
fn auth_is_as_the_session_has_it_once_the_client_has_greeted() {
    let facts = "$self->qp->auth_user, $self->qp->auth_mechanism, $self->qp->authenticated == OK ? 'yes' : 'no', \
                 $self->qp->connection->relay_client";
    assert_eq!(asked(facts, &["--auth", "joe"]), "250 joe plain yes 1");
    let site = site_with(
        "sub hook_ehlo { $_[0]->connection->notes('early', $_[0]->connection->relay_client || 0); DECLINED }",
    );
    let played = play(&site, &["--auth", "joe", "--from", "a@b.example"]);
    assert_eq!(
        played.changes("own", "ehlo"),
        ["added connection note early 0"]
    );
    assert_eq!(played.all("assumed").count(), 1);
}

#[test]
fn a_message_is_queued_with_queue_and_only_then() {
    let site = Site::new("taker\nqueue/maildir @ROOT@/Maildir\n");
    site.put(
        "plugins/taker",
        "sub hook_rcpt { return OK } sub hook_queue_post { $_[0]->log(LOGERROR, 'posted'); DECLINED }",
    );
    site.config("plugins", "taker\nnative/queue/maildir @ROOT@/Maildir\n");
    fs::create_dir(site.path("Maildir")).unwrap();
    site.put("mail.txt", "Subject: x\n\n.one dot\n");
    let message = site.path("mail.txt").display().to_string();
    let mail = [
        "--from",
        "a@b.example",
        "--rcpt",
        "c@example.org",
        "--message",
        &message,
    ];
    let played = play(&site, &mail);
    assert_eq!(played.status, Some(0));
    assert!(site.files("Maildir").is_empty());
    assert_eq!(
        played.all("not_queued").next().unwrap()["plugins"][0],
        "queue::maildir"
    );
    assert!(
        !played.calls().iter().any(|call| call.starts_with("queue")),
        "{:?}",
        played.calls()
    );
    assert_eq!(
        played.all("message").next().unwrap()["outcome"],
        "not queued"
    );

    let played = play(&site, &[&mail[..], &["--queue"]].concat());
    assert_eq!(played.status, Some(0));
    assert_eq!(site.files("Maildir").len(), 1);
    let queued = fs::read_to_string(&site.files("Maildir")[0]).unwrap();
    assert!(queued.ends_with("\n\n.one dot\n"), "{queued}");
    assert_eq!(played.all("message").next().unwrap()["outcome"], "queued");
    assert!(
        played
            .calls()
            .contains(&"queue_post taker DECLINED".to_owned())
    );
}

#[test]
fn plugins_that_run_the_queue_themselves_queue_nothing_either() {
    let site = site_with(
        "sub hook_data_post { my $self = shift; $self->qp->run_hooks_no_respond('queue'); DECLINED }",
    );
    site.put(
        "plugins/taker",
        "sub hook_rcpt { OK } sub hook_queue { open my $f, '>', '@ROOT@/run/queued'; OK }",
    );
    let played = typed(
        &site,
        &["--rcpt", "c@example.org", "--message", "-"],
        "Subject: x\n\nhi\n",
    );
    assert_eq!(played.status, Some(0), "{played:?}");
    assert!(!site.path("run/queued").exists());
}

#[test]
fn a_site_without_perl_is_tried_in_the_same_way() {
    let site = Site::new("native/rcpt_ok\nnative/queue/maildir @ROOT@/Maildir\n");
    site.config(
        "plugins",
        "native/rcpt_ok\nnative/queue/maildir @ROOT@/Maildir\n",
    );
    site.config("rcpthosts", "example.org\n");
    let played = typed(
        &site,
        &["--tls", "--rcpt", "c@example.org", "--message", "-"],
        "Subject: x\n\nhi\n",
    );
    assert_eq!(played.calls(), ["rcpt rcpt_ok OK"]);
    assert_eq!(played.summary()["would_go_to"][0], "queue::maildir");
    assert_eq!(played.status, Some(0));
    let played = play(&site, &["--rcpt", "c@elsewhere.example"]);
    assert_eq!(played.summary()["refusals"][0]["by"]["plugin"], "rcpt_ok");
    assert_eq!(played.status, Some(1));
}

#[test]
fn a_client_that_waits_for_the_greeting_is_no_early_talker() {
    for line in [
        "own\nnative/earlytalker wait 1\ntaker\n",
        "native/earlytalker wait 1\n",
    ] {
        let site = site_with("sub hook_ehlo { DECLINED }");
        site.config("plugins", line);
        let played = typed(&site, &["--ip", "192.0.2.7"], "EHLO x\nQUIT\n");
        assert_eq!(played.calls()[0], "connect earlytalker DECLINED");
        assert_eq!(played.status, Some(0));
    }
}

#[test]
fn the_client_s_socket_is_one_whose_peer_plugins_may_ask_for() {
    let peer = "do { require Socket; my ($port, $ip) = Socket::sockaddr_in(getpeername(STDIN)); \
                Socket::inet_ntoa($ip) }, -S STDOUT ? 'socket' : 'none'";
    assert_eq!(asked(peer, &[]), "250 127.0.0.1 socket");
}

#[test]
fn perl_is_in_taint_mode_as_it_is_in_the_service() {
    assert_eq!(asked("${^TAINT}", &[]), "250 1");
}
