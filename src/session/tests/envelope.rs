use super::*;

fn sender(state: &State) -> Option<String> {
    let transaction = state.transaction.borrow();
    let sender = transaction.sender.borrow();
    let format = sender.as_ref()?.address.borrow().format();
    Some(String::from_utf8(format).unwrap())
}

#[test]
fn mail_and_rcpt_are_taken() {
    let seen = mail_server().talk(&ENVELOPE);
    assert_eq!(
        seen.reply(2),
        "250 <a@b>, sender OK - how exciting to get mail from you!"
    );
    assert_eq!(seen.reply(3), "250 <c@d>, recipient ok");
    assert!(seen.logged(7, "full from_parameter: FROM:<a@b>"));
    assert!(seen.logged(7, "from email address : [<a@b>]"));
    assert!(seen.logged(7, "getting mail from <a@b>"));
    assert!(seen.logged(7, "to email address : [<c@d>]"));
    assert!(seen.called("mail_parse(FROM:<a@b>)") && seen.called("rcpt_parse(TO:<c@d>)"));
}

#[test]
fn mail_before_helo_is_503_after_a_reset() {
    let seen = server().talk(&["MAIL FROM:<a@b>\r\n"]);
    assert_eq!(seen.reply(1), "503 please say hello first ...");
    assert!(seen.from("220").starts_with("220 reset_transaction 503"));
}

#[test]
fn rcpt_before_mail_is_503() {
    let sends = [
        "EHLO x\r\n",
        "RCPT TO:<a@b>\r\n",
        "RCPT\r\n",
        "RCPT TO:\r\n",
    ];
    let seen = mail_server().talk(&sends);
    assert_eq!(seen.reply(2), "503 Use MAIL before RCPT");
    assert_eq!(seen.reply(3), "503 Use MAIL before RCPT");
    // The line is looked at first.
    assert_eq!(seen.reply(4), "501 Syntax error in address");
    assert_eq!(seen.count("rcpt_parse"), 3);
    assert_eq!(seen.count("rcpt_pre") + seen.count("rcpt"), 0);
}

#[test]
fn a_second_mail_begins_anew() {
    let seen = mail_server().talk(&after(3, &["MAIL FROM:<q@r>\r\n", "DATA\r\n"]));
    assert!(seen.reply(4).starts_with("250 <q@r>, sender OK"));
    assert_eq!(seen.reply(5), "503 RCPT first");
}

#[test]
fn a_refused_sender_is_not_kept() {
    for (code, values, reply, logged) in [
        (
            Code::Deny,
            "",
            "550 <a@b>, denied",
            "deny mail from <a@b> (<a@b>, denied)",
        ),
        (
            Code::Deny,
            "0",
            "550 <a@b>, denied",
            "deny mail from <a@b> (<a@b>, denied)",
        ),
        (
            Code::Deny,
            "x|y",
            "550-x / 550 y",
            "deny mail from <a@b> (x y)",
        ),
        (
            Code::DenySoft,
            "",
            "450 <a@b>, temporarily denied",
            "denysoft mail from <a@b> (<a@b>, temporarily denied)",
        ),
        (Code::DenySoft, "x", "450 x", "denysoft mail from <a@b> (x)"),
    ] {
        let seen = mail_server().on(Hook::Mail, code, values).talk(&[
            "EHLO c\r\n",
            "MAIL FROM:<a@b>\r\n",
            "RCPT TO:<c@d>\r\n",
        ]);
        assert_eq!(seen.reply(2), reply);
        assert!(seen.logged(6, logged), "{:?}", seen.log);
        assert_eq!(seen.reply(3), "503 Use MAIL before RCPT");
        // No reset follows the refusal.
        assert_eq!(seen.count("reset_transaction"), 2);
    }
}

#[test]
fn a_sender_refused_with_disconnect_ends_the_session() {
    for (code, reply) in [
        (Code::DenyDisconnect, "550 <a@b>, denied"),
        (Code::DenySoftDisconnect, "421 <a@b>, temporarily denied"),
    ] {
        let seen = server()
            .on(Hook::Mail, code, "")
            .talk(&after(2, &["NOOP\r\n"]));
        assert_eq!(seen.last(), [reply]);
        assert!(
            seen.from("mail")
                .ends_with("disconnect reset_transaction post-connection")
        );
    }
}

#[test]
fn done_at_mail_says_nothing_and_keeps_no_sender() {
    let seen = mail_server()
        .on(Hook::Mail, Code::Done, "x")
        .talk(&ENVELOPE[..3]);
    assert_eq!(seen.reply(2), "");
    assert_eq!(seen.reply(3), "503 Use MAIL before RCPT");
}

#[test]
fn any_other_verdict_takes_the_sender_and_its_text_is_dropped() {
    for code in [Code::Ok, Code::Yield, other()] {
        let seen = server().on(Hook::Mail, code, "text").talk(&ENVELOPE[..2]);
        assert!(seen.reply(2).starts_with("250 <a@b>, sender OK"));
    }
}

#[test]
fn a_recipient_needs_a_plugin_that_takes_it() {
    for (code, values, reply) in [
        (Code::Ok, "text", "250 <c@d>, recipient ok"),
        (Code::Deny, "", "550 relaying denied"),
        (Code::Deny, "0", "550 relaying denied"),
        (Code::Deny, "a|b", "550-a / 550 b"),
        (Code::Deny, "|text2", "550 text2"),
        (Code::Deny, "0|b", "550-relaying denied / 550 b"),
        (Code::DenySoft, "", "450 relaying denied"),
        (Code::DenySoft, "x", "450 x"),
        (Code::Done, "x", ""),
        (
            Code::Declined,
            "",
            "450 No plugin decided if relaying is allowed",
        ),
        (other(), "x", "450 No plugin decided if relaying is allowed"),
    ] {
        let taken = code == Code::Ok;
        let seen = server().on(Hook::Rcpt, code, values).talk(&ENVELOPE);
        assert_eq!(seen.reply(3), reply);
        let data = if taken {
            "354 go ahead"
        } else {
            "503 RCPT first"
        };
        assert_eq!(seen.replies[4][0], data);
    }
}

#[test]
fn a_recipient_refused_with_disconnect_ends_the_session() {
    for (code, values, reply, logged) in [
        (
            Code::DenyDisconnect,
            "",
            "550 delivery denied",
            "delivery denied (delivery denied)",
        ),
        (
            Code::DenyDisconnect,
            "x|y",
            "550-x / 550 y",
            "delivery denied (x y)",
        ),
        (
            Code::DenySoftDisconnect,
            "",
            "421 relaying denied",
            "delivery denied (relaying denied)",
        ),
    ] {
        let seen = server().on(Hook::Rcpt, code, values).talk(&ENVELOPE);
        assert_eq!(seen.reply(3), reply);
        assert!(seen.logged(7, logged));
        assert_eq!(seen.count("data"), 0);
        assert!(
            seen.from("rcpt")
                .ends_with("disconnect reset_transaction post-connection")
        );
    }
}

#[test]
fn parameters_reach_the_hooks_in_lower_case() {
    let seen = mail_server().talk(&[
        "EHLO c\r\n",
        "MAIL FROM:<x@y> BODY=8BITMIME SIZE=10 FOO\r\n",
        "RCPT TO:<a@b> NOTIFY=NEVER X\r\n",
    ]);
    assert!(seen.called("mail_pre(<x@y>, {body=8BITMIME,size=10,foo=undef})"));
    assert!(seen.called("mail(<x@y>, body, 8BITMIME, size, 10, foo, undef)"));
    assert!(seen.called("rcpt_pre(<a@b>, {notify=NEVER,x=undef})"));
    assert!(seen.called("rcpt(<a@b>, notify, NEVER, x, undef)"));
}

#[test]
fn syntax_errors_are_501() {
    for (line, reply) in [
        ("MAIL\r\n", "501 could not parse your mail from command"),
        ("MAIL FROM\r\n", "501 Syntax error in command"),
        ("MAIL TO:<x@y>\r\n", "501 Syntax error in command"),
        (
            "MAIL FROM: x@y\r\n",
            "501 could not parse your mail from command",
        ),
        (
            "MAIL FROM:<x@y\r\n",
            "501 could not parse your mail from command",
        ),
        (
            "MAIL FROM:<x>\r\n",
            "501 could not parse your mail from command",
        ),
        ("MAIL FROM:<x@y> =\r\n", "501 Syntax error in parameters"),
    ] {
        let seen = server().talk(&["EHLO c\r\n", line]);
        assert_eq!(seen.reply(2), reply, "{line}");
    }
    for (line, reply) in [
        ("RCPT\r\n", "501 could not parse recipient"),
        ("RCPT TO:\r\n", "501 Syntax error in address"),
        ("RCPT FROM:<x@y>\r\n", "501 Syntax error in command"),
        ("RCPT TO:<>\r\n", "501 could not parse recipient"),
        ("RCPT TO:<#@[]>\r\n", "501 could not parse recipient"),
        ("RCPT TO:postmaster\r\n", "501 could not parse recipient"),
        ("RCPT TO:<abuse>\r\n", "501 could not parse recipient"),
    ] {
        let seen = mail_server().talk(&after(2, &[line]));
        assert_eq!(seen.reply(3), reply, "{line}");
    }
}

#[test]
fn a_bare_command_reaches_the_pre_hook_without_an_address() {
    let seen = server().talk(&["EHLO c\r\n", "MAIL\r\n"]);
    assert!(seen.called("mail_pre(undef, {})"));
    let seen = server().talk(&after(2, &["RCPT\r\n"]));
    assert!(seen.called("rcpt_pre(undef, {})"));
}

#[test]
fn null_reverse_paths_have_three_forms() {
    for path in ["<>", "<#@[]>", "<[undefined]>", ""] {
        let seen = server().talk(&["EHLO c\r\n".to_string(), format!("MAIL FROM:{path}\r\n")]);
        assert!(seen.reply(2).starts_with("250 <>, sender OK"), "{path}");
    }
}

#[test]
fn postmaster_needs_no_domain() {
    let seen = mail_server().talk(&after(2, &["RCPT TO:<Postmaster>\r\n"]));
    assert_eq!(seen.reply(3), "250 <postmaster>, recipient ok");
}

#[test]
fn a_pre_hook_may_replace_the_address() {
    for (code, value, reply) in [
        (
            Code::Ok,
            "<new@addr>",
            "250 <new@addr>, sender OK - how exciting to get mail from you!",
        ),
        (
            Code::Ok,
            "new@addr",
            "501 could not parse your mail from command",
        ),
        (Code::Ok, "", "501 could not parse your mail from command"),
        (
            Code::Deny,
            "<new@addr>",
            "250 <a@b>, sender OK - how exciting to get mail from you!",
        ),
        (
            Code::Done,
            "<new@addr>",
            "250 <a@b>, sender OK - how exciting to get mail from you!",
        ),
    ] {
        let seen = server().on(Hook::MailPre, code, value).talk(&ENVELOPE[..2]);
        assert_eq!(seen.reply(2), reply);
    }
    let seen = mail_server()
        .on(Hook::RcptPre, Code::Ok, "<new@addr>")
        .talk(&ENVELOPE[..3]);
    assert_eq!(seen.reply(3), "250 <new@addr>, recipient ok");
    let seen = mail_server()
        .on(Hook::RcptPre, Code::Ok, "rubbish")
        .talk(&ENVELOPE[..3]);
    assert_eq!(seen.reply(3), "501 could not parse recipient");
}

#[test]
fn a_parser_takes_the_line_apart() {
    let seen = server()
        .parser(Hook::MailParse, &["900", "<n@w>", "A=B", "C"])
        .talk(&["EHLO c\r\n", "MAIL FROM:<a@b> SIZE=1\r\n"]);
    assert!(seen.called("parser mail FROM:<a@b> SIZE=1"));
    assert!(seen.called("mail(<n@w>, a, B, c, undef)"));
}

#[test]
fn a_parser_that_refuses_is_501_with_its_reason() {
    for (values, reply) in [
        (&["901", "because"][..], "501 because"),
        (&["902", "because", "more"], "501 because"),
        (&["901"], "501 Syntax error in command"),
        (&[], "501 Syntax error in command"),
    ] {
        let seen = server()
            .parser(Hook::MailParse, values)
            .talk(&ENVELOPE[..2]);
        assert_eq!(seen.reply(2), reply);
        assert_eq!(seen.count("mail_pre"), 0);
        let seen = mail_server()
            .parser(Hook::RcptParse, values)
            .talk(&ENVELOPE[..3]);
        assert_eq!(seen.reply(3), reply);
    }
}

#[test]
fn a_parser_that_accepts_nothing_is_no_address() {
    let seen = server()
        .parser(Hook::MailParse, &["900"])
        .talk(&ENVELOPE[..2]);
    assert_eq!(seen.reply(2), "501 could not parse your mail from command");
}

#[test]
fn a_size_that_must_exceed_databytes_is_552_at_mail() {
    for (size, refused) in [
        ("100", false),
        ("201", false),
        ("202", true),
        ("99999999999999999999999", true),
        ("abc", false),
        ("1a", false),
    ] {
        let line = format!("MAIL FROM:<x@y> SIZE={size}\r\n");
        let seen = server()
            .config("databytes", 100)
            .talk(&["EHLO c\r\n".to_string(), line]);
        let code = if refused {
            "552 Message too big!"
        } else {
            "250 <x@y>"
        };
        assert!(seen.reply(2).starts_with(code), "{size}: {}", seen.reply(2));
        assert_eq!(seen.count("mail"), usize::from(!refused));
    }
    let seen = server().talk(&["EHLO c\r\n", "MAIL FROM:<x@y> SIZE=999999999\r\n"]);
    assert!(seen.reply(2).starts_with("250 "));
}

#[test]
fn a_plugin_may_change_the_address_that_it_gets() {
    let seen = server()
        .plugin(Hook::Mail, |call, _| {
            if let Some(Arg::Address(address)) = call.args.first() {
                address.address.borrow_mut().set_user(b"other".to_vec());
            }
            None
        })
        .doing(Hook::ResetTransaction, |state| {
            if let Some(sender) = sender(state) {
                assert_eq!(sender, "<other@b>");
            }
        })
        .talk(&after(2, &["RSET\r\n"]));
    assert!(seen.reply(2).starts_with("250 <other@b>, sender OK"));
}

#[test]
fn what_a_message_has_beyond_its_recipients_is_452_and_the_next_one_has_as_many() {
    let mut server = mail_server();
    server.settings.recipient_limit = 2;
    let sends = [
        "EHLO x\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RCPT TO:<c@d>\r\n",
        "RCPT TO:<e@d>\r\n",
        "RCPT TO:<f@d>\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RCPT TO:<f@d>\r\n",
    ];
    let seen = server.talk(&sends);
    assert_eq!(seen.reply(4), "250 <e@d>, recipient ok");
    assert_eq!(seen.reply(5), "452 Too many recipients");
    assert_eq!(seen.reply(7), "250 <f@d>, recipient ok");
    assert_eq!(seen.count("rcpt_pre"), 3);
}

#[test]
fn long_forward_paths_are_fewer() {
    let mut server = mail_server();
    server.settings.limits.envelope_size = Some(100 * 256);
    let long = format!("RCPT TO:<{}@d>\r\n", "x".repeat(5000));
    let mut sends = vec!["EHLO x\r\n", "MAIL FROM:<a@b>\r\n"];
    sends.extend([&long[..]; 40]);
    let seen = server.talk(&sends);
    assert!(seen.reply(3).ends_with("recipient ok"));
    assert_eq!(seen.reply(40), "452 Too many recipients");
}
