use super::*;
use crate::mail::{HeaderSlot, Note};
use std::cell::RefCell;

const DATED: &str = "; DATE";

/// The header that queue gets, with the date of Received as `DATE`.
fn header_of(server: Server, sends: &[&str]) -> String {
    let found = Rc::new(RefCell::new(String::new()));
    let keep = found.clone();
    let seen = server
        .on(Hook::Rcpt, Code::Ok, "")
        .doing(Hook::DataPost, move |state| {
            let transaction = state.transaction.borrow();
            if let HeaderSlot::Native(header) = &*transaction.header.borrow() {
                let header = String::from_utf8(header.bytes.clone()).unwrap();
                keep.replace(header);
            }
        })
        .talk(sends);
    assert!(seen.count("queue") == 1);
    let header = found.borrow();
    let dated = header.lines().map(|line| match line.split_once("; ") {
        Some((start, date)) if date.ends_with("+0000") => format!("{start}{DATED}\n"),
        _ => format!("{line}\n"),
    });
    dated.collect()
}

#[test]
fn under_0_94_received_stands_above_authentication_results() {
    assert_eq!(
        header_of(server(), &after(4, &[MESSAGE])),
        "Received: from Unknown (HELO c) (192.0.2.1)\n by mx.example.com (camelpost/0.1) with \
         ESMTP; DATE\nAuthentication-Results: mx.example.com; auth=none\nSubject: x\n"
    );
}

#[test]
fn under_1_00_authentication_results_stands_above_received() {
    let server = server().profile(Profile::V100);
    let header = header_of(server, &after(4, &[MESSAGE]));
    assert!(
        header.starts_with(
            "Authentication-Results: mx.example.com; auth=none\nReceived: from Unknown"
        )
    );
}

#[test]
fn under_1_00_the_server_may_have_another_name_in_its_results() {
    let server = server()
        .profile(Profile::V100)
        .config("me-auth-results", "id.example");
    let header = header_of(server, &after(4, &[MESSAGE]));
    assert!(header.starts_with("Authentication-Results: id.example; auth=none\n"));
}

#[test]
fn under_1_00_older_results_are_renamed_unless_they_are_signed() {
    let message = "authentication-results: fake; auth=pass\r\nS: x\r\n\r\nb\r\n.\r\n";
    let signed = "DKIM-Signature: h=from:Authentication-Results; b=x\r\n\
                  Authentication-Results: other\r\n\r\nb\r\n.\r\n";
    let v100 = || server().profile(Profile::V100);
    let header = header_of(v100(), &after(4, &[message]));
    assert!(header.ends_with("\nS: x\nOriginal-Authentication-Results: fake; auth=pass\n"));
    let header = header_of(v100(), &after(4, &[signed]));
    assert!(header.ends_with("\nAuthentication-Results: other\n"));
    let header = header_of(server(), &after(4, &[message]));
    assert!(header.ends_with("\nauthentication-results: fake; auth=pass\nS: x\n"));
}

#[test]
fn under_1_00_data_post_headers_runs_before_the_fields_are_added() {
    let server = mail_server()
        .profile(Profile::V100)
        .doing(Hook::DataPostHeaders, |state| {
            let connection = state.connection.borrow();
            let note = Note::from("spf=pass");
            connection.notes.set(b"authentication_results", note);
        });
    let header = header_of(server, &after(4, &[MESSAGE]));
    assert!(header.starts_with("Authentication-Results: mx.example.com; auth=none; spf=pass\n"));
    let seen = mail_server()
        .profile(Profile::V100)
        .talk(&after(4, &[MESSAGE]));
    assert!(
        seen.from("data_headers_end")
            .starts_with("data_headers_end data_post_headers received_line data_post queue_pre")
    );
}

#[test]
fn helo_is_smtp() {
    let sends = ["HELO x\r\n", ENVELOPE[1], ENVELOPE[2], ENVELOPE[3], MESSAGE];
    assert!(header_of(server(), &sends).contains("(HELO x) (192.0.2.1)"));
    assert!(header_of(server(), &sends).contains(" with SMTP; DATE"));
    assert!(mail_server().talk(&sends).called("received_line(SMTP, , )"));
}

fn with_tls(mut server: Server) -> Server {
    server.cipher = Some("CIPH".into());
    server.doing(Hook::Connect, |state| {
        let connection = state.connection.borrow();
        connection.notes.set(b"tls_enabled", Note::Int(1));
    })
}

#[test]
fn tls_and_auth_show_in_the_protocol() {
    let seen = with_tls(mail_server()).talk(&after(4, &[MESSAGE]));
    assert!(seen.called("received_line(ESMTPS, , (CIPH encrypted) )"));
    let header = header_of(with_tls(mail_server()), &after(4, &[MESSAGE]));
    assert!(header.contains(" with (CIPH encrypted) ESMTPS; DATE"));

    let mut sends = after(4, &[MESSAGE]);
    sends.insert(1, "AUTH PLAIN AGEAYg==\r\n");
    let auth = |code| {
        mail_server()
            .mechanisms(&["PLAIN"])
            .on(Hook::Auth, code, "")
    };
    let seen = with_tls(auth(Code::Ok)).talk(&sends);
    let comment = "(smtp-auth username a, mechanism plain)\n";
    assert!(seen.called(&format!(
        "received_line(ESMTPSA, {comment}, (CIPH encrypted) )"
    )));
    let header = header_of(auth(Code::Ok), &sends);
    assert!(header.contains(" with ESMTPA; DATE"));
    assert!(header.contains("Results: mx.example.com; auth=pass (plain) smtp.auth=a\n"));
    let header = header_of(auth(Code::Deny), &sends);
    assert!(header.contains(" with ESMTP; DATE"));
    assert!(header.contains("Results: mx.example.com; auth=fail () smtp.auth=\n"));
}

#[test]
fn a_received_line_of_a_plugin_is_used_under_1_00_and_lost_under_0_94() {
    let with = |profile, code| {
        let server = server()
            .profile(profile)
            .on(Hook::ReceivedLine, code, "by me");
        header_of(server, &after(4, &[MESSAGE]))
    };
    assert!(with(Profile::V100, Code::Ok).contains("\nReceived: by me\nSubject"));
    assert!(!with(Profile::V094, Code::Ok).contains("Received"));
    assert!(with(Profile::V094, Code::Deny).contains("Received: from Unknown"));
}

#[test]
fn debian_s_later_packages_of_0_94_keep_a_received_line_of_a_plugin() {
    let mut server = server().on(Hook::ReceivedLine, Code::Ok, "Received: by me\n folded");
    server.settings.keeps_received = true;
    let header = header_of(server, &after(4, &[MESSAGE]));
    assert!(header.starts_with("Received: by me\n folded\nAuthentication-Results: "));
}

#[test]
fn under_1_00_a_received_line_of_a_plugin_keeps_its_folds_and_may_be_empty() {
    let with = |text| {
        let server = server()
            .profile(Profile::V100)
            .on(Hook::ReceivedLine, Code::Ok, text);
        header_of(server, &after(4, &[MESSAGE]))
    };
    assert!(with("by me\n folded").contains("\nReceived: by me\n folded\nSubject"));
    assert!(with("").contains("\nReceived: \nSubject"));
}

#[test]
fn under_1_00_the_cipher_stands_behind_the_protocol_and_a_space_in_its_place() {
    let v100 = || mail_server().profile(Profile::V100);
    let seen = with_tls(v100()).talk(&after(4, &[MESSAGE]));
    assert!(seen.called("received_line(ESMTPS, , (CIPH encrypted))"));
    let header = header_of(with_tls(v100()), &after(4, &[MESSAGE]));
    assert!(header.contains(" with ESMTPS (CIPH encrypted); DATE"));
    let header = header_of(v100(), &after(4, &[MESSAGE]));
    assert!(header.contains(" with ESMTP ; DATE"));
}

#[test]
fn a_client_that_said_helo_has_no_letters_of_esmtp() {
    let sends = ["HELO x\r\n", ENVELOPE[1], ENVELOPE[2], ENVELOPE[3], MESSAGE];
    let seen = with_tls(mail_server()).talk(&sends);
    assert!(seen.called("received_line(SMTP, , (CIPH encrypted) )"));
}

#[test]
fn under_1_00_a_server_without_a_name_of_its_own_adds_no_results() {
    let message = "Authentication-Results: theirs; auth=pass\r\n\r\nb\r\n.\r\n";
    let with = |profile| {
        let server = server().profile(profile).config("me-auth-results", "none");
        header_of(server, &after(4, &[message]))
    };
    let header = with(Profile::V100);
    assert!(
        header.starts_with("Received: ") && header.contains("\nAuthentication-Results: theirs")
    );
    assert!(with(Profile::V094).contains("Authentication-Results: mx.example.com; auth=none\n"));
}

#[test]
fn a_name_cannot_break_the_received_line() {
    let sends = [
        "EHLO a\rX: y\0z\r\n",
        ENVELOPE[1],
        ENVELOPE[2],
        ENVELOPE[3],
        MESSAGE,
    ];
    let header = header_of(server().leniently(), &sends);
    assert!(header.contains("(HELO a?X:)"), "{header}");
}

#[test]
fn a_header_of_the_scripting_language_gets_the_fields_through_it() {
    let foreign = |server: Server| {
        server.doing(Hook::DataHeadersEnd, |state| {
            let transaction = state.transaction.borrow();
            let fake: Box<dyn Foreign> = Box::new(Fake);
            transaction.header.replace(HeaderSlot::Foreign(fake));
        })
    };
    let seen = foreign(mail_server()).talk(&after(4, &[MESSAGE]));
    let from = seen.from("data_headers_end");
    assert!(from.starts_with(
        "data_headers_end add Authentication-Results received_line add Received data_post"
    ));
    let seen = foreign(mail_server().profile(Profile::V100)).talk(&after(4, &[MESSAGE]));
    assert_eq!(
        seen.events
            .iter()
            .filter(|e| e.starts_with("rename "))
            .count(),
        1
    );
    let mut signed = foreign(mail_server().profile(Profile::V100));
    signed.header = vec!["DKIM-Signature: h=authentication-results; b=x".into()];
    let seen = signed.talk(&after(4, &[MESSAGE]));
    assert!(!seen.events.iter().any(|e| e.starts_with("rename ")));
}
