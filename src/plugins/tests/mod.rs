//! The native plugins under lines of their own, without Perl. That they do as Perl's is tests/compare's.

mod with_a_server;

use crate::plugin::Zone;
use crate::testing::{Reply, Site};

/// What was refused, with the reply's text, and what was not.
fn said(reply: &Reply) -> String {
    match reply.code() {
        250 => "250".to_owned(),
        code => format!("{code} {}", reply.text()),
    }
}

fn site() -> Site {
    Site::new()
        .line("native/count_unrecognized_commands 2")
        .line("native/badmailfrom reject_type temp")
        .line("native/badrcptto")
        .line("native/rcpt_ok")
        .line("native/loop 2")
        .taking_messages()
        .config("badmailfrom", "bad@example.net\n@worse.example go away\n")
        .config("badrcptto", "no@example.org\n^x+@ because of the x\n")
        .config("rcpthosts", "example.org\n.sub.example.org\n")
}

#[test]
fn senders_and_recipients_are_refused() {
    let site = site().config("compat", "0.94\n");
    let mut client = site.connect().unwrap();
    client.greet("client.example");
    let mut says = |line: &str| said(&client.say(line));
    assert_eq!(
        says("MAIL FROM:<BAD@example.net>"),
        "450 Your envelope sender is in my badmailfrom list"
    );
    assert_eq!(says("MAIL FROM:<a@worse.example>"), "450 go away");
    assert_eq!(says("MAIL FROM:<a@example.net>"), "250");
    assert_eq!(
        says("RCPT TO:<no@example.org>"),
        "550 mail to no@example.org not accepted here (#5.1.1)"
    );
    // In 0.94 the text behind the pattern is not the reply's.
    assert_eq!(
        says("RCPT TO:<xx@example.org>"),
        "550 mail to ^x+@ not accepted here"
    );
    assert_eq!(
        says("RCPT TO:<a@elsewhere.example>"),
        "550 Relaying denied (#5.7.1)"
    );
    assert_eq!(says("RCPT TO:<a@deep.sub.example.org>"), "250");
    let ended = client.quit();
    assert!(ended.has_logged("pass: deep.sub.example.org in rcpthosts as .sub.example.org"));
    assert!(ended.has_logged("karma -2 (-4)"));
}

#[test]
fn the_profile_decides_where_the_versions_differ() {
    let site = site().config("compat", "1.00\n");
    let mut client = site.connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    let reply = client.say("RCPT TO:<xx@example.org>");
    assert_eq!(said(&reply), "550 because of the x");
    client.quit();
}

#[test]
fn a_pattern_that_is_none_is_told_of_and_stops_no_sender() {
    let site = Site::new()
        .line("native/badmailfrom")
        .taking_messages()
        .config("badmailfrom", "bad@example.net\n(?=a)\n");
    let mut client = site.connect().unwrap();
    client.greet("client.example");
    assert_eq!(client.say("MAIL FROM:<bad@example.net>").code(), 550);
    assert_eq!(client.say("MAIL FROM:<a@example.net>").code(), 250);
    let ended = client.quit();
    assert!(
        ended.has_logged(
            "the pattern '(?=a)' cannot be read: of (? only (?: and (?i are understood"
        )
    );
}

#[test]
fn a_message_that_goes_round_and_a_client_that_guesses_are_sent_away() {
    let mut client = site().connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<a@example.org>");
    let reply = client.send_message("Received: x\nDelivered-To: y\n\nbody\n");
    assert_eq!(said(&reply), "552 Too many hops (#5.4.6)");
    assert_eq!(client.say("FOO").code(), 500);
    let reply = client.say("BAR");
    assert_eq!(
        said(&reply),
        "521 Closing connection, 2 unrecognized commands. Perhaps you should read RFC 2821?"
    );
    assert!(client.hang_up().has_logged("fail, 'bar' (2)"));
}

#[test]
fn who_may_not_connect_hears_it_before_the_greeting() {
    let site = |ip: &str| {
        let ip = ip.parse().unwrap();
        let site = Site::new().line("native/hosts_allow").client(ip, "Unknown");
        site.config("hosts_allow", "192.0.2.4 OK\n192.0.2.0/24 DENY go away\n")
    };
    let greeting = |ip: &str| said(site(ip).connect().unwrap().greeting());
    assert_eq!(greeting("192.0.2.77"), "550 go away");
    assert!(greeting("192.0.2.4").starts_with("220 "));
    assert!(greeting("2001:db8::1").starts_with("220 "));
}

#[test]
fn clients_of_relayclients_may_send_anywhere() {
    let may = |ip: &str, listed: &str| {
        let site = Site::new()
            .line("native/relay")
            .line("native/rcpt_ok")
            .taking_messages()
            .config("relayclients", listed)
            .config("norelayclients", "192.0.2.9\n")
            .client(ip.parse().unwrap(), "Unknown");
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        client.say("MAIL FROM:<a@example.net>");
        client.say("RCPT TO:<a@elsewhere.example>").code() == 250
    };
    assert!(may("192.0.2.1", "192.0.2.\n") && may("192.0.2.1", "192.0.2.0/24\n"));
    assert!(may("2001:db8::1", "2001:0db8\n") && may("2001:db8::1", "2001:db8::/32\n"));
    assert!(may("::1", "192.0.2.1\n"));
    assert!(!may("192.0.2.9", "192.0.2.\n") && !may("192.0.20.1", "192.0.2.\n"));
    assert!(!may("2001:db9::1", "2001:db8::/32\n"));
}

#[test]
fn a_message_needs_its_fields_once_and_a_date_of_these_days() {
    let said = |line: &str, message: &str| {
        let site = Site::new().line(line).taking_messages();
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        client.say("MAIL FROM:<a@example.net>");
        client.say("RCPT TO:<a@example.org>");
        let reply = said(&client.send_message(message));
        (reply, client.quit())
    };
    let old = "From: a\nDate: Mon, 1 Jan 2001 00:00:00 +0000\n\nbody\n";
    assert_eq!(said("native/headers", old).0, "250");
    let (reply, _) = said("native/headers past 5", old);
    assert_eq!(reply, "552 The Date header is too far in the past");
    let (reply, ended) = said("native/headers reject_type temp", "Subject: x\n\nbody\n");
    assert_eq!(reply, "452 902");
    assert!(ended.has_logged("fail, no From header"));
    let (reply, ended) = said("native/headers reject 0", "From: a\nFrom: b\n\nbody\n");
    assert_eq!(reply, "250");
    assert!(ended.has_logged("fail, tolerated, RFC 5322 validation errors"));
}

#[test]
fn a_name_in_a_greeting_has_to_be_the_client_s() {
    let ip = "192.0.2.1".parse().unwrap();
    let zone = || {
        Zone::new()
            .address("mx.client.example", "192.0.2.7".parse().unwrap())
            .address("far.example", "198.51.100.1".parse().unwrap())
            .ptr(ip, "other.client.example")
    };
    let said = |line: &str, name: &str| {
        let site = Site::new().line(line).config("compat", "0.94\n");
        let site = site.config("badhelo", "liar.example\n");
        let mut client = site.dns(zone()).connect().unwrap();
        let reply = said(&client.say(&format!("EHLO {name}")));
        (reply, client.hang_up())
    };
    let (reply, ended) = said("native/helo", "liar.example");
    assert_eq!(reply, "550 I do not believe you are liar.example.");
    assert!(ended.has_logged("fail, in badhelo"));
    assert_eq!(
        said("native/helo", "192.0.2.9").0,
        "550 Plain IP is invalid HELO hostname (RFC 2821)"
    );
    assert_eq!(
        said("native/helo policy rfc", "nodots").0,
        "550 HELO name is not fully qualified. Read RFC 2821"
    );
    assert_eq!(
        said("native/helo policy rfc", "none.example").0,
        "550 HELO hostname does not exist"
    );
    assert_eq!(said("native/helo policy rfc", "far.example").0, "250");
    let (reply, ended) = said("native/helo policy strict", "mx.client.example");
    assert_eq!(reply, "250");
    assert!(ended.has_logged("forward network match"));
    assert!(ended.has_logged("reverse domain match"));
    assert!(ended.has_logged("foward and reverse match"));
    let (reply, _) = said("native/helo policy strict", "far.example");
    assert_eq!(reply, "550 That HELO hostname fails FCrDNS");
    assert_eq!(
        said("native/helo policy strict reject 0", "far.example").0,
        "250"
    );
}

#[test]
fn a_client_on_a_list_is_refused_at_once_or_later() {
    let zone = || {
        Zone::new()
            .txt("1.2.0.192.txt.example", "listed for spam")
            .failing("1.2.0.192.broken.example")
    };
    let site = |line: &str, zones: &str| {
        let site = Site::new().line(line).line("native/rcpt_ok").dns(zone());
        site.config("dnsbl_zones", zones)
    };
    let zones = "broken.example\ntxt.example\n";
    let refused = site("native/dnsbl", zones).connect().unwrap();
    assert_eq!(said(refused.greeting()), "550 listed for spam");
    let ended = refused.hang_up();
    assert!(ended.has_logged("broken.example query failed:  query timed out"));
    let soft = site("native/dnsbl temp", zones).connect().unwrap();
    assert_eq!(said(soft.greeting()), "450 listed for spam");
    let allowed = site("native/dnsbl", zones).config("dnsbl_allow", "192.0.2.\n");
    assert!(allowed.connect().unwrap().greeting().code() == 220);
    let other = site("native/dnsbl", "other.example\n").connect().unwrap();
    assert_eq!(other.greeting().code(), 220);
    assert!(other.hang_up().has_logged("dnsbl: pass"));
}

#[test]
fn a_client_that_waits_for_its_turn_is_let_in() {
    let site = Site::new().line("native/earlytalker wait 0.01 check-at CONNECT check-at DATA");
    let mut client = site.taking_messages().connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<a@example.org>");
    assert_eq!(client.send_message("From: a\n\nbody\n").code(), 250);
    let ended = client.quit();
    assert!(ended.has_logged("(connect) earlytalker: pass, not spontaneous"));
    assert!(ended.has_logged("(data) earlytalker: pass, not spontaneous"));
    let wrong = Site::new().line("native/earlytalker wait").connect();
    let why = wrong.err().unwrap();
    assert!(why.ends_with("argument 'wait' has no value"), "{why}");
}

#[test]
fn a_password_lets_a_client_in() {
    let passwords = "user@example.com:secret\n\nuserx@example.com:other\n";
    let site = Site::new().line("native/auth/auth_flat_file");
    let site = site.config("flat_auth_pw", passwords);
    let said = |answer: &str| {
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        let code = client.say(&format!("AUTH PLAIN {answer}")).code();
        (code, client.hang_up())
    };
    // user@example.com and secret
    assert_eq!(said("AHVzZXJAZXhhbXBsZS5jb20Ac2VjcmV0").0, 235);
    let (code, ended) = said("AHVzZXJAZXhhbXBsZS5jb20Ad3Jvbmc=");
    assert_eq!(code, 535);
    assert!(ended.has_logged("auth::auth_flat_file: fail: wrong password"));
    // A pattern is no name: u.er@example.com
    let (code, ended) = said("AHUuZXJAZXhhbXBsZS5jb20Ac2VjcmV0");
    assert_eq!(code, 535);
    assert!(ended.has_logged("fail: no such user: u.er@example.com"));
}

#[test]
fn a_message_is_in_the_maildir_when_it_is_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("mail");
    let line = format!("native/queue/maildir {}", dir.display());
    let site = Site::new().line("native/rcpt_ok").line(&line);
    let site = site.config("rcpthosts", "example.org\n");
    let mut client = site.connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<b@example.org>");
    let reply = client.send_message("Message-Id: <1@a>\nSubject: x\n\nbody\n");
    assert_eq!((reply.code(), &*reply.text()), (250, "Queued! <1@a>"));
    let mut files = std::fs::read_dir(dir.join("new")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(files.next().is_none());
    let start = "Return-Path: <a@example.net>\nDelivered-To: b@example.org\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("Subject: x\n\nbody\n"), "{text}");
    client.quit();
}

#[test]
fn the_log_is_in_the_file_and_each_session_may_have_its_own() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log.%i");
    let args = format!("loglevel LOGINFO tsformat [%Y] {}", path.display());
    let site = Site::new().logger::<super::logging::LoggingFile>(&args);
    let mut client = site.line("native/rcpt_ok").connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<a@elsewhere.example>");
    client.quit();
    let files = std::fs::read_dir(root.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let own = names.filter(|name| name != "log.parent").count();
    assert!(own >= 1, "a session has a file of its own");
    let text: String = std::fs::read_dir(root.path())
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let line = "550 Relaying denied (#5.7.1)\n";
    assert!(text.contains(line), "{text}");
    assert!(
        text.lines()
            .all(|line| line.starts_with("[20") && line.contains("]: "))
    );
}

#[test]
fn a_client_that_is_not_known_has_to_come_again() {
    let site = |line: &str| Site::new().line(line).taking_messages();
    let twice = |site: Site| {
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        let mail =
            |client: &mut crate::testing::Client| said(&client.say("MAIL FROM:<a@example.net>"));
        let replies = [mail(&mut client), mail(&mut client)];
        (replies, client.quit())
    };
    let denied = "450 This mail is temporarily denied";
    let (replies, ended) = twice(site("native/greylisting"));
    assert_eq!(replies, [denied, denied]);
    assert!(ended.has_logged("(mail) greylisting: fail: initial DENYSOFT, unknown"));
    assert!(ended.has_logged("greylisting: fail: black DENYSOFT - 1 deferred connections"));
    let (replies, ended) = twice(site("native/greylisting reject no loglevel 7"));
    assert_eq!(replies, ["250", "250"]);
    assert!(ended.has_logged("fail: black DENYSOFT - 1 deferred connections"));
    let late = site("native/greylisting black_timeout 0s grey_timeout 2h sender yes");
    let (replies, ended) = twice(late.config("compat", "0.94\n"));
    assert_eq!(replies, [denied, "250"]);
    assert!(ended.has_logged("pass: updated grey->white"));
    let (replies, ended) = twice(site("native/greylisting remote_ip no"));
    assert_eq!(replies, ["250", "250"]);
    assert!(ended.has_logged("enable one of remote_ip, sender, or recipient!"));
    let known = site("native/greylisting").config("denysoft_greylist", "reject 0\nnonsense 1\n");
    let (replies, ended) = twice(known.config("compat", "0.94\n"));
    assert_eq!(replies, ["250", "250"]);
    assert!(ended.has_logged("greylisting: invalid parameter(s): nonsense"));
}

#[test]
fn what_greylisting_does_not_have_ends_the_start() {
    let why = |line: &str| Site::new().line(line).connect().err().unwrap();
    assert!(why("native/greylisting nfslock 1").contains("unknown argument 'nfslock'"));
    let wrong = why("native/greylisting black_timeout soon");
    assert!(
        wrong.contains("plugins:1: native/greylisting: argument 'black_timeout' takes"),
        "{wrong}"
    );
}

#[test]
fn a_database_that_greylisting_does_not_read_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("native/greylisting db_dir {}", dir.path().display());
    let told = || {
        let client = Site::new().line(&line).connect().unwrap();
        client.hang_up().has_logged("is not read")
    };
    assert!(!told());
    std::fs::write(dir.path().join("greylist.dbm"), "").unwrap();
    assert!(told());
}
