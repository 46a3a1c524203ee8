//! The wire form as strictly as the settings say, over a socket: with an interpreter and without.

use crate::server::{Server, line};

/// Takes every recipient and every message, and waits at DATA until the client has sent more.
const WAITS: (&str, &str) = (
    "waits",
    "sub hook_rcpt { OK } sub hook_queue { (OK, 'taken') }
     sub hook_data {
         my ($self) = @_;
         return DECLINED unless $self->qp->connection->hello_host eq 'waits';
         my $in = ''; vec($in, 0, 1) = 1;
         select($in, undef, undef, 20);
         return DECLINED;
     }",
);

/// Waits for the client before the greeting.
const GREETS_LATE: (&str, &str) = (
    "greets_late",
    "sub hook_connect { my $in = ''; vec($in, 0, 1) = 1; select($in, undef, undef, 20); DECLINED }",
);

/// Logs through Perl, into a file.
const LOGS: (&str, &str) = (
    "logs",
    "sub hook_logging { my ($self, $t, $level, $hook, $plugin, @text) = @_;
       open my $out, '>>', 'told' or die; print $out qq{@text\\n}; close $out; DECLINED }",
);

const NATIVE: &str = "native/count_recipients max 50";

fn start(plugins: &[(&str, &str)], settings: &[(&str, &str)]) -> Server {
    Server::start_configured(plugins, &[], &[], settings)
}

/// Servers with an interpreter and without.
fn both(settings: &[(&str, &str)]) -> [Server; 2] {
    [start(&[WAITS], settings), start(&[line(NATIVE)], settings)]
}

#[test]
fn bare_line_ends_are_what_the_setting_says() {
    for (policy, lf, cr) in [
        ("normalize\n", "250", "501"),
        ("reject\n", "521", "521"),
        ("original\n", "250", "250"),
    ] {
        for server in both(&[("bare_line_ends", policy)]) {
            let mut client = server.connect();
            client.send(b"NOOP\n");
            assert_eq!(&client.reply()[..3], lf, "{policy}");
            let mut client = server.connect();
            client.send(b"NOOP a\rb\r\n");
            assert_eq!(&client.reply()[..3], cr, "{policy}");
            assert!(policy != "reject\n" || client.is_closed());
        }
    }
}

#[test]
fn commands_in_one_write_that_must_not_be_are_rejected() {
    for server in both(&[("unauth_pipelining", "reject\n")]) {
        let mut client = server.connect();
        client.send(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n");
        let reply = client.reply();
        assert!(
            reply.starts_with("554 SMTP synchronization error"),
            "{reply}"
        );
        assert!(client.is_closed());
        server.wait_for("the client does not wait for the reply to EHLO");
    }
}

#[test]
fn what_comes_while_plugins_decide_is_seen_before_the_greeting_and_before_354() {
    let settings = [("unauth_pipelining", "reject\n")];
    let server = start(&[GREETS_LATE, WAITS], &settings);
    let mut client = server.connect_silently();
    client.send(b"EHLO x\r\n");
    let reply = client.reply();
    assert_eq!(
        reply,
        "554 SMTP synchronization error: wait for the greeting"
    );
    let server = start(&[WAITS], &settings);
    let mut client = server.connect();
    client.expect("EHLO waits", "250");
    client.expect("MAIL FROM:<a@b.example>", "250");
    client.expect("RCPT TO:<c@d.example>", "250");
    client.send(b"DATA\r\n");
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.send(b"Subject: x\r\n\r\n.\r\n");
    let reply = client.reply();
    assert_eq!(
        reply,
        "554 SMTP synchronization error: wait for the reply to DATA"
    );
    assert!(client.is_closed());
}

#[test]
fn a_plugin_s_reply_and_respond_are_in_the_form_of_the_setting() {
    let says = (
        "says",
        "sub hook_noop { my ($self) = @_; $self->qp->respond(450, qq{\\xfc\\x07\\r\\n250 x}); return DONE }
         sub hook_vrfy { return (DENY, qq{\\xc3\\xbc\\x07}) }",
    );
    for (setting, noop, vrfy) in [
        (
            "ascii\n",
            &b"450-??\r\n450 250 x\r\n"[..],
            &b"554 ??\r\n"[..],
        ),
        (
            "8bit\n",
            b"450-\xfc?\r\n450 250 x\r\n",
            b"554 \xc3\xbc?\r\n",
        ),
        (
            "original\n",
            b"450-\xfc\x07\r\n450 250 x\r\n",
            b"554 \xc3\xbc\x07\r\n",
        ),
    ] {
        let server = start(&[says, WAITS], &[("reply_text", setting)]);
        let mut client = server.connect();
        client.send(b"NOOP\r\n");
        assert_eq!(client.bytes(noop.len()), noop, "{setting}");
        client.send(b"VRFY\r\n");
        assert_eq!(client.bytes(vrfy.len()), vrfy, "{setting}");
    }
}

#[test]
fn what_a_perl_logging_plugin_gets_has_control_characters_written_out() {
    let server = start(&[LOGS, WAITS], &[]);
    let mut client = server.connect();
    client.send(b"NOOP a\x1b[31mb\r\n");
    client.reply();
    client.expect("QUIT", "221");
    client.rest();
    let told = std::fs::read(server.site.root().join("told")).unwrap();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains(r"dispatching NOOP a\x1b[31mb"), "{told}");
    assert!(!told.contains('\u{1b}'));
}
