//! What was refused, by whom, and what the exit status says; also of sessions that end in other ways.

use serde_json::{Value, json};

use crate::played::{Played, play, site_with, typed};

const WHOLE: [&str; 6] = [
    "--from",
    "a@b.example",
    "--rcpt",
    "c@example.org",
    "--message",
    "-",
];

/// One mail against a plugin of these hooks.
fn whole(plugin: &str) -> Played {
    typed(&site_with(plugin), &WHOLE, "Subject: x\n\nhi\n")
}

/// The refusal, where there is one and the exit status says so.
fn refusal(played: &Played) -> Value {
    assert_eq!(played.status, Some(1), "{played:?}");
    let refusals = played.summary()["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals[0].clone()
}

fn by(hook: &str, verdict: &str, command: Option<&str>, reply: &str) -> Value {
    json!({
        "by": { "hook": hook, "plugin": "own", "verdict": verdict }, "command": command, "reply": reply,
    })
}

#[test]
fn a_mail_that_nobody_refuses_is_accepted() {
    let played = whole("sub hook_mail { DECLINED }");
    assert_eq!(played.status, Some(0));
    assert_eq!(played.summary()["accepted"], true);
    assert_eq!(played.summary()["would_go_to"], json!(["taker"]));
}

#[test]
fn a_refusal_names_plugin_hook_and_reply_at_each_stage() {
    for (plugin, refused) in [
        (
            "sub hook_connect { (DENY, 'no') }",
            by("connect", "DENY", None, "550 no"),
        ),
        (
            "sub register { $_[0]->register_hook('pre-connection', 'x') } sub x { (DENYSOFT, 'no') }",
            by("pre-connection", "DENYSOFT", None, "451 no"),
        ),
        (
            "sub hook_ehlo { (DENYSOFT, 'no') }",
            by("ehlo", "DENYSOFT", Some("EHLO [127.0.0.1]"), "450 no"),
        ),
        (
            "sub hook_mail { (DENY, 'no') }",
            by("mail", "DENY", Some("MAIL FROM:<a@b.example>"), "550 no"),
        ),
        (
            "sub hook_rcpt { (DENY_DISCONNECT, 'no') }",
            by(
                "rcpt",
                "DENY_DISCONNECT",
                Some("RCPT TO:<c@example.org>"),
                "550 no",
            ),
        ),
        (
            "sub hook_data { (DENY, 'no') }",
            by("data", "DENY", Some("DATA"), "554 no"),
        ),
        (
            "sub hook_data_post { (DENYSOFT, 'no') }",
            by("data_post", "DENYSOFT", Some("(the message)"), "452 no"),
        ),
    ] {
        assert_eq!(refusal(&whole(plugin)), refused, "{plugin}");
    }
}

#[test]
fn one_recipient_of_two_that_is_refused_is_told_and_the_mail_goes_on() {
    let site = site_with("sub hook_rcpt { $_[2]->user eq 'bad' ? (DENY, 'no') : OK }");
    let more = [&WHOLE[..], &["--rcpt", "bad@example.org"]].concat();
    let played = typed(&site, &more, "Subject: x\n\nhi\n");
    let refused = by("rcpt", "DENY", Some("RCPT TO:<bad@example.org>"), "550 no");
    assert_eq!(refusal(&played), refused);
    assert_eq!(played.summary()["messages"], 1);
}

#[test]
fn what_the_server_refuses_is_no_plugin_s() {
    let site = site_with("sub hook_mail { DECLINED }");
    let played = typed(&site, &[], "MAIL FROM:<a@b.example>\n");
    let refused = refusal(&played);
    assert_eq!(refused.get("by"), None);
    assert!(
        refused["reply"].as_str().unwrap().starts_with("503 "),
        "{refused}"
    );
}

#[test]
fn a_plugin_that_dies_is_told_and_the_mail_goes_on() {
    let played = whole("sub hook_rcpt { die \"no database\\n\" }");
    assert_eq!(played.status, Some(0));
    let call = played.all("plugin").next().unwrap();
    assert_eq!(
        (&call["verdict"], &call["text"]),
        (&"died".into(), &"no database".into())
    );
    assert_eq!(
        played.summary()["failures"],
        json!([{ "hook": "rcpt", "plugin": "own", "verdict": "died" }])
    );
}

#[test]
fn a_plugin_that_calls_exit_has_ended_the_session() {
    let played = whole("sub hook_mail { exit 3 }");
    let refused = json!({
        "by": { "hook": "mail", "plugin": "own", "verdict": "exited" },
        "command": "MAIL FROM:<a@b.example>", "reply": null,
    });
    assert_eq!(refusal(&played), refused);
}

#[test]
fn a_process_that_is_killed_ends_the_trial() {
    let played = whole("sub hook_mail { kill 9, $$; sleep 1 }");
    assert_eq!(refusal(&played)["reply"], Value::Null);
}

#[test]
fn done_with_a_reply_goes_on_and_without_one_the_client_would_wait() {
    let played = typed(
        &site_with("sub hook_noop { $_[0]->qp->respond(250, 'all is well'); return DONE }"),
        &[],
        "NOOP\nQUIT\n",
    );
    assert_eq!(played.reply_to("NOOP"), ["250 all is well"]);
    assert_eq!(played.status, Some(0));
    let played = typed(
        &site_with("sub hook_noop { return DONE }"),
        &[],
        "NOOP\nQUIT\n",
    );
    let refused = refusal(&played);
    assert_eq!(
        (&refused["by"]["verdict"], &refused["reply"]),
        (&"DONE".into(), &Value::Null)
    );
    assert!(played.reply_to("QUIT")[0].starts_with("221"));
}

#[test]
fn a_plugin_that_takes_the_message_from_the_client_itself_gets_it() {
    let played = whole(
        "sub hook_data { my $self = shift; my $count = 0; $self->qp->respond(354, 'say it'); \
         while (<STDIN>) { last if /^\\.\\r?$/; $count++ } \
         $self->qp->respond(250, \"$count lines\"); return DONE }",
    );
    assert_eq!(played.reply_to("(the message)"), ["250 3 lines"]);
    assert!(played.reply_to("QUIT")[0].starts_with("221"));
    assert_eq!(played.status, Some(0));
}

#[test]
fn the_end_of_a_pipe_is_the_client_s_end_also_within_a_message() {
    let site = site_with("sub hook_disconnect { $_[0]->connection->notes('over', 1); DECLINED }");
    let played = typed(&site, &[], "EHLO x\n");
    assert_eq!(played.status, Some(0));
    assert_eq!(
        played.changes("own", "disconnect"),
        ["added connection note over 1"]
    );
    let half = "EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<c@example.org>\nDATA\nSubject: half\n";
    let played = typed(&site, &[], half);
    assert_eq!(refusal(&played)["reply"], "451 Incomplete DATA");
}

#[test]
fn a_large_message_and_many_lines_of_the_log_come_through() {
    let site = site_with(
        "sub hook_data_headers_end { my $s = shift; $s->log(LOGNOTICE, 'x' x 1000) for 1 .. 500; DECLINED }",
    );
    let message = format!(
        "Subject: large\n\n{}",
        "a line of some length, again and again\n".repeat(50_000)
    );
    let played = typed(&site, &WHOLE, &message);
    assert_eq!(played.status, Some(0));
    assert!(
        played.all("message").next().unwrap()["bytes"]
            .as_u64()
            .unwrap()
            > 1_900_000
    );
}

#[test]
fn a_refusal_within_the_message_ends_it() {
    let site = site_with("sub hook_data_headers_end { (DENY_DISCONNECT, 'no more') }");
    let message = format!("Subject: large\n\n{}", "a line\n".repeat(300_000));
    let played = typed(&site, &WHOLE, &message);
    let refused = by(
        "data_headers_end",
        "DENY_DISCONNECT",
        Some("(the message)"),
        "554 no more",
    );
    assert_eq!(refusal(&played), refused);
}

#[test]
fn a_sender_that_is_refused_has_no_recipients_asked_for() {
    let played = play(
        &site_with("sub hook_mail { (DENY, 'no') }"),
        &["--from", "a@b.example", "--rcpt", "c@example.org"],
    );
    assert_eq!(played.calls(), ["mail own DENY"]);
    assert!(played.reply_to("QUIT")[0].starts_with("221"));
}
