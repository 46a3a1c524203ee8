//! spamassassin with a server on the other end of a unix socket, which answers once as the test has it.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use tempfile::TempDir;

use crate::testing::{Ended, Site};

/// What spamd says to one message, and what a client hears and spamd was asked then.
fn play(line: &str, answer: &'static str) -> (u16, Ended, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("spamd");
    let listener = UnixListener::bind(&path).unwrap();
    let spamd = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut asked = String::new();
        client.read_to_string(&mut asked).unwrap();
        client.write_all(answer.as_bytes()).unwrap();
        asked
    });
    let line = format!("native/spamassassin spamd_socket {} {line}", path.display());
    let site = Site::new().line(&line).taking_messages();
    let mut client = site.connect().unwrap();
    client.greet("client.example");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<b@example.org>");
    let message = "X-Spam-Status: No, forged\nSubject: x\n\nbody\n\n";
    let code = client.send_message(message).code();
    (code, client.quit(), spamd.join().unwrap())
}

const SPAM: &str =
    "SPAMD/1.1 0 EX_OK\r\n\r\nX-Spam-Status: Yes, score=7.5 required=5.0\r\n\ttests=A\r\n\r\n";

#[test]
fn spamd_s_fields_are_in_the_header_and_older_ones_under_another_name() {
    let line = "reject 10 munge_subject_threshold 6 spamd_user nobody";
    let (code, ended, asked) = play(line, SPAM);
    assert_eq!(code, 250);
    let start = "HEADERS SPAMC/1.4\r\nContent-length: ";
    assert!(asked.starts_with(start), "{asked}");
    assert!(asked.contains("\r\nUser: nobody\r\n\r\nX-Envelope-From: <a@example.net>\r\n"));
    assert!(asked.ends_with("Subject: x\r\n\r\nbody\r\n"), "{asked}");
    let header = &ended.messages[0].header;
    let status = "X-Spam-Status: Yes, score=7.5 required=5.0\n\t\ttests=A\n";
    assert!(header.starts_with(status), "{header}");
    assert!(
        header.contains("X-Old-Spam-Status: No, forged\n"),
        "{header}"
    );
    assert!(header.contains("Subject: *** SPAM *** x\n"), "{header}");
    assert!(ended.has_logged("fail, tolerated, Spam, 7.5 < 10,"));
    assert!(ended.has_logged("karma -1 (-1)"));
}

#[test]
fn a_score_too_high_is_refused() {
    let (code, ended, _) = play("reject 7 reject_type temp headers none", SPAM);
    assert_eq!(code, 452);
    assert!(ended.has_logged("fail, Spam, 7.5, > 7,"));
}

#[test]
fn a_server_that_says_nothing_of_use_stops_no_message() {
    let (code, ended, _) = play(
        "reject 7",
        "SPAMD/1.1 76 Bad header line: (EX_PROTOCOL)\r\n",
    );
    assert_eq!(code, 250);
    assert!(ended.has_logged("invalid response from spamd: SPAMD/1.1 76"));
    let site = Site::new().line("native/spamassassin reject_type odd");
    let why = site.connect().err().unwrap();
    assert!(
        why.contains("argument 'reject_type' takes temp, perm"),
        "{why}"
    );
}
