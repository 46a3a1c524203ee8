//! What sessions refuse is counted by the stage at which they do: whoever refuses, plugin or core.

use camelpost_support::process::ask;
use serde_json::Value;

use crate::server::{CAMELPOST, Client, Server, until};

/// Refuses where the client's words say so.
const REFUSER: &str = r#"
    sub hook_connect {
        my $self = shift;
        my $file = $self->qp->config('refuse_connect');
        return $file ? (DENYSOFT_DISCONNECT, 'later') : DECLINED;
    }
    sub hook_helo { $_[2] eq 'bad' ? (DENY, 'no') : DECLINED }
    sub hook_mail { $_[2]->user eq 'bad' ? (DENY, 'no') : DECLINED }
    sub hook_rcpt {
        my $user = $_[2]->user;
        $user eq 'bad' ? (DENY, 'no') : $user eq 'soft' ? (DENYSOFT, 'later') : OK
    }
    sub hook_data_post { $_[1]->body_as_string =~ /bad/ ? (DENY, 'no') : DECLINED }
    sub hook_queue { $_[1]->body_as_string =~ /soft/ ? (DENYSOFT, 'later') : (OK, 'taken') }
    sub hook_vrfy { $_[0]->qp->respond(550, 'by myself'); DONE }
"#;

fn message(client: &mut Client, text: &str, code: &str) {
    client.expect("MAIL FROM:<good@example.org>", "250");
    client.expect("RCPT TO:<soft@example.org>", "450");
    client.expect("RCPT TO:<good@example.org>", "250");
    client.expect("DATA", "354");
    client.expect(&format!("Subject: x\r\n\r\n{text}\r\n."), code);
}

#[test]
fn refusals_are_counted_at_the_stage_of_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control").display().to_string();
    let server = Server::start_with(&[("refuser", REFUSER)], &["--control", &control], &[]);
    let mut client = server.connect();
    client.expect("HELO bad", "550");
    client.expect("MAIL FROM:<good@example.org>", "503");
    client.expect("HELO good", "250");
    client.expect("MAIL FROM:<bad@example.org>", "550");
    message(&mut client, "bad", "552");
    message(&mut client, "soft", "452");
    message(&mut client, "good", "250");
    client.expect("VRFY someone", "550 by myself");
    client.expect("WHAT", "500");
    client.expect("QUIT", "221");
    server.config("refuse_connect", "1\n");
    server.reload();
    let mut refused = server.connect_silently();
    assert!(refused.reply().starts_with("450 "));
    let refusals = || {
        let output = ask(CAMELPOST, control.as_ref(), &["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let stages = status["refusals"].as_array().unwrap().clone();
        let stages = stages.iter().map(|one| {
            let [stage, temporary, permanent] =
                ["stage", "temporary", "permanent"].map(|field| one[field].clone());
            format!("{} {temporary} {permanent}", stage.as_str().unwrap())
        });
        stages.collect::<Vec<_>>()
    };
    let expected = [
        "connect 1 0",
        "helo 0 1",
        "auth 0 0",
        "mail 0 1",
        "rcpt 3 0",
        "data 0 1",
        "queue 1 0",
        // Before HELO no hook runs for MAIL.
        "other 0 3",
    ];
    until("all are counted", || refusals() == expected);
}
