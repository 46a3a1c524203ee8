//! A plugin that fails again and again is not called for some time, in whichever worker.

use camelpost_support::process::ask;

use crate::server::{CAMELPOST, Client, RUNNER, Server, until};

/// Does in the hook of MAIL what the sender's name says; another hook that never fails.
const BAD: &str = r#"
    use POSIX ();
    sub hook_mail {
        my ($self, $transaction, $sender) = @_;
        my $does = $sender->user;
        exit 3 if $does eq 'exit';
        do { kill 'SEGV', readlink('/proc/self') =~ /(.+)/ for 1 .. 2 } if $does eq 'crash';
        POSIX::_exit(4) if $does eq 'leave';
        sleep 1000 if $does eq 'hang';
        die "dead\n" if $does eq 'die';
        $self->qp->disconnect if $does eq 'disconnect';
        return (DENY, 'called') if $does eq 'deny';
        return DECLINED;
    }
    sub hook_helo { return DECLINED }
"#;

fn start(settings: &str, args: &[&str]) -> Server {
    Server::start_configured(
        &[RUNNER, ("bad", BAD)],
        &[&["--workers", "2", "--spare-workers", "1"], args].concat(),
        &[],
        &[("plugin_settings", &format!("bad timeout 1\n{settings}\n"))],
    )
}

/// The reply to MAIL where the plugin does this.
fn reply(server: &Server, what: &str) -> String {
    let mut client: Client = server.connect();
    client.expect("HELO there", "250");
    let reply = client.say(&format!("MAIL FROM:<{what}@example.org>"));
    client.send_as_far_as_it_goes(b"QUIT\r\n");
    client.rest();
    reply
}

const TOLD: &str = "plugin bad has failed 3 times in a row in the mail hook and is in quarantine";

#[test]
fn failures_of_any_kind_in_any_worker_put_a_plugin_out_and_a_reload_ends_that() {
    let dir = tempfile::tempdir().unwrap();
    let control = dir.path().join("control").display().to_string();
    let server = start("bad quarantine 3", &["--control", &control]);
    let status = |how: &str| {
        let output = ask(CAMELPOST, control.as_ref(), &["status", how]);
        String::from_utf8(output.stdout).unwrap()
    };
    let helo = |server: &Server| {
        let mut client = server.connect();
        client.expect("HELO there", "450")
    };
    // A success in between begins the count anew; dying and an end in order do not count.
    for what in ["exit", "crash", "other"] {
        reply(&server, what);
    }
    for what in ["leave", "die", "disconnect", "hang"] {
        reply(&server, what);
    }
    assert!(reply(&server, "deny").starts_with("550 "));
    for what in ["crash", "exit", "hang"] {
        reply(&server, what);
    }
    let told = server.wait_for(TOLD);
    assert!(told.contains("until a reload"), "{told}");
    helo(&server);
    let out = status("--plugins");
    let line = "quarantine  bad is not called until a reload: it failed 3 times in a row in mail";
    assert!(out.contains(line), "{out}");
    let out = status("--json");
    let quarantined = r#""quarantined":[{"generation":1,"plugin":"bad","hook":"mail","failures":3,"seconds_left":null}]"#;
    assert!(
        out.contains(quarantined) && out.contains(r#""quarantines":1"#),
        "{out}"
    );
    assert_eq!(server.count("is in quarantine until"), 1);
    server.reload();
    until("the old generation is gone", || {
        status("--json").contains(r#""quarantined":[]"#)
    });
    assert!(reply(&server, "deny").starts_with("550 "));
}

#[test]
fn on_error_stands_in_for_a_plugin_in_quarantine_until_its_time_is_over() {
    let server = start("bad quarantine 1 2\nbad on_error skip", &[]);
    reply(&server, "crash");
    server.wait_for("plugin bad has failed 1 times in a row in the mail hook");
    assert!(reply(&server, "deny").starts_with("250 "));
    server.wait_for("plugin bad is in quarantine, the mail hook goes on without it");
    until("the plugin is called again", || {
        reply(&server, "deny").starts_with("550 ")
    });
    server.wait_for("plugin bad is out of quarantine and is called again");
}
