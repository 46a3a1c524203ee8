use super::*;
use crate::config::{BareLineEnds, ReplyText, UnauthPipelining};

fn bare(policy: BareLineEnds) -> Strictness {
    Strictness {
        bare_line_ends: policy,
        ..Strictness::default()
    }
}

fn pipelining(policy: UnauthPipelining) -> Strictness {
    Strictness {
        unauth_pipelining: policy,
        ..Strictness::default()
    }
}

#[test]
fn a_command_with_a_bare_cr_or_nul_is_501_and_the_session_goes_on() {
    let sends = ["EHLO a\rb\r\n", "EHLO a\0b\r\n", "EHLO c\n", "NOOP\r\r\n"];
    let seen = server().talk(&sends);
    assert_eq!(
        seen.reply(1),
        "501 Line has a bare CR: lines must end in CR LF"
    );
    assert_eq!(
        seen.reply(2),
        "501 Line has a bare NUL: lines must end in CR LF"
    );
    assert!(seen.reply(3).starts_with("250-"));
    assert_eq!(seen.reply(4), "250 OK");
    assert_eq!(seen.count("ehlo"), 1);
}

#[test]
fn where_bare_line_ends_are_rejected_a_command_with_one_ends_the_session() {
    for (line, name) in [
        ("NOOP\n", "LF"),
        ("NOOP\r\r\n", "CR"),
        ("NO\0OP\r\n", "NUL"),
    ] {
        let server = server().strictly(bare(BareLineEnds::Reject));
        let seen = server.talk(&["EHLO c\r\n", line, "NOOP\r\n"]);
        let expected = format!("521 Line has a bare {name}: lines must end in CR LF");
        assert_eq!(seen.reply(2), expected);
        assert_eq!(seen.replies.len(), 3, "{:?}", seen.replies);
        assert!(seen.called("disconnect()"));
    }
}

#[test]
fn where_bare_line_ends_are_rejected_a_message_with_one_is_550_at_its_end() {
    let message = |text: &'static str| {
        let server = mail_server().strictly(bare(BareLineEnds::Reject));
        server.talk(&after(4, &[text, MESSAGE, ENVELOPE[1]]))
    };
    for (text, name) in [
        ("a: b\r\n\r\nx\ny\r\n.\r\n", "LF"),
        ("a: b\n\r\nx\r\n.\r\n", "LF"),
        ("a: b\r\n\r\nx\n.\r\ny\r\n.\r\n", "LF"),
        ("a: b\r\n\r\nx\ry\r\n.\r\n", "CR"),
        ("a: b\0\r\n\r\nx\r\n.\r\n", "NUL"),
    ] {
        let seen = message(text);
        let expected = format!("550 Message has a bare {name}: lines must end in CR LF");
        assert_eq!(seen.reply(5), expected, "{text:?}");
        assert_eq!(seen.count("data_post"), 0);
        // The transaction is over, the session is not.
        assert!(seen.last()[0].starts_with("250"), "{:?}", seen.replies);
    }
    let seen = message(MESSAGE);
    assert_eq!(seen.reply(5), "250 Queued! x");
}

#[test]
fn an_answer_to_auth_has_no_bare_cr_or_nul_either() {
    let auth = |policy| {
        server()
            .mechanisms(&["PLAIN"])
            .on(Hook::Auth, Code::Ok, "")
            .strictly(bare(policy))
            .talk(&["EHLO c\r\n", "AUTH PLAIN\r\n", "AGE\0AYg==\r\n", "NOOP\r\n"])
    };
    let seen = auth(BareLineEnds::Normalize);
    assert!(seen.reply(3).starts_with("501 "), "{}", seen.reply(3));
    assert_eq!((seen.reply(4).as_str(), seen.count("auth")), ("250 OK", 0));
    let seen = auth(BareLineEnds::Reject);
    assert!(seen.reply(3).starts_with("521 "), "{}", seen.reply(3));
    let seen = auth(BareLineEnds::Original);
    assert!(seen.reply(3).starts_with("235 "), "{}", seen.reply(3));
}

#[test]
fn a_client_that_does_not_wait_is_logged_once_and_served() {
    let seen = mail_server()
        .talk(&["EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nS: x\r\n\r\n.\r\nQUIT\r\n"]);
    assert_eq!(seen.count("queue"), 1);
    let told: Vec<_> = seen.log.iter().filter(|(level, _)| *level == 4).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, "the client does not wait for the reply to EHLO");
    let seen = mail_server().leniently().talk(&["EHLO c\r\nNOOP\r\n"]);
    assert!(!seen.log.iter().any(|(level, _)| *level == 4));
}

#[test]
fn a_group_of_commands_that_ends_as_it_must_is_no_fault() {
    let group = "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n";
    let server = mail_server().strictly(pipelining(UnauthPipelining::Reject));
    let end = "S: x\r\n\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let seen = server.talk(&["EHLO c\r\n", group, end, MESSAGE, "QUIT\r\n"]);
    assert_eq!(seen.count("queue"), 2, "{:?}", seen.replies);
    assert!(!seen.log.iter().any(|(level, _)| *level == 4));
}

#[test]
fn where_it_is_rejected_who_does_not_wait_is_sent_away() {
    for (sends, verb) in [
        (&["EHLO c\r\nMAIL FROM:<a@b>\r\n"][..], "EHLO"),
        (&["EHLO c\r\n", "NOOP\r\nNOOP\r\n"], "NOOP"),
        (&["EHLO c\r\n", "AUTH PLAIN\r\nAGEAYg==\r\n"], "AUTH"),
        (
            &["EHLO c\r\n", "STARTTLS\r\nMAIL FROM:<a@b>\r\n"],
            "STARTTLS",
        ),
        (&["EHLO c\r\n", "VRFY x\r\nRSET\r\n"], "VRFY"),
        (&after(3, &["data\r\nS: x\r\n\r\n.\r\n"]), "DATA"),
        (&["EHLO c\r\n", "QUIT\r\nx"], "QUIT"),
    ] {
        let server = mail_server()
            .mechanisms(&["PLAIN"])
            .strictly(pipelining(UnauthPipelining::Reject));
        let seen = server.talk(sends);
        let expected = format!("554 SMTP synchronization error: wait for the reply to {verb}");
        assert_eq!(seen.last(), [expected], "{:?}", seen.replies);
        assert!(seen.called("disconnect()"));
        assert_eq!(seen.count(&verb.to_ascii_lowercase()), 0);
    }
}

#[test]
fn who_sends_before_the_greeting_gets_none_where_that_is_rejected() {
    let early = |policy| {
        let server = server().strictly(pipelining(policy));
        let state = server.state();
        state.input.borrow_mut().push(b"EHLO c\r\n");
        let machine = conversation(state.clone());
        server.run(&state, machine, &["NOOP\r\n"])
    };
    let seen = early(UnauthPipelining::Reject);
    let expected = "554 SMTP synchronization error: wait for the greeting";
    assert_eq!((seen.reply(0).as_str(), seen.count("ehlo")), (expected, 0));
    let seen = early(UnauthPipelining::Log);
    assert!(seen.reply(0).starts_with("220 "));
    assert!(seen.logged(4, "the client does not wait for the greeting"));
    assert_eq!(seen.count("ehlo"), 1);
}

#[test]
fn where_it_is_rejected_a_message_behind_a_data_that_is_refused_is_not_obeyed() {
    let message = "DATA\r\nVRFY x\r\nMAIL FROM:<evil@x>\r\n.\r\n";
    let refused = "554 SMTP synchronization error: wait for the reply to DATA";
    let strict = || {
        mail_server().strictly(Strictness {
            unauth_pipelining: UnauthPipelining::Reject,
            ..Strictness::default()
        })
    };
    let seen = strict().talk(&["EHLO c\r\n", message]);
    assert_eq!(seen.reply(2), refused);
    assert_eq!((seen.count("mail_parse"), seen.count("vrfy")), (0, 0));
    for code in [Code::Deny, Code::DenySoft] {
        let seen = strict()
            .on(Hook::Data, code, "no")
            .talk(&after(3, &[message]));
        assert!(seen.last()[0] == refused, "{:?}", seen.replies);
        assert_eq!((seen.count("mail_parse"), seen.count("vrfy")), (1, 0));
    }
    // Who has waited for the reply, and goes on, is served; so is everybody by default and in the original.
    let seen = strict().talk(&["EHLO c\r\n", "DATA\r\n", "NOOP\r\n"]);
    assert_eq!(seen.reply(3), "250 OK");
    for server in [mail_server(), mail_server().leniently()] {
        let seen = server.talk(&["EHLO c\r\n", message]);
        assert_eq!((seen.count("mail_parse"), seen.count("vrfy")), (1, 1));
    }
}

#[test]
fn auth_is_for_clients_with_tls_or_on_this_machine_where_that_is_asked_for() {
    let talk = |ip: &str, tls: bool, only: bool| {
        let server = server()
            .mechanisms(&["PLAIN"])
            .on(Hook::Auth, Code::Ok, "")
            .strictly(Strictness {
                tls_auth_only: only,
                ..Strictness::default()
            });
        let state = server.state();
        let connection = state.connection.borrow().clone();
        connection.remote_ip.replace(Some(ip.into()));
        connection.notes.set(b"tls_enabled", i64::from(tls).into());
        let machine = conversation(state.clone());
        let seen = server.run(&state, machine, &["EHLO c\r\n", "AUTH PLAIN AGEAYg==\r\n"]);
        let offered = seen.reply(1).contains("AUTH");
        (offered, seen.reply(2))
    };
    let refused = "538 Encryption required for requested authentication mechanism";
    assert_eq!(talk("192.0.2.1", false, true), (false, refused.to_owned()));
    let passed = "235 PLAIN authentication successful for a".to_owned();
    assert_eq!(talk("192.0.2.1", true, true), (true, passed.clone()));
    for here in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
        assert_eq!(talk(here, false, true), (true, passed.clone()), "{here}");
    }
    assert_eq!(talk("192.0.2.1", false, false), (true, passed));
}

#[test]
fn what_auth_plain_brings_is_not_logged_save_where_everything_is() {
    let logged = |level: u8, profile| {
        let server = server()
            .profile(profile)
            .mechanisms(&["PLAIN"])
            .config("loglevel", level);
        let seen = server.talk(&["EHLO c\r\n", "auth  plain AGEAYg==\r\n"]);
        seen.log.iter().any(|(_, text)| text.contains("AGEAYg"))
    };
    for profile in [Profile::V094, Profile::V100] {
        assert!(!logged(6, profile));
        assert!(logged(7, profile));
    }
}

#[test]
fn a_reply_is_in_ascii_unless_the_transaction_is_in_utf_8_or_the_setting_says_so() {
    let reply = |text: ReplyText, parameter: &'static str| {
        let mail = format!("MAIL FROM:<a@b>{parameter}\r\n");
        let server = server()
            .on(Hook::Rcpt, Code::Deny, "Empfänger unbekannt\u{7}")
            .strictly(Strictness {
                reply_text: text,
                ..Strictness::default()
            });
        let seen = server.talk(&[
            ENVELOPE[0],
            &mail,
            ENVELOPE[2],
            "RSET\r\n",
            "HELP \u{e4}\r\n",
        ]);
        seen.reply(3)
    };
    let ascii = "550 Empf?nger unbekannt?";
    assert_eq!(reply(ReplyText::Ascii, ""), ascii);
    assert_eq!(
        reply(ReplyText::Ascii, " SMTPUTF8"),
        "550 Empfänger unbekannt?"
    );
    assert_eq!(reply(ReplyText::EightBit, ""), "550 Empfänger unbekannt?");
    assert_eq!(
        reply(ReplyText::Original, ""),
        "550 Empfänger unbekannt\u{7}"
    );
}
