//! What one hook keeps in a variable of the file, the next hook of the same session finds: no message
//! with another client's sender.

use crate::compared::assert_same;
use crate::daemon::{Daemon, ONE_WORKER, Who};
use crate::play::{Act, Script, Transcript, in_bursts, play, shuffled};

/// Two messages of one client.
fn messages(client: usize) -> Vec<Act> {
    let mut lines = vec![format!("EHLO client{client}")];
    for number in 1..=2 {
        lines.push(format!("MAIL FROM:<sender{client}.{number}@example.net>"));
        for recipient in 0..1 + client % 3 {
            lines.push(format!("RCPT TO:<r{recipient}.{client}@example.org>"));
        }
        lines.push("DATA".to_owned());
        let body = format!("client {client}\r\n").repeat(client);
        lines.push(format!("Subject: x\r\n\r\n{body}."));
    }
    let said = lines.into_iter().map(Act::Say);
    [Act::Connect]
        .into_iter()
        .chain(said)
        .chain([Act::Quit])
        .collect()
}

fn script() -> Script {
    shuffled(
        40,
        (1..=60).map(|client| (client, messages(client))).collect(),
    )
}

/// What the queue hook said of each message: what was kept is the session's.
fn assert_own(transcript: &Transcript) {
    let mut wrong = Vec::new();
    for (client, entries) in transcript {
        let queued = entries
            .iter()
            .filter(|(line, _)| line.starts_with("Subject"));
        let replies: Vec<&str> = queued.map(|(_, reply)| reply.as_str()).collect();
        assert_eq!(replies.len(), 2, "client {client}");
        for (number, reply) in (1..).zip(replies) {
            let sender = format!("sender{client}.{number}@example.net");
            let all: Vec<String> = (1..=number)
                .map(|number| format!("sender{client}.{number}@example.net"))
                .collect();
            let recipients: Vec<String> = (0..1 + client % 3)
                .map(|recipient| format!("r{recipient}.{client}@example.org"))
                .collect();
            let lines = client * number;
            let expected = format!(
                "250 kept {sender} {} {lines} {} real {sender}",
                recipients.join(" "),
                all.join(" ")
            );
            if reply != expected {
                let reply = &reply[..reply.len().min(200)];
                wrong.push(format!("client {client}: {reply}, not {expected}"));
            }
        }
    }
    let count = wrong.len();
    wrong.truncate(5);
    assert_eq!(
        count,
        0,
        "so many messages of 120 are wrong:\n{}",
        wrong.join("\n")
    );
}

const PLUGINS: &str = "remembers\nanswer\n";

#[test]
fn no_message_has_another_client_s_sender() {
    for script in [script(), in_bursts(41, script())] {
        for who in [ONE_WORKER, Who::Camelpost(&["--workers", "4"])] {
            assert_own(&play(&Daemon::start(who, PLUGINS), &script));
        }
    }
}

#[test]
fn each_message_is_answered_as_by_the_original() {
    let [original, camelpost] = [Who::Original, ONE_WORKER].map(|who| {
        let transcript = play(&Daemon::start(who, PLUGINS), &script());
        assert_own(&transcript);
        transcript
    });
    assert_same(&original, &camelpost);
}
