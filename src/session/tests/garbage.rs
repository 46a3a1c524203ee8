use super::*;

#[test]
fn an_overlong_line_is_500_and_the_session_goes_on() {
    let long = format!("NOOP {}\r\n", "x".repeat(100_000));
    let seen = server().talk(&[long, "NOOP\r\n".into()]);
    assert_eq!(seen.reply(1), "500 Line too long");
    assert_eq!(seen.reply(2), "250 OK");
}

#[test]
fn a_line_that_never_ends_is_not_kept() {
    let piece = "x".repeat(10_000);
    let server = server();
    let state = server.state();
    let pieces = vec![piece; 100];
    let machine = conversation(state.clone());
    let seen = server.run(&state, machine, &pieces);
    assert!(state.input.borrow().len() < 20_000);
    assert_eq!(seen.count("post-connection"), 1);
}

#[test]
fn random_bytes_have_replies_or_a_close() {
    // A linear congruential generator: the same bytes in every run.
    let mut seed = 12345u64;
    let mut byte = move || {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) as u8
    };
    let words: [&[u8]; 14] = [
        b"EHLO x\r\n",
        b"MAIL FROM:<a@b>",
        b"RCPT TO:<a@b>\r\n",
        b"DATA\r\n",
        b".\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"AUTH PLAIN ",
        b"AUTH LOGIN\r\n",
        b"AUTH CRAM-MD5\r\n",
        b"\0",
        b"RSET\r\n",
        b"SIZE=",
    ];
    for _ in 0..300 {
        let mut sends = Vec::new();
        for _ in 0..byte() % 40 {
            match byte() % 4 {
                0 => sends.push((0..byte()).map(|_| byte()).collect()),
                _ => sends.push(words[usize::from(byte()) % words.len()].to_vec()),
            }
        }
        let seen = mail_server()
            .mechanisms(&["PLAIN", "LOGIN", "CRAM-MD5"])
            .config("databytes", 1000)
            .talk(&sends);
        assert_eq!(seen.count("post-connection"), 1);
    }
}

#[test]
fn a_reply_text_of_a_plugin_cannot_become_a_second_reply() {
    let seen = mail_server()
        .on(Hook::Noop, Code::Deny, "a\r\n250 injected")
        .talk(&["NOOP\r\n"]);
    assert!(seen.last().iter().all(|line| line.starts_with("500")));
}

#[test]
fn a_chain_that_answers_nonsense_does_not_stop_the_session() {
    for hook in Hook::ALL {
        for code in EVERY.into_iter().chain([other()]) {
            let mut server = mail_server().mechanisms(&["PLAIN"]);
            // This verdict comes before those of `mail_server`.
            let values = "\u{1}|0|";
            let decided = code.clone();
            let plugin: Plugin = Box::new(move |_, _| Some(verdict(decided.clone(), values)));
            server.plugins.insert(0, (*hook, plugin));
            let seen = server.talk(&after(4, &[MESSAGE, "AUTH PLAIN AGEAYg==\r\n", "FOO\r\n"]));
            assert!(seen.count("post-connection") <= 1);
        }
    }
}
