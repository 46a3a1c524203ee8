//! What native/tls does beyond the package's plugin: a session with TLS stays in its worker, which others
//! share; certificates are read again; no interpreter is needed; names, and clients' certificates.

use camelpost_support::until;
use openssl::ssl::{Ssl, SslVersion};

use super::client::{Client, context, s_client, ssl};
use super::plugins::{IDLE, TALKS, TELLS, WHERE};
use super::server::{Server, TLS, Way, certificate, site};

/// One worker, which takes everybody.
const ONE_WORKER: [&str; 4] = ["--workers", "1", "--spare-workers", "0"];

fn name_shown(client: &Client) -> String {
    let shown = client.ssl().peer_certificate().unwrap();
    let name = shown.subject_name().entries().next().unwrap();
    String::from_utf8_lossy(name.data().as_slice()).into_owned()
}

#[test]
fn sessions_with_tls_share_a_worker_with_others() {
    let site = site(Way::Native, "where\n");
    site.put("plugins/where", WHERE);
    let server = Server::start(site, &ONE_WORKER);
    let mut clear = Client::new(server.port);
    let mut first = Client::secured(server.port);
    let mut second = Client::secured(server.port);
    let places = [&mut clear, &mut first, &mut second].map(|client| client.say("HELP"));
    assert_eq!(places[0], places[1]);
    assert_eq!(places[0], places[2]);
    // In turns, so that their handles change hands.
    for _ in 0..3 {
        for client in [&mut clear, &mut first, &mut second] {
            assert_eq!(client.say("NOOP"), "250 OK");
            assert_eq!(client.say("HELP"), places[0]);
        }
    }
}

#[test]
fn perl_code_of_sessions_in_one_worker_speaks_to_its_own_client() {
    let site = site(Way::Native, "talks\n");
    site.put("plugins/talks", TALKS);
    let server = Server::start(site, &ONE_WORKER);
    let mut clear = Client::new(server.port);
    let mut secured = Client::secured(server.port);
    for _ in 0..3 {
        for (client, name) in [(&mut clear, "clear"), (&mut secured, "secured")] {
            assert_eq!(client.say("ASK"), "350 your name?");
            client.send(format!("{name}\r\n"));
            assert_eq!(client.reply(), format!("250 {name}, {} bytes", name.len()));
        }
    }
    // What came together with the command is there, too, and what is left over is the session's.
    for client in [&mut clear, &mut secured] {
        client.send("ASK\r\nsomebody else\r\nNOOP\r\n");
        let said = [client.reply(), client.reply(), client.reply()];
        assert_eq!(
            said,
            ["350 your name?", "250 somebody else, 13 bytes", "250 OK"]
        );
    }
    secured.send("BLOCK\r\n0123456789NOOP\r\n");
    let said = [secured.reply(), secured.reply(), secured.reply()];
    assert_eq!(said, ["350 ten bytes", "250 got 0123456789", "250 OK"]);
}

#[test]
fn a_client_that_is_silent_in_its_handshake_keeps_nobody_waiting() {
    let options = [&ONE_WORKER[..], &["--max-from-ip", "100"]].concat();
    let server = Server::start(site(Way::Native, "rcpt_ok\n"), &options);
    let mut silent: Vec<Client> = (0..20)
        .map(|_| Client::before_handshake(server.port))
        .collect();
    silent[0].send([0x16, 3, 1]);
    for _ in 0..3 {
        let mut client = Client::secured(server.port);
        assert_eq!(client.say("NOOP"), "250 OK");
    }
    // And none of them is lost.
    let late = silent.remove(1).shake_hands(ssl());
    assert_eq!(late.unwrap().say("NOOP"), "250 OK");
}

#[test]
fn a_client_that_does_not_shake_hands_in_time_is_told() {
    let site = site(Way::Native, "rcpt_ok\n");
    site.config("plugin_settings", "tls timeout 1\n");
    let server = Server::start(site, &[]);
    let mut client = Client::before_handshake(server.port);
    client.send([0x16, 3, 1]);
    assert_eq!(client.reply(), "500 TLS Negotiation Failed");
    server
        .daemon
        .wait_for("TLS failed: Could not create SSL socket: no handshake within 1 s");
    assert!(client.say("QUIT").starts_with("221 "));
}

#[test]
fn a_session_that_leaves_its_worker_takes_its_tls_along() {
    let site = site(
        Way::Native,
        "where\nidle\nrcpt_ok\nqueue/maildir @ROOT@/Maildir\n",
    );
    site.put("plugins/where", WHERE);
    site.put("plugins/idle", IDLE);
    site.config("plugin_settings", "idle isolate\n");
    let server = Server::start(site, &ONE_WORKER);
    let mut other = Client::secured(server.port);
    let mut client = Client::secured(server.port);
    let worker = client.say("HELP");
    assert_eq!(other.say("HELP"), worker);
    assert!(client.say("EHLO client.example").starts_with("250-"));
    assert!(
        client
            .message("Subject: x\r\n\r\nbody\r\n")
            .starts_with("250 Queued")
    );
    assert_ne!(client.say("HELP"), worker);
    assert_eq!(other.say("HELP"), worker);
    assert!(client.say("QUIT").starts_with("221 "));
    assert!(client.rest().is_empty() && client.was_told_of_the_end());
    assert_eq!(other.say("NOOP"), "250 OK");
}

#[test]
fn a_certificate_that_was_replaced_is_shown_without_a_restart() {
    let server = Server::start(site(Way::Native, ""), &ONE_WORKER);
    assert_eq!(name_shown(&Client::secured(server.port)), "mx.example");
    let mut open = Client::secured(server.port);
    certificate(&server.site, "cert", "key", "renewed.example");
    until("the new certificate is shown", || {
        name_shown(&Client::secured(server.port)) == "renewed.example"
    });
    assert_eq!(open.say("NOOP"), "250 OK");
    // One that does not go with its key is not.
    certificate(&server.site, "cert", "other", "wrong.example");
    until("the wrong certificate was looked at", || {
        name_shown(&Client::secured(server.port));
        server.daemon.count("it is not the key of") > 0
    });
    let told = server.daemon.wait_for("it is not the key of");
    assert!(
        told.contains("tls: Failed to load key from file "),
        "{told}"
    );
    assert!(
        told.ends_with(": the certificate that was read before is shown"),
        "{told}"
    );
    assert_eq!(name_shown(&Client::secured(server.port)), "renewed.example");
    assert_eq!(server.daemon.count("it is not the key of"), 1);
    // And what is right again is read again.
    std::fs::rename(server.site.path("other.pem"), server.site.path("key.pem")).unwrap();
    until("the right certificate is shown", || {
        name_shown(&Client::secured(server.port)) == "wrong.example"
    });
}

#[test]
fn a_session_is_resumed_in_whichever_worker_it_comes_to() {
    let site = site(Way::Native, "where\n");
    site.put("plugins/where", WHERE);
    let server = Server::start(site, &["--workers", "4"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let session = server.site.path("session");
        let session = session.to_str().unwrap();
        let told = ["New, ", "Reused, ", "214 "];
        let first = s_client(
            server.port,
            &[version, "-sess_out", session],
            "HELP\n",
            &told,
        );
        assert!(first[0].starts_with("New, "), "{first:?}");
        let mut places = std::collections::BTreeSet::new();
        // The others keep the workers that they are in.
        let mut open = Vec::new();
        for _ in 0..3 {
            let said = s_client(
                server.port,
                &[version, "-sess_in", session],
                "HELP\n",
                &told,
            );
            assert!(said[0].starts_with("Reused, "), "{version}: {said:?}");
            places.extend(said.into_iter().filter(|line| line.starts_with("214 ")));
            open.push(Client::new(server.port));
        }
        assert!(places.len() > 1, "they were all in one worker: {places:?}");
    }
}

#[test]
fn without_perl_plugins_there_is_tls_without_an_interpreter() {
    for line in [TLS.to_owned(), format!("native/{TLS}")] {
        let site = site(Way::Native, "");
        site.config("plugins", format!("{line}native/count_recipients max 1\n"));
        let server = Server::start(site, &[]);
        let mut client = Client::secured(server.port);
        let offered = client.say("EHLO client.example");
        assert!(
            offered.contains("PIPELINING") && !offered.contains("STARTTLS"),
            "{offered}"
        );
        assert!(client.say("MAIL FROM:<a@example.net>").starts_with("250 "));
        assert!(client.say("STARTTLS").starts_with("500 "));
        assert!(client.say("QUIT").starts_with("221 "));
        assert!(client.rest().is_empty() && client.was_told_of_the_end());
    }
}

#[test]
fn other_names_of_the_server_have_certificates_of_their_own() {
    let site = site(Way::Native, "");
    std::fs::create_dir(site.path("names")).unwrap();
    let put = |site: &camelpost_support::Site, file: &str, name: &str| {
        certificate(site, "new", "newkey", name);
        for (from, to) in [("newkey.pem", "key"), ("new.pem", "crt")] {
            let to = site.path("names").join(format!("{file}.{to}"));
            std::fs::rename(site.path(from), to).unwrap();
        }
    };
    put(&site, "Other.Example", "other.example");
    let line = format!("native/{} names @ROOT@/names\n", TLS.trim());
    site.config("plugins", line);
    let server = Server::start(site, &[]);
    let shown = |asked: Option<&str>| {
        let mut ssl = ssl();
        if let Some(name) = asked {
            ssl.set_hostname(name).unwrap();
        }
        let client = Client::before_handshake(server.port);
        name_shown(&client.shake_hands(ssl).unwrap())
    };
    for (asked, expected) in [
        (Some("other.example"), "other.example"),
        (Some("OTHER.example"), "other.example"),
        (Some("mx.example"), "mx.example"),
        (Some("unknown.example"), "mx.example"),
        (None, "mx.example"),
    ] {
        assert_eq!(shown(asked), expected, "{asked:?}");
    }
    // Without a reload: one that is renewed, a new one, and one that is gone.
    put(&server.site, "Other.Example", "renewed.example");
    put(&server.site, "third.example", "third.example");
    until("the renewed one is shown", || {
        shown(Some("other.example")) == "renewed.example"
    });
    until("the new one is shown", || {
        shown(Some("third.example")) == "third.example"
    });
    std::fs::remove_file(server.site.path("names/third.example.crt")).unwrap();
    until("the usual one is shown", || {
        shown(Some("third.example")) == "mx.example"
    });
}

#[test]
fn a_clients_certificate_is_asked_for_and_shown_to_plugins() {
    let site = site(Way::Native, "");
    site.put("plugins/tells", TELLS);
    certificate(&site, "friend", "friendkey", "friend.example");
    certificate(&site, "stranger", "strangerkey", "stranger.example");
    let line = format!("native/{} client_ca @ROOT@/friend.pem\ntells\n", TLS.trim());
    site.config("plugins", line);
    let server = Server::start(site, &[]);
    let shows = |name: Option<&str>| {
        let mut context = context();
        if let Some(name) = name {
            let file = server.site.path(&format!("{name}.pem"));
            context.set_certificate_chain_file(file).unwrap();
            let key = server.site.path(&format!("{name}key.pem"));
            context
                .set_private_key_file(key, openssl::ssl::SslFiletype::PEM)
                .unwrap();
        }
        // So that a refusal comes within the handshake.
        context
            .set_max_proto_version(Some(SslVersion::TLS1_2))
            .unwrap();
        let client = Client::before_handshake(server.port);
        client.shake_hands(Ssl::new(&context.build()).unwrap())
    };
    assert!(
        shows(Some("friend"))
            .unwrap()
            .say("HELP")
            .contains("certificate friend.example")
    );
    assert!(
        shows(None)
            .unwrap()
            .say("HELP")
            .contains("certificate undef")
    );
    assert!(shows(Some("stranger")).is_err());
}

#[test]
fn nothing_of_an_encrypted_session_is_said_in_clear_when_its_worker_dies() {
    let site = site(Way::Native, "where\n");
    site.put("plugins/where", WHERE);
    let server = Server::start(site, &ONE_WORKER);
    let mut clear = Client::new(server.port);
    let mut secured = Client::secured(server.port);
    let said = secured.say("HELP");
    let worker: i32 = said.strip_prefix("214 ").unwrap().parse().unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", &worker.to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(clear.reply().starts_with("421 "));
    // An alert or clear text would be an error here, and not the end.
    assert!(secured.rest().is_empty());
}
