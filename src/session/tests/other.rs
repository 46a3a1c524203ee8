use super::*;

#[test]
fn rset_ends_the_transaction() {
    let seen = mail_server().talk(&after(3, &["RSET foo\r\n", "DATA\r\n"]));
    assert_eq!(seen.reply(4), "250 OK");
    assert_eq!(seen.reply(5), "503 MAIL first");
    assert!(
        seen.from("rcpt")
            .starts_with("rcpt 250 reset_transaction 250")
    );
}

#[test]
fn most_commands_work_before_helo() {
    let seen = server().talk(&["RSET\r\n", "VRFY\r\n", "NOOP\r\n", "HELP\r\n", "DATA\r\n"]);
    let codes: Vec<_> = (1..6).map(|n| &seen.replies[n][0][..3]).collect();
    assert_eq!(codes, ["250", "252", "250", "214", "503"]);
}

#[test]
fn vrfy_follows_its_hook() {
    let default = "252 Just try sending a mail and we'll see how it turns out ...";
    for (code, values, reply) in [
        (Code::Declined, "", default),
        (Code::Ok, "", "250 User OK"),
        (Code::Ok, "0", "250 User OK"),
        (Code::Ok, "x", "250 x"),
        (Code::DenySoft, "x", default),
        (Code::DenyDisconnect, "x", default),
        (Code::DenySoftDisconnect, "x", default),
        (other(), "x", default),
        (Code::Done, "x", ""),
    ] {
        let seen = mail_server()
            .on(Hook::Vrfy, code, values)
            .talk(&after(2, &["VRFY bar\r\n", "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(3), reply);
        assert_eq!(seen.reply(4), "250 <c@d>, recipient ok");
        assert!(seen.called("vrfy()"));
    }
}

#[test]
fn vrfy_denied_ends_the_transaction() {
    for (values, reply) in [("", "554 Access Denied"), ("x", "554 x")] {
        let seen = mail_server()
            .on(Hook::Vrfy, Code::Deny, values)
            .talk(&after(2, &["VRFY bar\r\n", "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(3), reply);
        assert_eq!(seen.reply(4), "503 Use MAIL before RCPT");
    }
}

#[test]
fn noop_follows_its_hook() {
    for (code, values, reply, closes) in [
        (Code::Ok, "x", "250 OK", false),
        (Code::DenySoft, "x", "250 OK", false),
        (Code::DenySoftDisconnect, "x", "250 OK", false),
        (other(), "x", "250 OK", false),
        (Code::Done, "x", "", false),
        (Code::Deny, "", "500 Stop wasting my time.", false),
        (Code::Deny, "a|b", "500-a / 500 b", false),
        (Code::DenyDisconnect, "", "500 Stop wasting my time.", true),
    ] {
        let seen = server()
            .on(Hook::Noop, code, values)
            .talk(&["NOOP x\r\n", "RSET\r\n"]);
        assert_eq!(seen.reply(1), reply);
        assert_eq!(seen.replies.len(), if closes { 2 } else { 3 });
        assert!(seen.called("noop()"));
    }
}

#[test]
fn help_follows_its_hook() {
    let text = "214-This is camelpost 0.1 / 214-See http://smtpd.develooper.com/ / \
                214 To report bugs or send comments, mail to <ask@develooper.com>.";
    for (code, values, reply) in [
        (Code::Declined, "", text),
        (Code::Ok, "", text),
        (Code::Ok, "0", text),
        (Code::Ok, "x", "214 x"),
        (Code::DenySoft, "a|b", "214-a / 214 b"),
        (Code::DenyDisconnect, "x", "214 x"),
        (other(), "x", "214 x"),
        (Code::Done, "x", ""),
        (Code::Deny, "", "500 Syntax error, command not recognized"),
        (Code::Deny, "x", "500 x"),
    ] {
        let seen = server()
            .on(Hook::Help, code, values)
            .talk(&["HELP a b c\r\n"]);
        assert_eq!(seen.reply(1), reply);
        assert!(seen.called("help(a b c)"));
    }
    assert!(server().talk(&["HELP\r\n"]).called("help()"));
}

#[test]
fn quit_takes_a_text_with_any_code_and_always_ends() {
    let default = "221 mx.example.com closing connection. Have a wonderful day.";
    for code in [
        Code::Ok,
        Code::Deny,
        Code::DenySoft,
        Code::DenyDisconnect,
        other(),
    ] {
        for (values, reply) in [("", default), ("0", default), ("a|b", "221-a / 221 b")] {
            let seen = server()
                .on(Hook::Quit, code.clone(), values)
                .talk(&["QUIT x\r\n", "NOOP\r\n"]);
            assert_eq!(seen.reply(1), reply);
            assert_eq!(
                seen.from("quit"),
                "quit 221 disconnect reset_transaction post-connection"
            );
        }
    }
    let seen = server()
        .on(Hook::Quit, Code::Done, "x")
        .talk(&["QUIT\r\n", "NOOP\r\n"]);
    assert_eq!(seen.reply(1), "");
    assert_eq!(
        seen.from("quit"),
        "quit disconnect reset_transaction post-connection"
    );
}

#[test]
fn an_unknown_command_follows_its_hook_and_always_has_a_reply() {
    let default = "500 Unrecognized command";
    for (code, values, reply, closes) in [
        (Code::Declined, "", default, false),
        (Code::Ok, "x", default, false),
        (Code::DenySoft, "x", default, false),
        (Code::DenySoftDisconnect, "x", default, false),
        (other(), "x", default, false),
        (Code::Done, "x", "", false),
        (Code::Deny, "", default, false),
        (Code::Deny, "0", default, false),
        (Code::Deny, "a|b", "500-a / 500 b", false),
        (Code::DenyDisconnect, "", "521 Unrecognized command", true),
        (Code::DenyDisconnect, "x", "521 x", true),
    ] {
        let seen = server()
            .on(Hook::UnrecognizedCommand, code, values)
            .talk(&["FOO  bar  baz \r\n", "RSET\r\n"]);
        assert_eq!(seen.reply(1), reply);
        assert_eq!(seen.replies.len(), if closes { 2 } else { 3 });
        assert!(seen.called("unrecognized_command(foo, bar  baz )"));
    }
}

#[test]
fn verbs_end_at_a_space_and_have_no_case() {
    for (line, called) in [
        ("\r\n", "unrecognized_command()"),
        (" \r\n", "unrecognized_command(, )"),
        (" NOOP\r\n", "unrecognized_command(, NOOP)"),
        ("\tNOOP\r\n", "unrecognized_command(\tnoop)"),
        ("NOOP\tx\r\n", "unrecognized_command(noop\tx)"),
        ("DATA_POST\r\n", "unrecognized_command(data_post)"),
        ("NOOP\r\r\n", "noop()"),
        ("noOP \r\n", "noop()"),
        ("NOOP\n", "noop()"),
    ] {
        let seen = server().talk(&[line]);
        assert!(seen.called(called), "{line:?}: {:?}", seen.events);
    }
    let seen = server().leniently().talk(&["NOOP\r\r\n"]);
    assert!(seen.called("unrecognized_command(noop\r)"));
}

#[test]
fn commands_are_counted() {
    let server = server();
    let state = server.state();
    let machine = conversation(state.clone());
    server.run(&state, machine, &["NOOP\r\nFOO\r\n", "RSET\r\n"]);
    assert_eq!(state.commands.get(), 3);
}

#[test]
fn who_talks_http_is_sent_away_unless_a_plugin_answers() {
    let strict = || {
        let mut server = server();
        server.settings.forbidden_commands = vec![b"get".to_vec(), b"post".to_vec()];
        server
    };
    for line in ["POST / HTTP/1.1\r\n", "Host: x\r\n", "get\r\n"] {
        let seen = strict().talk(&[line]);
        assert_eq!(seen.reply(1), "521 Unrecognized command");
        assert!(matches!(seen.outcome, Outcome::Closed));
        assert!(seen.called("disconnect()"), "{line}");
    }
    let seen = strict().talk(&[
        "EHLO x\r\n",
        "GETS\r\n",
        ":\r\n",
        "NOOP\r\n",
        "Subject: x\r\n",
    ]);
    assert_eq!(seen.reply(2), "500 Unrecognized command");
    assert_eq!(seen.reply(3), "500 Unrecognized command");
    assert_eq!(seen.reply(4), "250 OK");
    assert_eq!(seen.reply(5), "521 Unrecognized command");
    let seen = server().talk(&["EHLO x\r\n", "GET /\r\n"]);
    assert_eq!(seen.reply(2), "500 Unrecognized command");
}
