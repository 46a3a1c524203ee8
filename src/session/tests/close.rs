use super::*;

#[test]
fn a_client_that_closes_gets_its_last_hooks_once() {
    let seen = server().talk(&["EHLO x\r\n"]);
    assert_eq!(
        seen.from("ehlo"),
        "ehlo 250 reset_transaction disconnect post-connection"
    );
    assert!(!seen.logged(6, "click, disconnecting"));
    assert!(matches!(seen.outcome, Outcome::Closed));
}

#[test]
fn a_command_without_its_line_end_counts_when_the_client_closes() {
    let seen = server().talk(&["NOOP\r\nQUIT"]);
    assert_eq!(seen.last().len(), 2);
    assert_eq!(
        seen.from("noop"),
        "noop 250 quit 221 disconnect reset_transaction post-connection"
    );
}

#[test]
fn a_silent_client_is_421_and_gets_its_last_hooks() {
    let seen = server().end(End::Waits).talk(&["EHLO x\r\n"]);
    assert_eq!(seen.last().last(), Some(&"421 Connection Timed Out"));
    assert_eq!(
        seen.from("ehlo"),
        "ehlo 250 421 reset_transaction disconnect post-connection"
    );
}

#[test]
fn under_1_00_disconnect_tells_of_the_transaction_s_end() {
    let seen = server().profile(Profile::V100).talk(&["QUIT\r\n"]);
    assert_eq!(
        seen.from("quit"),
        "quit 221 disconnect reset_transaction post-connection"
    );
    let seen = server().profile(Profile::V100).talk(&["NOOP\r\n"]);
    assert!(
        seen.from("noop")
            .ends_with("reset_transaction disconnect post-connection")
    );
}

#[test]
fn what_is_sent_after_quit_is_not_obeyed() {
    let seen = server().talk(&["QUIT\r\nNOOP\r\n", "NOOP\r\n"]);
    assert_eq!(seen.count("noop"), 0);
    assert_eq!(seen.count("post-connection"), 1);
}
