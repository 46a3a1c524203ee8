//! What is wrong with a configuration is said in one line, and which plugin serves the line `tls`.

use std::process::{Command, Stdio};

use super::client::Client;
use super::server::{Server, TLS, Way, certificate, command, site};
use camelpost_support::process::wait;
use camelpost_support::{Site, free_port};

/// What a start that does not succeed says.
fn refusal(site: &Site) -> String {
    let mut command = command(site.root(), free_port(), &[]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let root = site.root().display().to_string();
    let error = said
        .lines()
        .rfind(|line| line.contains("plugin tls") || line.contains("native"));
    error.unwrap_or(&said).replace(&root, "ROOT")
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start_with_its_file_and_reason() {
    let wrong = |prepare: &dyn Fn(&Site)| {
        let site = site(Way::Native, "");
        prepare(&site);
        refusal(&site)
    };
    let begin = "camelpost: ROOT/config/plugins:1: plugin tls: Could not create SSL context: ";
    let said = wrong(&|site| certificate(site, "other", "key", "other.example"));
    assert_eq!(
        said,
        format!(
            "{begin}Failed to load key from file ROOT/key.pem: it is not the key of ROOT/cert.pem (key values mismatch)"
        )
    );
    let said = wrong(&|site| site.put("key.pem", "nothing\n"));
    assert!(
        said.starts_with(&format!(
            "{begin}Failed to load key from file ROOT/key.pem: "
        )),
        "{said}"
    );
    let said = wrong(&|site| site.put("cert.pem", "nothing\n"));
    assert!(
        said.starts_with(&format!(
            "{begin}Failed to load certificate from file ROOT/cert.pem: "
        )),
        "{said}"
    );
    let said = wrong(&|site| {
        let protected = Command::new("openssl")
            .args(["pkey", "-aes128", "-passout", "pass:secret", "-in"])
            .arg(site.path("key.pem"))
            .arg("-out")
            .arg(site.path("protected.pem"))
            .status();
        assert!(protected.unwrap().success());
        std::fs::rename(site.path("protected.pem"), site.path("key.pem")).unwrap();
    });
    assert!(
        said.contains("it is protected by a passphrase; write it without"),
        "{said}"
    );
    let said = wrong(&|site| {
        site.config("tls_ciphers", "NO_SUCH_CIPHER\n");
    });
    assert_eq!(
        said,
        format!(
            "{begin}Failed to set SSL cipher list 'NO_SUCH_CIPHER' (tls_ciphers): no cipher match"
        )
    );
}

#[test]
fn a_certificate_that_is_missing_is_told_and_tls_is_not_offered() {
    let site = site(Way::Native, "");
    std::fs::remove_file(site.path("key.pem")).unwrap();
    let server = Server::start(site, &[]);
    let told = server.daemon.wait_for("TLS is not offered");
    let key = server.site.path("key.pem");
    let place = server.site.path("config/plugins");
    let (key, place) = (key.display(), place.display());
    let wanted = format!("tls: {key}: No such file or directory ({place}:1): TLS is not offered");
    assert!(told.ends_with(&wanted), "{told}");
    let mut client = Client::new(server.port);
    assert!(!client.say("EHLO client.example").contains("STARTTLS"));
    assert!(client.say("STARTTLS").starts_with("500 "));
}

#[test]
fn a_certificate_of_another_form_is_taken() {
    for form in ["der", "pkcs12"] {
        let site = site(Way::Native, "");
        let mut command = Command::new("openssl");
        match form {
            "der" => command.args(["x509", "-outform", "DER", "-in"]),
            _ => command
                .args(["pkcs12", "-export", "-passout", "pass:", "-inkey"])
                .arg(site.path("key.pem"))
                .arg("-in"),
        };
        let made = command
            .arg(site.path("cert.pem"))
            .arg("-out")
            .arg(site.path("other"))
            .status();
        assert!(made.unwrap().success());
        std::fs::rename(site.path("other"), site.path("cert.pem")).unwrap();
        let server = Server::start(site, &[]);
        assert_eq!(Client::secured(server.port).say("NOOP"), "250 OK", "{form}");
    }
}

#[test]
fn a_file_that_was_changed_stays_perl_and_that_is_said_once() {
    let package = std::fs::read_to_string("/usr/share/qpsmtpd/plugins/tls").unwrap();
    let is_native = |settings: &str, text: Option<&str>| {
        let site = site(Way::Native, "");
        site.config("plugin_settings", settings);
        if let Some(text) = text {
            site.put("plugins/tls", text);
        }
        let server = Server::start(site, &[]);
        assert_eq!(Client::secured(server.port).say("NOOP"), "250 OK");
        let told = server
            .daemon
            .count("is not the file of qpsmtpd 0.94 or 1.00");
        // Perl's loader tells of its hooks.
        (server.daemon.count("tls hooking connect") == 0, told)
    };
    let changed = format!("# Ours.\n{package}");
    assert_eq!(is_native("", None), (true, 0));
    assert_eq!(is_native("tls native\n", None), (true, 0));
    assert_eq!(is_native("* native\n", None), (true, 0));
    assert_eq!(is_native("tls perl\n", None), (false, 0));
    assert_eq!(is_native("* perl\n", None), (false, 0));
    assert_eq!(is_native("* perl\ntls native\n", None), (true, 0));
    assert_eq!(is_native("", Some(&package)), (true, 0));
    assert_eq!(is_native("", Some(&changed)), (false, 1));
    assert_eq!(is_native("tls native\n", Some(&changed)), (false, 1));
    assert_eq!(is_native("tls perl\n", Some(&changed)), (false, 0));
}

#[test]
fn a_word_that_is_not_understood_is_told_with_those_that_are() {
    let site = site(Way::Native, "rcpt_ok\n");
    site.config("plugins", format!("native/{} sni x\n", TLS.trim()));
    let said = refusal(&site);
    assert!(
        said.contains("config/plugins:1: plugin native/tls: "),
        "{said}"
    );
    site.config("plugins", format!("native/{} names\n", TLS.trim()));
    let said = refusal(&site);
    assert!(said.contains("'names' is not understood"), "{said}");
    site.config("plugins", format!("{TLS}quit_fortune\n"));
    site.config("plugin_settings", "tls perl\nquit_fortune native\n");
    let said = refusal(&site);
    let (_, known) = said
        .split_once("config/plugin_settings:2: no native plugin stands in the place of quit_fortune; that is so for: ")
        .unwrap_or_else(|| panic!("{said}"));
    assert!(known.split(", ").any(|name| name == "tls"), "{said}");
}
