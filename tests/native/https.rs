//! HTTPS for native plugins: the certificates that the system trusts count, and nobody else's.

use std::io::{Read, Write};
use std::net::TcpListener;

use camelpost_support::Site;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};

use super::wrong::Daemon;

pub const TESTS: &[super::Test] = &[("an_https_server_is_who_its_certificate_says", https)];

fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    made.set_serial_number(&serial).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap())
        .unwrap();
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&made.x509v3_context(None, None));
    made.append_extension(names.unwrap()).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

fn https() {
    let (certificate, key) = certificate();
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            // One that does not trust the certificate goes away.
            let Ok(mut client) = acceptor.accept(client.unwrap()) else {
                continue;
            };
            let _ = client.read(&mut [0; 4096]);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
            client.write_all(answer).unwrap();
            let _ = client.shutdown();
        }
    });
    let site = Site::new("native/services\n");
    let file = site.path("run/certificates");
    std::fs::write(&file, certificate.to_pem().unwrap()).unwrap();
    let trusted = [("SSL_CERT_FILE", file.display().to_string())];
    for (environment, answer) in [(&trusted[..], "500 200 secret"), (&[], "500 Unrecognized")] {
        let daemon = Daemon::start_with(&site, environment);
        let mut client = daemon.connect();
        client.reply();
        let said = client.say(&format!("FETCH https://localhost:{port}/"));
        assert!(said.starts_with(answer), "{said}: {}", site.read("run/log"));
        // Another name's certificate is nobody's.
        let other = client.say(&format!("FETCH https://127.0.0.1:{port}/"));
        assert!(other.starts_with("500 Unrecognized"), "{other}");
        drop(client);
        daemon.stop();
        let told = format!("[services]:  HTTP: https://127.0.0.1:{port}/: TLS: ");
        let log = site.read("run/log");
        assert!(log.contains(&told), "{log}");
    }
}
