use super::*;
use crate::mail::Note;

#[test]
fn the_verdict_of_data_post_decides_whether_the_message_is_queued() {
    for (code, values, reply) in [
        (Code::Ok, "x", "250 Queued! x"),
        (other(), "x", "250 Queued! x"),
        (Code::Deny, "", "552 Message denied"),
        (Code::Deny, "0", "552 Message denied"),
        (Code::Deny, "a|b", "552-a / 552 b"),
        (Code::DenySoft, "", "452 Message denied temporarily"),
        (Code::DenySoft, "x", "452 x"),
    ] {
        let queued = !code.is_denial();
        let seen = mail_server()
            .on(Hook::DataPost, code, values)
            .talk(&after(4, &[MESSAGE, "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(5), reply);
        assert_eq!(seen.reply(6), "503 Use MAIL before RCPT");
        assert_eq!(seen.count("queue"), usize::from(queued));
        if !queued {
            let code = &reply[..3];
            let order = format!("data_post {code} reset_transaction");
            assert!(seen.from("data_post").starts_with(&order));
        }
    }
}

#[test]
fn data_post_with_disconnect_ends_the_session() {
    for (code, reply) in [
        (Code::DenyDisconnect, "552 Message denied"),
        (Code::DenySoftDisconnect, "452 Message denied temporarily"),
    ] {
        let seen = mail_server()
            .on(Hook::DataPost, code, "")
            .talk(&after(4, &[MESSAGE, "NOOP\r\n"]));
        assert_eq!(seen.last(), [reply]);
        assert_eq!(
            seen.from("data_post"),
            format!(
                "data_post {} disconnect reset_transaction post-connection",
                &reply[..3]
            )
        );
    }
}

#[test]
fn done_at_data_post_or_queue_pre_leaves_the_transaction_as_it_is() {
    for hook in [Hook::DataPost, Hook::QueuePre] {
        let seen = mail_server()
            .on(hook, Code::Done, "x")
            .talk(&after(4, &[MESSAGE, "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(5), "");
        assert_eq!(seen.reply(6), "250 <c@d>, recipient ok");
        assert_eq!(seen.count("queue"), 0);
    }
}

#[test]
fn queue_pre_may_refuse_like_queue() {
    for (code, values, reply) in [
        (Code::Ok, "x", "250 Queued! x"),
        (Code::Deny, "", "552 Message denied"),
        (Code::Deny, "x", "552 x"),
        (Code::DenySoft, "", "452 Message denied temporarily"),
        (
            Code::DenyDisconnect,
            "",
            "451 Queuing declined or disabled; try again later",
        ),
        (other(), "x", "451 x"),
    ] {
        let queued = code == Code::Ok;
        let seen = mail_server()
            .on(Hook::QueuePre, code, values)
            .talk(&after(4, &[MESSAGE, "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(5), reply);
        assert_eq!(seen.count("queue"), usize::from(queued));
        assert_eq!(seen.reply(6), "503 Use MAIL before RCPT");
    }
}

#[test]
fn the_verdict_of_queue_is_the_reply_to_the_message() {
    let nobody = "451 Queuing declined or disabled; try again later";
    for (code, values, reply) in [
        (Code::Ok, "", "250 Queued"),
        (Code::Ok, "0", "250 Queued"),
        (Code::Ok, "text", "250 text"),
        (Code::Ok, "a|b", "250-a / 250 b"),
        (Code::Deny, "", "552 Message denied"),
        (Code::Deny, "x", "552 x"),
        (Code::DenySoft, "", "452 Message denied temporarily"),
        (Code::DenySoft, "x", "452 x"),
        (Code::DenyDisconnect, "", nobody),
        (Code::DenyDisconnect, "x", "451 x"),
        (Code::DenySoftDisconnect, "", nobody),
        (Code::Declined, "", nobody),
        (other(), "", nobody),
        (other(), "a|b", "451-a / 451 b"),
    ] {
        let seen = server()
            .on(Hook::Rcpt, Code::Ok, "")
            .on(Hook::Queue, code, values)
            .talk(&after(4, &[MESSAGE, "RCPT TO:<c@d>\r\n"]));
        assert_eq!(seen.reply(5), reply);
        assert_eq!(seen.reply(6), "503 Use MAIL before RCPT");
        let order = format!("queue reset_transaction {} queue_post", &reply[..3]);
        assert!(seen.from("queue").starts_with(&order));
    }
}

#[test]
fn done_at_queue_says_nothing_ends_the_transaction_and_skips_queue_post() {
    let seen = server()
        .on(Hook::Rcpt, Code::Ok, "")
        .on(Hook::Queue, Code::Done, "x")
        .talk(&after(4, &[MESSAGE, "RCPT TO:<c@d>\r\n"]));
    assert_eq!(seen.reply(5), "");
    assert_eq!(seen.reply(6), "503 Use MAIL before RCPT");
    assert!(
        seen.from("queue")
            .starts_with("queue reset_transaction rcpt_parse 503")
    );
    assert_eq!(seen.count("queue_post"), 0);
}

#[test]
fn what_queue_post_says_is_only_logged() {
    for code in EVERY.into_iter().chain([other()]) {
        let logged = code != Code::Ok && code != Code::Declined;
        let seen = server()
            .on(Hook::Rcpt, Code::Ok, "")
            .on(Hook::Queue, Code::Ok, "")
            .on(Hook::QueuePost, code, "hello|you")
            .talk(&after(4, &[MESSAGE, "NOOP\r\n"]));
        assert_eq!(seen.reply(5), "250 Queued");
        assert_eq!(seen.reply(6), "250 OK");
        assert_eq!(seen.logged(3, "hello you"), logged);
    }
}

#[test]
fn queue_post_has_a_fresh_transaction_and_the_reset_the_old_one() {
    let seen = server()
        .on(Hook::Rcpt, Code::Ok, "")
        .on(Hook::Queue, Code::Ok, "Queued! x")
        .doing(Hook::Data, |state| {
            state.transaction.borrow().notes.set(b"x", Note::Int(5));
        })
        .plugin(Hook::ResetTransaction, |_, state| {
            let note = state.transaction.borrow().notes.bytes(b"x");
            assert!(note.is_none() || note == Some(b"5".to_vec()));
            None
        })
        .plugin(Hook::QueuePre, |_, state| {
            assert!(state.transaction.borrow().notes.is_true(b"x"));
            None
        })
        .plugin(Hook::QueuePost, |_, state| {
            let transaction = state.transaction.borrow();
            assert!(transaction.notes.get(b"x").is_none());
            assert!(transaction.recipients.borrow().is_empty());
            None
        })
        .talk(&after(4, &[MESSAGE]));
    assert_eq!(seen.reply(5), "250 Queued! x");
}

#[test]
fn what_became_of_a_message_is_counted_by_the_verdict_that_had_the_last_word() {
    let rows = [
        (Hook::Queue, Code::Ok, QueueOutcome::Queued),
        (Hook::Queue, Code::DenySoft, QueueOutcome::Deferred),
        (
            Hook::Queue,
            Code::DenySoftDisconnect,
            QueueOutcome::Deferred,
        ),
        (Hook::Queue, other(), QueueOutcome::Deferred),
        (Hook::Queue, Code::Deny, QueueOutcome::Refused),
        (Hook::Queue, Code::Declined, QueueOutcome::None),
        (Hook::Queue, Code::Done, QueueOutcome::Done),
        (Hook::QueuePre, Code::DenySoft, QueueOutcome::Deferred),
        (Hook::QueuePre, Code::Deny, QueueOutcome::Refused),
        (Hook::QueuePre, Code::Done, QueueOutcome::Done),
    ];
    for (hook, code, outcome) in rows {
        let seen = server()
            .on(Hook::Rcpt, Code::Ok, "")
            .on(hook, code.clone(), "")
            .talk(&after(4, &[MESSAGE]));
        assert_eq!(seen.queued, [outcome], "{hook:?} {code:?}");
    }
    let seen = mail_server()
        .on(Hook::DataPost, Code::Deny, "")
        .talk(&after(4, &[MESSAGE]));
    assert!(seen.queued.is_empty(), "it never came to the queue");
}
