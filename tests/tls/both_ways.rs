//! What clients and plugins see is the same, whoever has the TLS.

use std::fmt::Debug;
use std::process::Command;

use openssl::ssl::{NameType, Ssl, SslVersion};

use super::client::{Client, context, s_client, ssl};
use super::plugins::{TALKS, TELLS};
use super::server::{BOTH, Server, Way, site};

/// An alert: fatal, decode_error. Openssl most often tells a client that has gone in the middle of a record,
/// and now and then does not.
const TORN: &[u8] = b"\x15\x03\x03\0\x02\x02\x32";

/// Plays the same with both, and gives what both have come to.
fn same<T: PartialEq + Debug>(play: impl Fn(Way) -> T) -> T {
    let [native, perl] = BOTH.map(play);
    assert_eq!(native, perl, "left: native/tls, right: the package's tls");
    native
}

#[test]
fn every_protocol_and_cipher_that_the_package_takes_is_taken_and_no_other() {
    // Names of TLS 1.2 and before; the suites of TLS 1.3 have a list of their own.
    let ciphers = Command::new("openssl")
        .args(["ciphers", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])
        .output()
        .unwrap();
    let ciphers = String::from_utf8(ciphers.stdout).unwrap();
    let ciphers: Vec<&str> = ciphers.trim().split(':').collect();
    assert!(ciphers.len() > 50, "{ciphers:?}");
    let versions = [
        SslVersion::TLS1,
        SslVersion::TLS1_1,
        SslVersion::TLS1_2,
        SslVersion::TLS1_3,
    ];
    for (allowed, reached) in [
        (None, 10),
        (Some("ALL:!aNULL:@SECLEVEL=0"), 40),
        (Some("AES128-SHA:ECDHE-RSA-AES256-SHA384"), 2),
    ] {
        let play = |way| {
            let site = site(way, "tells\n");
            site.put("plugins/tells", TELLS);
            if let Some(allowed) = allowed {
                site.config("tls_ciphers", allowed);
            }
            let server = Server::start(site, &[]);
            let mut seen = Vec::new();
            for version in versions {
                let some = match version {
                    SslVersion::TLS1_2 => &ciphers[..],
                    SslVersion::TLS1_3 => &[][..],
                    // All that matters is whether the version is spoken.
                    _ => &["AES128-SHA", "DHE-RSA-AES256-SHA", "ECDHE-RSA-AES128-SHA"][..],
                };
                let suites = match version {
                    SslVersion::TLS1_3 => &[
                        "TLS_AES_256_GCM_SHA384",
                        "TLS_CHACHA20_POLY1305_SHA256",
                        "TLS_AES_128_GCM_SHA256",
                        "TLS_AES_128_CCM_SHA256",
                    ][..],
                    _ => &[][..],
                };
                let list = some.iter().map(|name| (*name, false));
                for (name, is_suite) in list.chain(suites.iter().map(|name| (*name, true))) {
                    let mut context = context();
                    context.set_min_proto_version(Some(version)).unwrap();
                    context.set_max_proto_version(Some(version)).unwrap();
                    match is_suite {
                        true => context.set_ciphersuites(name).unwrap(),
                        false => {
                            let list = format!("{name}:@SECLEVEL=0");
                            if context.set_cipher_list(&list).is_err() {
                                continue;
                            }
                        }
                    }
                    let ssl = Ssl::new(&context.build()).unwrap();
                    let client = Client::before_handshake(server.port).shake_hands(ssl);
                    let outcome = client.map(|mut client| {
                        let told = client.say("HELP");
                        let reached = client.ssl().current_cipher().unwrap().name();
                        assert!(told.contains(&format!("get_cipher {reached}")), "{told}");
                        (client.ssl().version_str(), told)
                    });
                    seen.push((name, outcome));
                }
            }
            seen
        };
        let seen = same(play);
        let taken = seen.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        assert!(taken >= reached, "{allowed:?}: {taken} of {}", seen.len());
        assert!(taken < seen.len(), "{allowed:?}: nothing is refused");
    }
}

#[test]
fn what_is_no_client_hello_ends_in_the_same_way() {
    let mut hello = vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    let shapes: [(&str, Vec<u8>); 9] = [
        ("a command", b"NOOP\r\nNOOP\r\nQUIT\r\n".to_vec()),
        (
            "a request for a page",
            b"GET / HTTP/1.0\r\n\r\nQUIT\r\n".to_vec(),
        ),
        (
            "noise",
            (0..200u8).map(|n| n.wrapping_mul(151) | 0x80).collect(),
        ),
        ("zeroes", vec![0; 64]),
        ("a record of no bytes", vec![0x16, 3, 1, 0, 0]),
        (
            "a record that is too long",
            [&[0x16, 3, 1, 0xff, 0xff][..], &[7; 300]].concat(),
        ),
        ("a hello that is none", std::mem::take(&mut hello)),
        ("an alert", vec![0x15, 3, 1, 0, 2, 2, 40]),
        ("data", [&[0x17, 3, 3, 0, 6][..], b"NOOP\r\n"].concat()),
    ];
    for (what, bytes) in shapes {
        let (heard, log) = same(|way| {
            let server = Server::new(way, "");
            let mut client = Client::before_handshake(server.port);
            client.send(&bytes);
            client.close_own_side();
            let heard = client.rest();
            // The other sessions go on.
            let after = Client::secured(server.port).say("NOOP");
            assert_eq!(after, "250 OK", "{what}");
            let told = server
                .daemon
                .count("TLS failed: Could not create SSL socket: ");
            let heard = heard.strip_prefix(TORN).unwrap_or(&heard);
            (String::from_utf8_lossy(heard).into_owned(), told)
        });
        assert!(
            heard.contains("500 TLS Negotiation Failed\r\n"),
            "{what}: {heard}"
        );
        assert_eq!(log, 1, "{what}");
    }
}

#[test]
fn half_a_handshake_and_then_the_end_is_no_session() {
    // As far as a client's first record goes.
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut stream = openssl::ssl::SslStream::new(ssl(), theirs).unwrap();
    assert!(stream.connect().is_err());
    let mut hello = vec![0; 4096];
    let length = std::io::Read::read(&mut ours, &mut hello).unwrap();
    hello.truncate(length);
    for cut in [1, 5, 6, length / 2, length - 1, length] {
        let (_, heard) = same(|way| {
            let server = Server::new(way, "");
            let mut client = Client::before_handshake(server.port);
            client.send(&hello[..cut]);
            client.close_own_side();
            let heard = client.rest();
            // The random part of what a server says in its handshake is not compared.
            let heard = match cut == length {
                true => format!("{} bytes or more", heard.len().min(500)),
                false => heard
                    .strip_prefix(TORN)
                    .unwrap_or(&heard)
                    .escape_ascii()
                    .to_string(),
            };
            (cut, heard)
        });
        match cut == length {
            true => assert_eq!(heard, "500 bytes or more"),
            false => assert!(
                heard.ends_with("500 TLS Negotiation Failed\\r\\n"),
                "{cut} bytes"
            ),
        }
    }
}

#[test]
fn a_client_that_wants_to_shake_hands_again_is_told_no() {
    let heard = same(|way| {
        let server = Server::new(way, "");
        let told = ["RENEGOTIATING", "no renegotiation", "250 ", "closed"];
        let mut heard = s_client(server.port, &["-tls1_2"], "NOOP\nR\nNOOP\nQ\n", &told);
        // Openssl's numbers, and the thread's.
        for line in &mut heard {
            if let Some(at) = line.find("no renegotiation") {
                *line = line[at..].split(':').next().unwrap().to_owned();
            }
        }
        heard
    });
    assert!(
        heard.iter().any(|line| line.contains("RENEGOTIATING")),
        "{heard:?}"
    );
    assert!(
        heard.iter().any(|line| line.contains("no renegotiation")),
        "{heard:?}"
    );
}

#[test]
fn no_data_come_before_the_handshake_is_done() {
    let heard = same(|way| {
        let server = Server::new(way, "");
        let (session, early) = (server.site.path("session"), server.site.path("early"));
        std::fs::write(&early, "NOOP\r\n").unwrap();
        let (session, early) = (session.to_str().unwrap(), early.to_str().unwrap());
        let told = ["Early data", "Max Early Data", "Reused", "New,"];
        let mut heard = s_client(
            server.port,
            &["-tls1_3", "-sess_out", session],
            "NOOP\n",
            &told,
        );
        heard.extend(s_client(
            server.port,
            &["-tls1_3", "-sess_in", session, "-early_data", early],
            "NOOP\n",
            &told,
        ));
        heard.sort();
        // It tells of each ticket that has come before it goes.
        heard.dedup();
        heard
    });
    assert!(
        heard.iter().any(|line| line.starts_with("Reused, TLSv1.3")),
        "{heard:?}"
    );
    assert!(heard.contains(&"Max Early Data: 0".to_owned()), "{heard:?}");
}

#[test]
fn plugins_see_the_same_of_the_clients_tls() {
    let told = same(|way| {
        let site = site(way, "tells\n");
        site.put("plugins/tells", TELLS);
        let server = Server::start(site, &[]);
        let mut all = Vec::new();
        for (version, name) in [
            (SslVersion::TLS1_3, Some("mail.example")),
            (SslVersion::TLS1_2, None),
        ] {
            let mut context = context();
            context.set_max_proto_version(Some(version)).unwrap();
            let mut ssl = Ssl::new(&context.build()).unwrap();
            if let Some(name) = name {
                ssl.set_hostname(name).unwrap();
            }
            let client = Client::before_handshake(server.port).shake_hands(ssl);
            all.push(client.unwrap().say("HELP"));
        }
        all
    });
    for part in [
        "get_sslversion TLSv1_3",
        "get_servername mail.example",
        "is_SSL 1",
        "certificate undef",
        "isa IO::Socket::SSL 1",
        "tls_enabled 1",
    ] {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
    assert!(told[1].contains("get_sslversion TLSv1_2"), "{told:?}");
}

#[test]
fn plugins_read_and_print_through_the_clients_tls() {
    let said = same(|way| {
        let site = site(way, "talks\n");
        site.put("plugins/talks", TALKS);
        let server = Server::start(site, &[]);
        let mut client = Client::secured(server.port);
        let mut said = Vec::new();
        for (verb, answer) in [
            ("ASK", "somebody\r\n"),
            ("BLOCK", "0123456789"),
            ("WAIT", "in time\r\n"),
            ("THROUGH", "a line\r\n"),
        ] {
            said.push(client.say(verb));
            client.send(answer);
            said.push(client.reply());
        }
        said.push(client.say("WAIT"));
        said.push(client.reply());
        let much = client.say("MUCH");
        said.push(format!("{} bytes", much.len()));
        said.push(client.say("QUIT"));
        said
    });
    for part in [
        "250 somebody, 8 bytes",
        "250 got 0123456789",
        "250 in time",
        "250 a line",
        "250 too late",
    ] {
        assert!(said.iter().any(|line| line == part), "{part}: {said:?}");
    }
    assert!(said.last().unwrap().starts_with("221 "), "{said:?}");
}

#[test]
fn a_long_message_comes_as_it_was_sent() {
    let text: String = (0..60_000)
        .map(|n| format!("line {n} of a message that is longer than memory is to keep\r\n"))
        .collect();
    for way in BOTH {
        let server = Server::new(way, "rcpt_ok\nqueue/maildir @ROOT@/Maildir\n");
        let mut client = Client::secured(server.port);
        assert!(client.say("EHLO client.example").starts_with("250-"));
        let reply = client.message(&format!("Subject: x\r\n\r\n{text}"));
        assert!(reply.starts_with("250 Queued"), "{way:?}: {reply}");
        let file = &server.site.files("Maildir/new")[0];
        let delivered = std::fs::read_to_string(file).unwrap();
        let body = delivered.split_once("\n\n").unwrap().1;
        assert_eq!(
            body.trim_end(),
            text.replace("\r\n", "\n").trim_end(),
            "{way:?}"
        );
        let cipher = client.ssl().current_cipher().unwrap().name();
        assert!(
            delivered.contains(&format!("({cipher} encrypted)")),
            "{way:?}"
        );
    }
}

#[test]
fn the_name_that_a_client_asks_for_changes_nothing_where_there_is_one_certificate() {
    same(|way| {
        let server = Server::new(way, "");
        let mut ssl = ssl();
        ssl.set_hostname("elsewhere.example").unwrap();
        let client = Client::before_handshake(server.port)
            .shake_hands(ssl)
            .unwrap();
        let shown = client.ssl().peer_certificate().unwrap();
        assert_eq!(
            client.ssl().servername(NameType::HOST_NAME),
            Some("elsewhere.example")
        );
        format!("{:?}", shown.subject_name())
    });
}

#[test]
fn a_client_is_told_that_nothing_more_follows() {
    let told = same(|way| {
        let server = Server::new(way, "");
        let mut client = Client::secured(server.port);
        assert!(client.say("QUIT").starts_with("221 "));
        assert!(client.rest().is_empty());
        client.was_told_of_the_end()
    });
    assert!(told);
}
