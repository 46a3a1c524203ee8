//! A configuration that names native plugins only builds no interpreter. The proof: perl is told
//! by PERL5OPT to load a module that does not exist, so that none could start.

use camelpost_support::{Client, Daemon, Site, free_port, me};

use super::site::{CAMELPOST, new_site};

const NO_PERL: (&str, &str) = ("PERL5OPT", "-MNo::Such::Module");
const NATIVE: &str = "native/count_recipients max 1\n";

fn daemon(site: &Site, port: u16) -> Daemon {
    // In taint mode the variable would count for nothing.
    site.put("config/taint", "off\n");
    let mut command = site.command(CAMELPOST);
    let args = format!("serve -H -l 127.0.0.1 -p {port} -u {}", me());
    command.args(args.split(' ')).env(NO_PERL.0, NO_PERL.1);
    Daemon::logging_to(site, command)
}

/// What a session without any Perl plugin says.
fn converse(client: &mut Client) {
    let mut say = |line: &str, reply: &str| {
        let said = client.say(line);
        assert!(said.starts_with(reply), "{line}: {said}");
    };
    say("EHLO x", "250-mx.example.org Hi ");
    say(
        "MAIL FROM:<a@example.org>",
        "250 <a@example.org>, sender OK",
    );
    say("RCPT TO:<b@example.com>", "450 No plugin decided");
    say("RCPT TO:<b@example.com>", "450 ");
    say("DATA", "503 RCPT first");
    say("HELP", "214-");
    say("QUIT", "221 ");
}

#[test]
fn native_plugins_alone_are_served_without_an_interpreter() {
    let site = new_site(NATIVE);
    site.put("config/loglevel", "7\n");
    let port = free_port();
    let mut daemon = daemon(&site, port);
    // One after the other and two at a time.
    for _ in 0..3 {
        let (mut one, mut other) = (Client::when_ready(port), Client::when_ready(port));
        assert!(one.reply().starts_with("220 mx.example.org ESMTP"));
        assert!(other.reply().starts_with("220 mx.example.org ESMTP"));
        converse(&mut other);
        converse(&mut one);
        assert_eq!(one.rest(), "");
    }
    assert!(daemon.stop().success());
    let log = site.read("run/log");
    for line in [
        "Accepted connection 1/6400 from 127.0.0.1 / Unknown",
        "(rcpt) running plugin: count_recipients",
        "Plugin count_recipients, hook rcpt returned DECLINED, ",
        "Plugin count_recipients, hook rcpt returned DENYSOFT, ",
        "click, disconnecting",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn one_session_of_native_plugins_needs_no_interpreter() {
    let site = new_site(NATIVE);
    site.put("run/in", "HELO x\r\nNOOP\r\nQUIT\r\n");
    site.put("config/taint", "off\n");
    let output = site
        .command(CAMELPOST)
        .arg("inetd")
        .env(NO_PERL.0, NO_PERL.1)
        .env("TCPREMOTEIP", "192.0.2.7")
        .stdin(std::fs::File::open(site.path("run/in")).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "221"], "{said}");
    assert_eq!(output.status.code(), Some(0));
}

/// So that the two tests above cannot pass by chance.
#[test]
fn one_perl_plugin_more_needs_an_interpreter() {
    for (plugins, logging) in [
        ("native/count_recipients\ntaker\n", ""),
        (NATIVE, "taker\n"),
    ] {
        let site = new_site(plugins);
        site.put("config/logging", logging);
        let mut daemon = daemon(&site, free_port());
        assert_eq!(daemon.wait().code(), Some(1));
        let log = site.read("run/log");
        assert!(log.contains("perl did not start"), "{log}");
    }
}
