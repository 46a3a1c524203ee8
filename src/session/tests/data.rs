use super::*;
use crate::mail::HeaderSlot;
use std::cell::RefCell;

/// What queue sees of a message: header, body, and where the body starts.
fn stored(server: Server, sends: &[&str]) -> (String, String, u64) {
    let found = Rc::new(RefCell::new(None));
    let keep = found.clone();
    let seen = server
        .on(Hook::Rcpt, Code::Ok, "")
        .doing(Hook::DataPost, move |state| {
            let transaction = state.transaction.borrow();
            let header = match &*transaction.header.borrow() {
                HeaderSlot::Native(header) => String::from_utf8_lossy(&header.bytes).into(),
                _ => String::new(),
            };
            let mut body = transaction.body.borrow_mut();
            let start = body.start_offset();
            let bytes = body.read_from(start).unwrap();
            let bytes = String::from_utf8_lossy(&bytes).into_owned();
            keep.replace(Some((header, bytes, start)));
        })
        .on(Hook::Queue, Code::Ok, "")
        .talk(&after(4, sends));
    assert_eq!(seen.reply(4 + sends.len()), "250 Queued");
    let found = found.borrow_mut().take();
    found.unwrap()
}

/// The header without what the server adds.
fn client_header(header: &str) -> &str {
    let added = "Authentication-Results: mx.example.com; auth=none\n";
    header.split_once(added).unwrap().1
}

#[test]
fn a_message_has_header_and_body() {
    let (header, body, start) = stored(server(), &["S: x\r\nT: y\r\n\r\none\r\ntwo\r\n.\r\n"]);
    assert_eq!(client_header(&header), "S: x\nT: y\n");
    // The blank line belongs to the body.
    assert_eq!(body, "\none\ntwo\n");
    assert_eq!(start, 10);
}

#[test]
fn it_does_not_matter_in_which_pieces_a_message_comes() {
    let whole = "S: x\r\n f\r\n\r\n..one\r\n.two\r\n\r\nthree\r\n.\r\n";
    for size in [1, 2, 3, 5, 7, 11, 100] {
        let pieces: Vec<String> = whole
            .as_bytes()
            .chunks(size)
            .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
            .collect();
        let sends: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let (header, body, start) = stored(server(), &sends);
        assert_eq!(client_header(&header), "S: x\n f\n");
        assert_eq!(body, "\n.one\n.two\n\nthree\n");
        assert_eq!(start, 8);
    }
}

fn stored_of(message: &'static str) -> (String, String, u64) {
    stored_under(Strictness::default(), message)
}

fn stored_under(strictness: Strictness, message: &'static str) -> (String, String, u64) {
    let (header, body, start) = stored(server().strictly(strictness), &[message]);
    (client_header(&header).to_string(), body, start)
}

#[test]
fn lines_without_a_blank_one_are_all_header() {
    let text = "S: x\r\nbody without blank\r\nmore\r\n.\r\n";
    assert_eq!(stored_of(text), ("S: x\n".into(), String::new(), 29));
    assert_eq!(stored_of(".\r\n"), (String::new(), String::new(), 0));
}

#[test]
fn a_message_may_begin_with_its_body() {
    let found = stored_of("\r\nonly body\r\n.\r\n");
    assert_eq!(found, (String::new(), "\nonly body\n".into(), 0));
    let found = stored_of("no header\r\n\r\nat all\r\n.\r\n");
    assert_eq!(found, (String::new(), "\nat all\n".into(), 10));
}

#[test]
fn bare_lf_ends_lines_and_bare_cr_is_a_space_or_stays() {
    let message = "a: b\nc: d\n\nx\ry\nz\r\n.\r\n";
    let found = stored_under(Strictness::ORIGINAL, message);
    assert_eq!(found, ("a: b\nc: d\n".into(), "\nx\ry\nz\n".into(), 10));
    let found = stored_of(message);
    assert_eq!(found, ("a: b\nc: d\n".into(), "\nx y\nz\n".into(), 10));
}

#[test]
fn as_in_the_original_nul_and_8_bit_bytes_pass() {
    let bytes: &[u8] = b"a: \0b\xff\r\n\r\nx\0\x01\xff\r\r\n.\r\n";
    let found = Rc::new(RefCell::new(Vec::new()));
    let keep = found.clone();
    let sends: Vec<&[u8]> = ENVELOPE
        .iter()
        .map(|s| s.as_bytes())
        .chain([bytes])
        .collect();
    let seen = mail_server()
        .leniently()
        .doing(Hook::DataPost, move |state| {
            let transaction = state.transaction.borrow();
            let all = transaction.body.borrow_mut().read_from(0).unwrap();
            keep.replace(all);
        })
        .talk(&sends);
    assert_eq!(seen.last(), ["250 Queued! x"]);
    assert_eq!(*found.borrow(), b"a: \0b\xff\n\nx\0\x01\xff\r\n");
}

#[test]
fn only_a_dot_between_crlf_ends_the_message() {
    let smuggled = "a: b\r\n\r\nx\n.\r\nMAIL FROM:<evil@x>\r\n";
    let seen = mail_server().talk(&after(4, &[smuggled, ".\r\n"]));
    assert_eq!(seen.reply(5), "");
    assert_eq!(seen.reply(6), "250 Queued! x");
    assert_eq!(seen.count("mail"), 1);
}

#[test]
fn as_in_the_original_a_dot_between_lf_and_crlf_ends_the_message() {
    let server = mail_server().leniently();
    let seen = server.talk(&after(4, &["a: b\r\n\r\nx\n.\r\nNOOP\r\n"]));
    assert_eq!(seen.reply(5), "250 Queued! x / 250 OK");
}

#[test]
fn a_dot_before_a_bare_lf_is_421_and_a_close() {
    for text in ["a: b\r\n\r\nx\r\n.\nNOOP\r\n", "a: b\r\n\r\nx\n.\nNOOP\r\n"] {
        let seen = mail_server().talk(&after(4, &[text]));
        assert_eq!(
            seen.reply(5),
            "421 See http://smtpd.develooper.com/barelf.html"
        );
        assert_eq!(
            seen.from("data_headers_end"),
            "data_headers_end 421 disconnect reset_transaction post-connection"
        );
    }
}

#[test]
fn data_needs_a_sender_and_a_recipient() {
    let seen = mail_server().talk(&["EHLO c\r\n", "DATA\r\n", "MAIL FROM:<>\r\n", "DATA\r\n"]);
    assert_eq!(seen.reply(2), "503 MAIL first");
    assert_eq!(seen.reply(4), "503 RCPT first");
    assert_eq!(seen.count("data"), 2);
}

#[test]
fn the_data_hook_may_refuse_the_message() {
    for (code, values, reply) in [
        (Code::Deny, "", "554 Message denied"),
        (Code::Deny, "0", "554 Message denied"),
        (Code::Deny, "text", "554 text"),
        (Code::DenySoft, "", "451 Message denied temporarily"),
    ] {
        let seen = mail_server()
            .on(Hook::Data, code.clone(), values)
            .talk(&after(4, &["RCPT TO:<x@y>\r\n"]));
        assert_eq!(seen.reply(4), reply);
        assert_eq!(seen.reply(5), "503 Use MAIL before RCPT");
        let code = &reply[..3];
        assert!(
            seen.from("data")
                .starts_with(&format!("data {code} reset_transaction"))
        );
    }
    let seen = server().on(Hook::Data, Code::Deny, "x").talk(&["DATA\r\n"]);
    assert_eq!(seen.reply(1), "554 x");
}

#[test]
fn data_with_disconnect_is_421_under_0_94_and_451_under_1_00() {
    for (profile, code, reply) in [
        (Profile::V094, Code::DenyDisconnect, "554 Message denied"),
        (
            Profile::V094,
            Code::DenySoftDisconnect,
            "421 Message denied temporarily",
        ),
        (
            Profile::V100,
            Code::DenySoftDisconnect,
            "451 Message denied temporarily",
        ),
    ] {
        let seen = mail_server()
            .profile(profile)
            .on(Hook::Data, code, "")
            .talk(&after(4, &["NOOP\r\n"]));
        assert_eq!(seen.last(), [reply]);
        assert_eq!(seen.count("noop"), 0);
        assert_eq!(seen.count("post-connection"), 1);
    }
}

#[test]
fn done_at_data_leaves_everything_to_the_plugin() {
    let seen = mail_server()
        .on(Hook::Data, Code::Done, "x")
        .talk(&after(4, &["RCPT TO:<x@y>\r\n"]));
    assert_eq!(seen.reply(4), "");
    assert_eq!(seen.reply(5), "250 <x@y>, recipient ok");
}

#[test]
fn a_message_runs_its_hooks_in_this_order() {
    let seen = mail_server().talk(&after(4, &[MESSAGE, "QUIT\r\n"]));
    assert_eq!(
        seen.from("data"),
        "data 354 data_headers_end received_line data_post queue_pre queue reset_transaction \
         250 queue_post quit 221 disconnect reset_transaction post-connection"
    );
    for text in [
        "max_size: 0 / size: 0",
        "max_size: 0 / size: 17",
        "adding auth results header",
    ] {
        assert!(seen.logged(7, text), "{text}");
    }
}

#[test]
fn only_disconnecting_verdicts_count_when_the_header_has_ended() {
    for code in [Code::Ok, Code::Deny, Code::DenySoft, Code::Done, other()] {
        let seen = mail_server()
            .on(Hook::DataHeadersEnd, code, "x")
            .talk(&after(4, &[MESSAGE]));
        assert_eq!(seen.reply(5), "250 Queued! x");
    }
    for (code, values, reply) in [
        (Code::DenyDisconnect, "", "554 Message denied"),
        (
            Code::DenySoftDisconnect,
            "",
            "421 Message denied temporarily",
        ),
        (Code::DenySoftDisconnect, "x", "421 x"),
    ] {
        let seen = mail_server()
            .on(Hook::DataHeadersEnd, code, values)
            .talk(&after(4, &["S: x\r\n\r\nbo", "dy\r\n.\r\n"]));
        assert_eq!(seen.last(), [reply]);
        assert_eq!(
            seen.replies.len(),
            6,
            "the rest of the message is not waited for"
        );
        assert_eq!(seen.count("queue"), 0);
    }
}

#[test]
fn data_headers_end_sees_the_header_and_runs_without_a_blank_line_too() {
    for message in [MESSAGE, "Subject: x\r\n.\r\n"] {
        let seen = mail_server()
            .plugin(Hook::DataHeadersEnd, |_, state| {
                let transaction = state.transaction.borrow();
                let header = transaction.header.borrow();
                let HeaderSlot::Native(header) = &*header else {
                    panic!("no header");
                };
                assert_eq!(header.bytes, b"Subject: x\n");
                None
            })
            .talk(&after(4, &[message]));
        assert_eq!(seen.count("data_headers_end"), 1);
        assert_eq!(seen.reply(5), "250 Queued! x");
    }
}

#[test]
fn a_message_above_databytes_is_552_after_its_end() {
    for (length, taken) in [(92, true), (93, true), (94, false), (5000, false)] {
        let message = format!("S: x\r\n\r\n{}\r\n.\r\n", "x".repeat(length));
        let sends = after(4, &[&message, "DATA\r\n"]);
        let seen = mail_server().config("databytes", 100).talk(&sends);
        let reply = if taken {
            "250 Queued! x"
        } else {
            "552 Message too big!"
        };
        assert_eq!(seen.reply(5), reply, "{length}");
        assert_eq!(seen.reply(6), "503 MAIL first");
        if !taken {
            assert!(seen.from("data").contains("552 reset_transaction"));
            let size = length + 7;
            let text = format!("Message too big: size: {size} (max size: 100)");
            assert!(seen.logged(1, &text), "{:?}", seen.log);
        }
    }
}

#[test]
fn a_header_above_databytes_is_552_without_data_headers_end() {
    let message = format!("S: {}\r\n\r\nb\r\n.\r\n", "x".repeat(600));
    let seen = mail_server()
        .config("databytes", 100)
        .talk(&after(4, &[&message]));
    assert_eq!(seen.reply(5), "552 Message too big!");
    assert_eq!(seen.count("data_headers_end"), 0);
}

#[test]
fn what_is_over_the_limit_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = mail_server().config("databytes", 100);
    server.settings.spool = Rc::new(Spool {
        dir: dir.path().into(),
        threshold: 0,
        ..Spool::default()
    });
    let largest = Rc::new(RefCell::new(0));
    let keep = largest.clone();
    let piece = "x".repeat(998);
    let mut sends = after(4, &["S: x\r\n\r\n"]);
    for _ in 0..50 {
        sends.extend([&piece, "\r\n"]);
    }
    sends.push(".\r\n");
    let seen = server
        .doing(Hook::ResetTransaction, move |state| {
            let transaction = state.transaction.borrow();
            let size = transaction.body.borrow().size();
            let mut largest = keep.borrow_mut();
            *largest = size.max(*largest);
        })
        .talk(&sends);
    assert_eq!(seen.last(), ["552 Message too big!"]);
    assert!(*largest.borrow() < 1100, "{}", largest.borrow());
}

#[test]
fn a_client_that_vanishes_in_data_delivers_nothing() {
    for rest in [
        "",
        "S: x\r\n",
        "S: x\r\n\r\nbody\r\n",
        "S: x\r\n\r\nbody\r\n.",
        "S: x\r\n\r\nb\r\n.\r",
    ] {
        let seen = mail_server().talk(&after(4, &[rest]));
        assert_eq!(seen.last(), ["451 Incomplete DATA"]);
        assert_eq!(seen.count("data_post") + seen.count("queue"), 0);
        assert!(
            seen.from("data")
                .ends_with("451 reset_transaction reset_transaction disconnect post-connection")
        );
    }
}

#[test]
fn reset_transaction_sees_how_much_of_a_message_came() {
    for (rest, size) in [("S: x\r\n", 5), ("S: x\r\n\r\nb\r\n.", 9), ("S: x\r", 5)] {
        let sizes = Rc::new(RefCell::new(Vec::new()));
        let keep = sizes.clone();
        mail_server()
            .doing(Hook::ResetTransaction, move |state| {
                let transaction = state.transaction.borrow();
                keep.borrow_mut().push(transaction.body.borrow().size());
            })
            .talk(&after(4, &[rest]));
        assert_eq!(*sizes.borrow(), [0, size, 0]);
    }
}

#[test]
fn a_client_that_is_silent_in_data_is_421() {
    let seen = mail_server().end(End::Waits).talk(&after(4, &["S: x\r\n"]));
    assert_eq!(seen.last(), ["421 Connection Timed Out"]);
    assert!(
        seen.from("data")
            .ends_with("421 reset_transaction disconnect post-connection")
    );
}

#[test]
fn a_body_that_cannot_be_stored_is_452_and_not_queued() {
    let mut server = mail_server();
    server.settings.spool = Rc::new(Spool {
        dir: "/nonexistent/spool".into(),
        threshold: 0,
        ..Spool::default()
    });
    let seen = server.talk(&after(4, &[MESSAGE, "NOOP\r\n"]));
    assert_eq!(
        seen.reply(5),
        "452 Cannot store the message; try again later"
    );
    assert_eq!(seen.reply(6), "250 OK");
    assert_eq!(seen.count("data_post") + seen.count("queue"), 0);
    assert!(
        seen.log
            .iter()
            .any(|(level, text)| *level == 3 && text.contains("spool_dir"))
    );
}

#[test]
fn a_message_above_the_threshold_is_spooled_and_the_log_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool {
        dir: dir.path().into(),
        threshold: 5,
        ..Spool::default()
    };
    let mut server = mail_server();
    server.settings.spool = Rc::new(spool);
    let seen = server
        .doing(Hook::DataPost, |state| {
            let transaction = state.transaction.borrow();
            assert!(transaction.body.borrow().path().is_some());
        })
        .talk(&after(4, &[MESSAGE]));
    assert_eq!(seen.last(), ["250 Queued! x"]);
    assert!(seen.logged(6, "spooling message to disk"));
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn commands_may_follow_the_message_in_one_write() {
    let all = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nS: x\r\n\r\nb\r\n.\r\nNOOP\r\n\
               QUIT\r\nNOOP\r\n";
    let seen = mail_server().talk(&[all]);
    let codes: Vec<_> = seen.last().iter().map(|line| &line[..3]).collect();
    let expected = "250 250 250 250 250 354 250 250 221";
    assert_eq!(codes.join(" "), expected);
}

#[test]
fn two_messages_in_one_connection_are_two_transactions() {
    let mut sends = after(4, &[MESSAGE]);
    sends.extend(&ENVELOPE[1..]);
    sends.push(MESSAGE);
    let seen = mail_server().talk(&sends);
    assert_eq!(seen.reply(5), "250 Queued! x");
    assert_eq!(seen.reply(9), "250 Queued! x");
    assert_eq!(seen.count("queue"), 2);
}

#[test]
fn what_is_read_within_a_message_is_known_as_such() {
    let mut sends = after(4, &["Subject: x\r\n", "\r\nbody\r\n", ".\r\n", "NOOP\r\n"]);
    sends.push("QUIT\r\n");
    let seen = mail_server().talk(&sends);
    let commands = sends.len() - 4;
    let expected = [vec![false; 4], vec![true; 3], vec![false; commands - 3]].concat();
    assert_eq!(seen.in_message[..expected.len()], expected);
}
