//! The native plugins under lines of their own, without Perl. That they do as Perl's is tests/compare's.

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
