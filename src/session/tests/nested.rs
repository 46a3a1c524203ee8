use super::*;

/// A session that has come to a certain point, for calls from plugins.
struct Point {
    server: Server,
    state: Rc<State>,
}

/// The point after these lines, with the connection still open.
fn at(mut server: Server, sends: &[&str]) -> Point {
    let state = server.state();
    let mut sends = sends.iter();
    // The machine is left where the client would speak next.
    let mut machine = conversation(state.clone());
    let mut step = machine.start();
    loop {
        let answered = match step {
            Step::Read { to, .. } => match sends.next() {
                Some(line) => {
                    state.input.borrow_mut().push(line.as_bytes());
                    to.give(ReadEvent::Bytes)
                }
                None => return Point { server, state },
            },
            Step::Hook(call, to) => to.give(server.decide(&call, &state)),
            Step::Canonify(path, to) => to.give(Address::canonify(&path)),
            Step::Finished(_) => panic!("the session is over"),
            step => step.unaided(),
        };
        step = machine.resume(answered);
    }
}

impl Point {
    fn call(&mut self, machine: impl FnOnce(Rc<State>) -> Machine) -> Seen {
        let machine = machine(self.state.clone());
        self.server.drive(&self.state, machine, &mut || None)
    }
}

#[test]
fn run_hooks_of_data_post_queues_the_message() {
    let mut point = at(mail_server(), &ENVELOPE[..3]);
    let seen = point.call(|state| run_hooks(state, Hook::DataPost, Vec::new()));
    assert_eq!(seen.last(), ["250 Queued! x"]);
    assert_eq!(
        seen.from("data_post"),
        "data_post queue_pre queue reset_transaction 250 queue_post"
    );
    assert!(matches!(seen.outcome, Outcome::Returned(_)));
    assert!(point.state.transaction.borrow().sender.borrow().is_none());
}

#[test]
fn run_hooks_returns_true_once_the_verdict_was_answered() {
    let server = mail_server().on(Hook::DataPost, Code::Deny, "no");
    let mut point = at(server, &ENVELOPE[..3]);
    let seen = point.call(|state| run_hooks(state, Hook::DataPost, Vec::new()));
    assert_eq!(seen.last(), ["552 no"]);
    let Outcome::Returned(verdict) = seen.outcome else {
        panic!("not returned");
    };
    assert_eq!(verdict.code, Code::Other(b"1".to_vec()));
}

#[test]
fn run_hooks_returns_the_verdict_of_a_hook_that_has_no_reply() {
    let server = mail_server().on(Hook::ReceivedLine, Code::Deny, "no");
    let mut point = at(server, &ENVELOPE[..3]);
    let seen = point.call(|state| run_hooks(state, Hook::ReceivedLine, Vec::new()));
    let Outcome::Returned(verdict) = seen.outcome else {
        panic!("not returned");
    };
    assert_eq!(verdict.code, Code::Deny);
    assert_eq!(verdict.lines(), [b"no".to_vec()]);
}

#[test]
fn run_hooks_with_a_verdict_that_disconnects_does_not_return() {
    let server = mail_server().on(Hook::DataPost, Code::DenyDisconnect, "no");
    let mut point = at(server, &ENVELOPE[..3]);
    let seen = point.call(|state| run_hooks(state, Hook::DataPost, Vec::new()));
    assert!(matches!(seen.outcome, Outcome::Disconnected));
    assert!(
        seen.from("552")
            .ends_with("disconnect reset_transaction post-connection")
    );
    assert!(point.state.disconnected.get());
}

#[test]
fn run_hooks_of_a_hook_without_a_reply_only_runs_it() {
    for hook in [
        Hook::ResetTransaction,
        Hook::Disconnect,
        Hook::PostConnection,
    ] {
        let mut point = at(mail_server(), &ENVELOPE[..3]);
        let seen = point.call(|state| run_hooks(state, hook, Vec::new()));
        assert_eq!(seen.events.len(), 1);
        assert!(point.state.transaction.borrow().sender.borrow().is_some());
    }
}

#[test]
fn run_hooks_of_ehlo_and_rcpt_take_their_arguments() {
    let mut point = at(mail_server(), &[]);
    let args = vec![Arg::from("foo.bar")];
    let seen = point.call(|state| run_hooks(state, Hook::Ehlo, args));
    assert!(seen.last()[0].starts_with("250-mx.example.com Hi"));
    let connection = point.state.connection.borrow();
    assert_eq!(
        connection.hello_host.borrow().as_deref(),
        Some(&b"foo.bar"[..])
    );
}

#[test]
fn every_hook_can_be_run_without_arguments() {
    for hook in Hook::ALL {
        for code in [Code::Ok, Code::Deny, Code::Declined, Code::DenyDisconnect] {
            let mut point = at(server(), &ENVELOPE[..1]);
            let plugin: Plugin = Box::new(move |_, _| Some(verdict(code.clone(), "x")));
            point.server.plugins.push((*hook, plugin));
            let seen = point.call(|state| run_hooks(state, *hook, Vec::new()));
            assert!(!matches!(seen.outcome, Outcome::Closed));
        }
    }
}

#[test]
fn reset_transaction_runs_its_hook_and_begins_anew() {
    let mut point = at(mail_server(), &ENVELOPE[..3]);
    let before = point.state.transaction.borrow().clone();
    let seen = point.call(reset_transaction);
    assert_eq!(seen.from("reset_transaction"), "reset_transaction");
    assert!(!Rc::ptr_eq(&before, &point.state.transaction.borrow()));
}

#[test]
fn disconnect_runs_the_last_hooks_and_does_not_return() {
    let mut point = at(mail_server(), &ENVELOPE[..3]);
    let seen = point.call(disconnect);
    assert!(matches!(seen.outcome, Outcome::Disconnected));
    assert_eq!(
        seen.from("disconnect"),
        "disconnect reset_transaction post-connection"
    );
    // A second time nothing runs.
    assert!(point.call(disconnect).events.is_empty());
}

#[test]
fn dispatch_obeys_a_line_and_command_a_verb() {
    let mut point = at(mail_server(), &ENVELOPE[..2]);
    let seen = point.call(|state| dispatch(state, b"RCPT TO:<x@y>".to_vec()));
    assert_eq!(seen.last(), ["250 <x@y>, recipient ok"]);
    let rest = Some(b"TO:<z@y>".to_vec());
    let seen = point.call(|state| command(state, b"rcpt".to_vec(), rest));
    assert_eq!(seen.last(), ["250 <z@y>, recipient ok"]);
    assert_eq!(
        point.state.transaction.borrow().recipients.borrow().len(),
        2
    );
    let seen = point.call(|state| dispatch(state, b"QUIT".to_vec()));
    assert!(matches!(seen.outcome, Outcome::Disconnected));
}

#[test]
fn a_plugin_may_give_a_verdict_to_a_responder() {
    let mut point = at(mail_server(), &ENVELOPE[..2]);
    let answer = verdict(Code::Deny, "x");
    let seen = point.call(|state| respond_to(state, Hook::Noop, answer, Vec::new()));
    assert_eq!(seen.last(), ["500 x"]);
    assert!(seen.events.len() == 1);
}

#[test]
fn a_command_in_a_nested_call_may_read_from_the_client() {
    let mut point = at(mail_server(), &ENVELOPE[..3]);
    point.state.input.borrow_mut().push(MESSAGE.as_bytes());
    let seen = point.call(|state| dispatch(state, b"DATA".to_vec()));
    assert_eq!(seen.last(), ["354 go ahead", "250 Queued! x"]);
}
