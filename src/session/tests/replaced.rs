use super::*;

impl Server {
    fn method(mut self, name: &'static str, own: impl FnMut(&[Arg]) -> Called + 'static) -> Server {
        self.methods.insert(name, Box::new(own));
        self
    }

    /// A method that does nothing, and returns nothing.
    fn idle(self, name: &'static str) -> Server {
        self.method(name, |_| Called::Returned(Returned::default()))
    }
}

fn text(text: &str) -> Called {
    Called::Returned(Returned {
        first: Some(text.into()),
        verdict: None,
    })
}

#[test]
fn a_command_goes_to_the_method_with_the_rest_of_its_line() {
    let seen = mail_server()
        .idle("mail")
        .talk(&after(1, &["MAIL FROM:<a@b> X\r\n"]));
    assert!(seen.called("$mail(FROM:<a@b> X)"));
    assert_eq!(seen.last(), [""; 0]);
}

#[test]
fn a_responder_gets_code_texts_and_arguments() {
    let server = mail_server().on(Hook::Mail, Code::DenySoft, "one|two");
    let seen = server
        .idle("mail_respond")
        .talk(&after(1, &["MAIL FROM:<a@b> SIZE=1\r\n"]));
    assert!(seen.called("$mail_respond(902, [one, two], [<a@b>, size, 1])"));
    assert_eq!(seen.last(), [""; 0]);
}

#[test]
fn replies_go_to_respond_as_lines() {
    let seen = mail_server().idle("respond").talk(&["EHLO c\r\n"]);
    assert!(
        seen.called("$respond(250, mx.example.com Hi Unknown [192.0.2.1], PIPELINING, 8BITMIME)")
    );
    assert!(seen.replies.iter().all(Vec::is_empty));
}

#[test]
fn hooks_go_to_run_hooks_whose_verdict_counts_where_there_is_no_responder() {
    let server = mail_server().method("run_hooks", |args| match args {
        [Arg::Bytes(name), ..] if name == b"mail_pre" => Called::Returned(Returned {
            first: Some(b"900".to_vec()),
            verdict: Some(verdict(Code::Ok, "<x@y>")),
        }),
        _ => Called::Returned(Returned::default()),
    });
    let seen = server.talk(&["HELO c\r\n"]);
    assert!(seen.called("$run_hooks(connect)") && seen.called("$run_hooks(helo, c)"));
    assert_eq!(seen.count("helo"), 0);
}

#[test]
fn a_method_that_dies_fails_its_command_and_the_session_goes_on() {
    let server = mail_server().method("noop", |_| Called::Died(b"oops".to_vec()));
    let seen = server.talk(&["NOOP\r\n", "RSET\r\n"]);
    assert!(seen.called("$fault(command 'noop' failed unexpectedly)"));
    assert!(seen.log.contains(&(3, "XX: oops".to_owned())));
    assert_eq!(seen.last(), ["250 OK"]);
}

#[test]
fn a_responder_that_dies_fails_the_command_that_led_to_it() {
    let server = mail_server().method("queue_respond", |_| Called::Died(b"oops".to_vec()));
    let seen = server.talk(&after(4, &[MESSAGE, "NOOP\r\n"]));
    assert!(seen.called("$fault(command 'data' failed unexpectedly)"));
    assert_eq!(seen.last(), ["250 OK"]);
}

#[test]
fn a_disconnect_of_one_s_own_lets_the_session_go_on() {
    let seen = mail_server()
        .idle("disconnect")
        .talk(&["QUIT\r\n", "NOOP\r\n"]);
    assert_eq!(seen.last(), ["250 OK"]);
    assert_eq!(seen.count("post-connection"), 1, "when the client closes");
}

#[test]
fn a_message_is_read_through_getline() {
    let mut lines = ["Subject: x\r\n", "\r\n", "b\r\n", ".\r\n"].into_iter();
    let server = mail_server().method("getline", move |_| match lines.next() {
        Some(line) => text(line),
        None => Called::Returned(Returned::default()),
    });
    let seen = server.talk(&after(4, &["NOOP\r\n"]));
    assert!(seen.called("$getline(1200)"));
    assert_eq!(seen.reply(4), "354 go ahead / 250 Queued! x");
    assert_eq!(seen.last(), ["250 OK"]);
}

#[test]
fn the_received_line_of_one_s_own_is_the_header_s_under_100() {
    let server = mail_server()
        .profile(Profile::V100)
        .plugin(Hook::Queue, |_, state| {
            let transaction = state.transaction.borrow().clone();
            let crate::mail::HeaderSlot::Native(header) = &*transaction.header.borrow() else {
                panic!("no header");
            };
            let text = String::from_utf8_lossy(&header.bytes).into_owned();
            assert!(text.contains("Received: mine\n") && text.matches("Received:").count() == 1);
            Some(Verdict::new(Code::Ok))
        });
    let seen = server
        .method("received_line", |_| text("mine"))
        .talk(&after(4, &[MESSAGE]));
    assert_eq!(seen.last(), ["250 Queued! x"]);
}

#[test]
fn where_nothing_is_replaced_no_method_is_called() {
    let seen = mail_server().talk(&after(4, &[MESSAGE, "QUIT\r\n"]));
    assert!(!seen.events.iter().any(|event| event.starts_with('$')));
}

#[test]
fn a_scripted_session_ends_without_post_connection_and_may_go_on() {
    let mut server = mail_server();
    let mut state = server.state();
    let owned = Rc::get_mut(&mut state).expect("nobody else has it");
    owned.is_scripted = true;
    let quit = server.drive(
        &state,
        dispatch(state.clone(), b"QUIT".to_vec()),
        &mut || None,
    );
    assert_eq!(quit.from("quit"), "quit 221 disconnect reset_transaction");
    assert!(state.connection.borrow().notes.is_true(b"disconnected"));
    let noop = server.drive(
        &state,
        dispatch(state.clone(), b"NOOP".to_vec()),
        &mut || None,
    );
    assert_eq!(noop.last(), ["250 OK"]);
}
