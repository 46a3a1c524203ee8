use super::*;

const GREETING: &str =
    "220 mx.example.com ESMTP camelpost 0.1 ready; send us your mail, but not your spam.";

#[test]
fn a_session_begins_with_pre_connection_connect_and_the_greeting() {
    let seen = server().talk::<&str>(&[]);
    assert_eq!(seen.reply(0), GREETING);
    assert_eq!(
        seen.events[0],
        "pre-connection(remote_ip, 192.0.2.1, remote_port, 4000, local_ip, 192.0.2.2, \
         local_port, 25, max_conn_ip, 5, child_addrs, [[127, 0, 0, 1]])"
    );
    assert_eq!(
        seen.from("pre-connection"),
        "pre-connection connect 220 reset_transaction disconnect post-connection"
    );
    assert!(seen.logged(5, "Connection from Unknown [192.0.2.1]"));
    assert!(seen.logged(6, GREETING));
}

#[test]
fn pre_connection_runs_only_where_there_is_a_daemon() {
    let server = server();
    let settings = Rc::new(server.settings.clone());
    let state = Rc::new(State::new(settings, Connection::default(), None, NOW));
    let seen = server.run::<&str>(&state, conversation(state.clone()), &[]);
    assert_eq!(seen.count("pre-connection"), 0);
    assert_eq!(seen.count("connect"), 1);
}

#[test]
fn pre_connection_refuses_with_550_or_451_and_no_other_hook_runs() {
    for (code, values, reply) in [
        (Code::Deny, "", "550 Sorry, service not available for you"),
        (Code::Deny, "0", "550 Sorry, service not available for you"),
        (Code::DenyDisconnect, "no|way", "550-no / 550 way"),
        (Code::DenySoft, "", "451 Sorry, try again later"),
        (Code::DenySoftDisconnect, "later", "451 later"),
    ] {
        let seen = server()
            .on(Hook::PreConnection, code, values)
            .talk(&["NOOP\r\n"]);
        assert_eq!(seen.reply(0), reply);
        assert_eq!(seen.events.len(), 2, "{:?}", seen.events);
    }
    for code in [Code::Ok, Code::Done, Code::Yield, other()] {
        let seen = server()
            .on(Hook::PreConnection, code, "text")
            .talk::<&str>(&[]);
        assert_eq!(seen.reply(0), GREETING);
    }
}

#[test]
fn connect_may_refuse_the_client_or_leave_the_greeting_to_the_plugin() {
    for (code, values, reply) in [
        (Code::Ok, "text", GREETING),
        (other(), "text", GREETING),
        (Code::Done, "text", ""),
        (Code::Deny, "", "550 Connection from you denied, bye bye."),
        (Code::Deny, "0", "550 Connection from you denied, bye bye."),
        (Code::DenyDisconnect, "a|b", "550-a / 550 b"),
        (
            Code::DenySoft,
            "",
            "450 Connection from you temporarily denied, bye bye.",
        ),
        (Code::DenySoftDisconnect, "x", "450 x"),
    ] {
        let denied = code.is_denial();
        let seen = server().on(Hook::Connect, code, values).talk(&["NOOP\r\n"]);
        assert_eq!(seen.reply(0), reply);
        assert_eq!(seen.count("noop"), usize::from(!denied));
        assert_eq!(seen.count("post-connection"), 1);
        assert_eq!(seen.logged(6, "click, disconnecting"), denied);
    }
}

#[test]
fn smtpgreeting_replaces_the_greeting_and_gets_the_word_esmtp() {
    for (configured, greeting) in [
        ("hello there # x", "220 hello there # x ESMTP"),
        ("my.host ESMTP foo", "220 my.host ESMTP foo"),
        ("noESMTPhere", "220 noESMTPhere ESMTP"),
    ] {
        let seen = server()
            .config("smtpgreeting", configured)
            .talk(&["HELP\r\n"]);
        assert_eq!(seen.reply(0), greeting);
        assert_eq!(seen.replies[1][0], "214-This is camelpost ");
    }
}

#[test]
fn helo_greets_by_name_and_address() {
    let seen = server().talk(&["HELO client.example\r\n"]);
    assert_eq!(
        seen.reply(1),
        "250 mx.example.com Hi Unknown [192.0.2.1]; I am so happy to meet you."
    );
    assert!(seen.called("helo(client.example)"));
    assert!(seen.logged(6, "dispatching HELO client.example"));
}

#[test]
fn ehlo_offers_size_capabilities_and_auth_in_this_order() {
    let mut server = server()
        .config("databytes", 1000)
        .mechanisms(&["PLAIN", "LOGIN"])
        .doing(Hook::Ehlo, |state| {
            let transaction = state.transaction.borrow();
            let note = crate::mail::Note::Foreign(Box::new(Fake));
            transaction.notes.set(b"capabilities", note);
        });
    server.capabilities = vec!["STARTTLS".into(), "XFOO 1".into()];
    let seen = server.talk(&["EHLO x\r\n"]);
    assert_eq!(
        seen.last(),
        [
            "250-mx.example.com Hi Unknown [192.0.2.1]",
            "250-PIPELINING",
            "250-8BITMIME",
            "250-SIZE 1000",
            "250-STARTTLS",
            "250-XFOO 1",
            "250 AUTH PLAIN LOGIN"
        ]
    );
    assert_eq!(
        seen.asked[2..],
        [
            "timeoutsmtpd",
            "timeout",
            "tls_before_auth",
            "me",
            "databytes"
        ]
    );
}

#[test]
fn a_native_plugin_may_leave_capabilities_as_lines() {
    let seen = server()
        .doing(Hook::Ehlo, |state| {
            let transaction = state.transaction.borrow();
            transaction.notes.set(b"capabilities", "XA\nXB".into());
        })
        .talk(&["EHLO x\r\n"]);
    assert_eq!(seen.last()[3..], ["250-XA", "250 XB"]);
}

#[test]
fn databytes_of_zero_offers_no_size() {
    let seen = server().config("databytes", 0).talk(&["EHLO x\r\n"]);
    assert_eq!(seen.last().last(), Some(&"250 8BITMIME"));
}

#[test]
fn a_greeting_needs_a_name() {
    let seen = server().talk(&["HELO\r\n", "HELO  \r\n", "EHLO\r\n", "EHLO a  b c\r\n"]);
    let text = "requires domain/address - see RFC-2821 4.1.1.1";
    assert_eq!(seen.reply(1), format!("501 helo {text}"));
    assert_eq!(seen.reply(2), format!("501 helo {text}"));
    assert_eq!(seen.reply(3), format!("501 ehlo {text}"));
    assert!(seen.called("ehlo(a, b, c)"));
    assert_eq!(seen.count("helo"), 0);
}

#[test]
fn a_second_greeting_is_503_and_runs_no_hook() {
    for (first, second) in [("HELO x\r\n", "EHLO x\r\n"), ("EHLO x\r\n", "HELO x\r\n")] {
        let seen = server().talk(&[first, second]);
        assert_eq!(seen.reply(2), "503 but you already said HELO ...");
        assert_eq!(seen.count("helo") + seen.count("ehlo"), 1);
    }
}

#[test]
fn a_refused_greeting_has_a_reply_and_leaves_the_client_ungreeted() {
    for (code, values, reply) in [
        (Code::Deny, "", "550 Greeting denied"),
        (Code::Deny, "0", "550 Greeting denied"),
        (Code::Deny, "a|b", "550-a / 550 b"),
        (Code::DenySoft, "", "450 Greeting temporarily denied"),
        (Code::DenySoft, "x", "450 x"),
        (Code::Done, "x", ""),
    ] {
        for hello in ["HELO x\r\n", "EHLO x\r\n"] {
            let seen = server()
                .on(Hook::Helo, code.clone(), values)
                .on(Hook::Ehlo, code.clone(), values)
                .talk(&[hello, "MAIL FROM:<>\r\n"]);
            assert_eq!(seen.reply(1), reply);
            assert_eq!(seen.reply(2), "503 please say hello first ...");
        }
    }
}

#[test]
fn a_greeting_refused_with_disconnect_ends_the_session() {
    for (code, reply) in [
        (Code::DenyDisconnect, "550 x"),
        (Code::DenySoftDisconnect, "450 x"),
    ] {
        let seen = server()
            .on(Hook::Ehlo, code, "x")
            .talk(&["EHLO x\r\n", "NOOP\r\n"]);
        assert_eq!(seen.last(), [reply]);
        assert!(
            seen.from("ehlo")
                .ends_with("disconnect reset_transaction post-connection")
        );
    }
}

#[test]
fn other_verdicts_let_the_client_greet() {
    for code in [Code::Ok, Code::Yield, other()] {
        let seen = server().on(Hook::Helo, code, "x").talk(&["HELO x\r\n"]);
        assert!(seen.reply(1).starts_with("250 mx.example.com Hi"));
    }
}

#[test]
fn a_parser_gives_the_name_and_more_arguments() {
    let seen = server()
        .parser(Hook::HeloParse, &["901", "a.b", "x", "y"])
        .talk(&["HELO foo bar\r\n"]);
    assert!(seen.called("parser helo foo bar"));
    assert!(seen.called("helo(a.b, x, y)"));
    assert!(seen.reply(1).starts_with("250 "));
}

#[test]
fn a_parser_without_a_name_is_501() {
    for values in [&["900"][..], &["900", ""], &[]] {
        let seen = server()
            .parser(Hook::EhloParse, values)
            .talk(&["EHLO foo\r\n"]);
        assert!(seen.reply(1).starts_with("501 ehlo requires"));
    }
}

#[test]
fn the_timeout_comes_from_the_configuration_and_is_asked_for_once() {
    let seen = server()
        .config("timeout", 7)
        .talk(&["NOOP\r\n", "NOOP\r\n"]);
    assert!(seen.timeouts.iter().all(|t| *t == Duration::from_secs(7)));
    assert_eq!(
        seen.asked.iter().filter(|name| **name == "timeout").count(),
        1
    );
    let seen = server()
        .config("timeout", 7)
        .config("timeoutsmtpd", 9)
        .talk(&["NOOP\r\n"]);
    assert_eq!(seen.timeouts[0], Duration::from_secs(9));
    let seen = server().talk(&["NOOP\r\n"]);
    assert_eq!(seen.timeouts[0], Duration::from_secs(1200));
}
