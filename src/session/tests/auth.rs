use super::*;

const ALL: [&str; 3] = ["PLAIN", "LOGIN", "CRAM-MD5"];

fn auth_server(code: Code, values: &'static str) -> Server {
    server().mechanisms(&ALL).on(Hook::Auth, code, values)
}

/// The replies to these lines, after EHLO.
fn dialogue(server: Server, lines: &[&str]) -> Vec<String> {
    let sends: Vec<String> = ["EHLO c"]
        .iter()
        .chain(lines)
        .map(|l| format!("{l}\r\n"))
        .collect();
    let seen = server.talk(&sends);
    (2..seen.replies.len()).map(|n| seen.reply(n)).collect()
}

#[test]
fn auth_is_unknown_until_ehlo_has_offered_it() {
    let unknown = "500 Unrecognized command";
    let seen = auth_server(Code::Ok, "").talk(&["AUTH PLAIN x\r\n"]);
    assert_eq!(seen.reply(1), unknown);
    assert!(seen.called("unrecognized_command(auth, PLAIN x)"));
    let seen = auth_server(Code::Ok, "").talk(&["HELO x\r\n", "AUTH PLAIN x\r\n"]);
    assert_eq!(seen.reply(2), unknown);
    let replies = dialogue(server().on(Hook::Auth, Code::Ok, ""), &["AUTH PLAIN x"]);
    assert_eq!(replies, [unknown]);
}

#[test]
fn auth_is_not_offered_while_starttls_is_and_comes_first() {
    let offered = |tls_first: &str, starttls: bool| {
        let seen = auth_server(Code::Ok, "")
            .config("tls_before_auth", tls_first)
            .doing(Hook::Ehlo, move |state| {
                let transaction = state.transaction.borrow();
                transaction
                    .notes
                    .set(b"tls_enabled", i64::from(starttls).into());
            })
            .talk(&["EHLO x\r\n"]);
        seen.last().last() == Some(&"250 AUTH PLAIN LOGIN CRAM-MD5")
    };
    assert!(!offered("1", true));
    assert!(offered("1", false));
    assert!(offered("0", true));
}

#[test]
fn plain_takes_its_response_at_once_or_when_asked() {
    let text = "235 PLAIN authentication successful for a";
    let replies = dialogue(auth_server(Code::Ok, ""), &["AUTH PLAIN AGEAYg=="]);
    assert_eq!(replies, [text]);
    let replies = dialogue(auth_server(Code::Ok, ""), &["auth plain", "AGEAYg=="]);
    assert_eq!(replies, ["334  ", text]);
}

#[test]
fn the_specific_hook_comes_before_the_general_one() {
    let sends = ["EHLO c\r\n", "AUTH PLAIN AGEAYg==\r\n"];
    let seen = auth_server(Code::Ok, "").talk(&sends);
    assert!(seen.called("auth-plain(plain, a, b, undef, undef)"));
    assert!(seen.called("auth(plain, a, b, undef, undef)"));
    let seen = auth_server(Code::Ok, "")
        .on(Hook::AuthPlain, Code::Deny, "no")
        .talk(&sends);
    assert_eq!(seen.count("auth"), 0);
    assert_eq!(seen.last(), ["535 PLAIN authentication failed for a - no"]);
}

#[test]
fn any_verdict_but_ok_fails_and_a_text_is_appended() {
    for code in EVERY
        .into_iter()
        .chain([other()])
        .filter(|code| *code != Code::Ok)
    {
        let replies = dialogue(auth_server(code, "0"), &["AUTH PLAIN AGEAYg=="]);
        assert_eq!(replies, ["535 PLAIN authentication failed for a"]);
    }
    let replies = dialogue(auth_server(Code::Deny, "x|y"), &["AUTH PLAIN AGEAYg=="]);
    assert_eq!(replies, ["535 PLAIN authentication failed for a - x"]);
    let replies = dialogue(auth_server(Code::Ok, "x|y"), &["AUTH PLAIN AGEAYg=="]);
    assert_eq!(replies, ["235 PLAIN authentication successful for a - x"]);
}

#[test]
fn under_1_00_a_failure_names_the_address() {
    let server = auth_server(Code::Deny, "x").profile(Profile::V100);
    let replies = dialogue(server, &["AUTH PLAIN AGEAYg==", "AUTH FOO"]);
    assert_eq!(
        replies,
        [
            "535 PLAIN authentication failed for a from 192.0.2.1 - x",
            "504 Unimplemented authentication mechanism: foo"
        ]
    );
}

#[test]
fn success_is_seen_in_the_session_and_cannot_come_twice() {
    let server = auth_server(Code::Ok, "");
    let state = server.state();
    let machine = conversation(state.clone());
    let sends = [
        "EHLO c\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
        "RSET\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
    ];
    let seen = server.run(&state, machine, &sends);
    assert_eq!(seen.reply(4), "503 but you already said AUTH ...");
    assert!(seen.logged(7, "PLAIN authentication successful for a"));
    assert_eq!(state.authenticated.get(), Some(900));
    assert_eq!(state.auth_user.borrow().as_deref(), Some(&b"a"[..]));
    assert_eq!(
        state.auth_mechanism.borrow().as_deref(),
        Some(&b"plain"[..])
    );
    assert!(state.connection.borrow().relay_client.get());
}

#[test]
fn failure_leaves_no_user_and_another_try() {
    let server = server().mechanisms(&ALL).on(Hook::AuthLogin, Code::Ok, "");
    let state = server.state();
    let machine = conversation(state.clone());
    let sends = ["EHLO c\r\n", "AUTH PLAIN AGEAYg==\r\n"];
    server.run(&state, machine, &sends);
    assert_eq!(state.authenticated.get(), Some(901));
    assert!(state.auth_user.borrow().is_none());
    assert!(!state.connection.borrow().relay_client.get());
    let server = self::server()
        .mechanisms(&ALL)
        .on(Hook::AuthLogin, Code::Ok, "");
    let replies = dialogue(
        server,
        &["AUTH PLAIN AGEAYg==", "AUTH LOGIN", "YQ==", "Yg=="],
    );
    assert_eq!(replies[3], "235 LOGIN authentication successful for a");
}

#[test]
fn bad_responses_to_plain_are_535() {
    for (response, reply) in [
        ("=", "535 Authentication invalid"),
        ("!!!", "535 Authentication invalid"),
        ("*", "535 Authentication invalid"),
        ("eABhAGI=", "535 Authentication invalid for a"),
        ("AABi", "535 Authentication invalid"),
        ("AGEA", "535 Authentication invalid for a"),
        ("YQ==", "535 Authentication invalid (a)"),
    ] {
        let line = format!("AUTH PLAIN {response}");
        let replies = dialogue(auth_server(Code::Ok, ""), &[&line, "NOOP"]);
        assert_eq!(replies, [reply, "250 OK"]);
        let replies = dialogue(auth_server(Code::Ok, ""), &["AUTH PLAIN", response, "NOOP"]);
        assert_eq!(replies[1..], [reply, "250 OK"]);
    }
}

#[test]
fn login_asks_for_user_and_password() {
    let ok = "235 LOGIN authentication successful for a";
    let replies = dialogue(auth_server(Code::Ok, ""), &["AUTH LOGIN", "YQ==", "Yg=="]);
    assert_eq!(replies, ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", ok]);
    let replies = dialogue(auth_server(Code::Ok, ""), &["AUTH LOGIN YQ== Yg==", "Yg=="]);
    assert_eq!(replies, ["334 UGFzc3dvcmQ6", ok]);
}

#[test]
fn login_that_is_cancelled_is_501_and_an_empty_answer_535() {
    for (lines, reply) in [
        (&["AUTH LOGIN", "*"][..], "501 Authentication canceled"),
        (&["AUTH LOGIN", "YQ==", "*"], "501 Authentication canceled"),
        (&["AUTH LOGIN", ""], "535 Authentication invalid"),
        (&["AUTH LOGIN", "!!!"], "535 Authentication invalid"),
        (&["AUTH LOGIN", "YQ==", ""], "535 Authentication invalid"),
        (&["AUTH LOGIN =", "YQ=="], "535 Authentication invalid"),
    ] {
        let lines: Vec<&str> = lines.iter().copied().chain(["NOOP"]).collect();
        let replies = dialogue(auth_server(Code::Ok, ""), &lines);
        assert_eq!(replies[replies.len() - 2..], [reply, "250 OK"], "{lines:?}");
    }
}

#[test]
fn cram_md5_gives_the_ticket_and_the_digest_to_the_hooks() {
    let server = auth_server(Code::Ok, "");
    let state = server.state();
    let machine = conversation(state.clone());
    let sends = ["EHLO c\r\n", "AUTH CRAM-MD5\r\n", "YSBi\r\n"];
    let seen = server.run(&state, machine, &sends);
    assert_eq!(
        seen.last(),
        ["235 CRAM-MD5 authentication successful for a"]
    );
    let ticket = state.auth_ticket.borrow().clone().unwrap();
    let ticket = String::from_utf8(ticket).unwrap();
    assert!(ticket.ends_with("@mx.example.com>"));
    assert_eq!(
        seen.reply(2),
        format!("334 {}", super::super::sasl::encode(ticket.as_bytes()))
    );
    assert!(seen.called(&format!("auth-cram-md5(cram-md5, a, undef, b, {ticket})")));
}

#[test]
fn bad_responses_to_cram_md5_are_504() {
    for response in ["YQ==", "*", "", "IGI="] {
        let replies = dialogue(
            auth_server(Code::Ok, ""),
            &["AUTH CRAM-MD5", response, "NOOP"],
        );
        assert_eq!(
            replies[1..],
            ["504 Invalid authentication string", "250 OK"]
        );
    }
}

#[test]
fn a_mechanism_that_is_not_offered_is_504() {
    let plain = || {
        server()
            .mechanisms(&["PLAIN"])
            .on(Hook::AuthPlain, Code::Ok, "")
    };
    let replies = dialogue(
        plain(),
        &["AUTH", "AUTH FOO bar", "AUTH LOGIN", "AUTH AUTH"],
    );
    let text = "504 Unimplemented authentification mechanism: ";
    let names = ["", "foo", "login", "auth"];
    assert_eq!(replies, names.map(|name| format!("{text}{name}")));
}

#[test]
fn a_parser_may_take_the_arguments_apart() {
    let server = auth_server(Code::Ok, "").parser(Hook::AuthParse, &["900", "PLAIN", "AGEAYg=="]);
    let replies = dialogue(server, &["AUTH foo bar"]);
    assert_eq!(replies, ["235 PLAIN authentication successful for a"]);
    let server = auth_server(Code::Ok, "").parser(Hook::AuthParse, &["901", "nope"]);
    assert_eq!(dialogue(server, &["AUTH foo bar"]), ["501 nope"]);
    let server = auth_server(Code::Ok, "").parser(Hook::AuthParse, &["900"]);
    let text = "504 Unimplemented authentification mechanism: ";
    assert_eq!(dialogue(server, &["AUTH foo bar"]), [text]);
}

#[test]
fn auth_may_come_within_a_transaction() {
    let seen = mail_server()
        .mechanisms(&ALL)
        .on(Hook::Auth, Code::Ok, "")
        .talk(&after(3, &["AUTH PLAIN AGEAYg==\r\n", "DATA\r\n"]));
    assert_eq!(seen.replies[5][0], "354 go ahead");
}

#[test]
fn a_client_that_vanishes_in_auth_ends_the_session() {
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let line = format!("AUTH {mechanism}\r\n");
        let seen = auth_server(Code::Ok, "").talk(&["EHLO x\r\n", &line]);
        assert_eq!(seen.count("post-connection"), 1);
        assert_eq!(seen.count("auth"), 0);
        let server = auth_server(Code::Ok, "").end(End::Waits);
        let seen = server.talk(&["EHLO x\r\n", &line]);
        assert_eq!(seen.last().last(), Some(&"421 Connection Timed Out"));
        assert_eq!(seen.count("post-connection"), 1);
    }
}

#[test]
fn a_user_name_cannot_become_a_second_reply() {
    let replies = dialogue(auth_server(Code::Ok, ""), &["AUTH PLAIN AGENCmIAYg=="]);
    assert_eq!(replies, ["535 Authentication invalid"]);
    let original = auth_server(Code::Ok, "").leniently();
    let replies = dialogue(original, &["AUTH PLAIN AGENCmIAYg=="]);
    assert_eq!(replies, ["235 PLAIN authentication successful for a  b"]);
}
