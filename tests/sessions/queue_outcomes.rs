//! What became of messages is counted, also in workers that have ended, and shown by the metrics.

use crate::server::{Client, Server, http, until};

/// Does with a message what its sender's name says.
const CHOOSER: &str = r#"
    my %code = (queued => OK, deferred => DENYSOFT, refused => DENY, none => DECLINED);
    sub hook_rcpt { return OK }
    sub hook_queue_pre {
        my ($self, $transaction) = @_;
        return $transaction->sender->user eq 'early' ? (DENY, 'no') : DECLINED;
    }
    sub hook_queue {
        my ($self, $transaction) = @_;
        my $does = $transaction->sender->user;
        die 'as told' if $does eq 'dead';
        return $code{$does} if $code{$does};
        $self->qp->respond(250, 'by myself');
        return DONE;
    }
"#;

fn send(client: &mut Client, what: &str) -> String {
    client.expect(&format!("MAIL FROM:<{what}@example.org>"), "250");
    client.expect("RCPT TO:<someone@example.org>", "250");
    client.expect("DATA", "354");
    client.say("Subject: x\r\n\r\nbody\r\n.")
}

fn counted(address: &str, outcome: &str) -> Option<u64> {
    let page = http(address, "GET /metrics HTTP/1.1\r\n\r\n");
    let sample = format!("camelpost_queue_outcomes_total{{outcome=\"{outcome}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&sample))?;
    line.parse().ok()
}

#[test]
fn the_metrics_count_messages_by_what_became_of_them() {
    let args = ["--metrics", "127.0.0.1:0", "--sessions-per-life", "1"];
    let server = Server::start_with(&[("chooser", CHOOSER)], &args, &[]);
    let line = server.wait_for("Metrics on http://");
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.strip_suffix("/metrics").unwrap();
    assert_eq!(counted(address, "queued"), Some(0));
    for (what, reply) in [
        ("queued", "250 "),
        ("queued", "250 "),
        ("deferred", "452 "),
        ("refused", "552 "),
        ("early", "552 no"),
        ("none", "451 "),
        ("dead", "451 "),
        ("done", "250 by myself"),
    ] {
        // A worker for each, so that what ended workers did has to be kept.
        let mut client = server.connect();
        client.expect("HELO there", "250");
        let said = send(&mut client, what);
        assert!(said.starts_with(reply), "{what}: {said}");
        client.expect("QUIT", "221");
        client.rest();
    }
    for (outcome, number) in [
        ("queued", 2),
        ("deferred", 1),
        ("refused", 2),
        ("none", 2),
        ("done", 1),
    ] {
        until(outcome, || counted(address, outcome) == Some(number));
    }
}
