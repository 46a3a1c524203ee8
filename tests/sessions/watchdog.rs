//! Plugin calls that take too long are ended; the client gets a reply, and the next client a
//! worker.

use crate::server::{Client, RUNNER, Server, until};

/// Does in the hook of MAIL what the sender's name says, most of which never ends.
const STUCK: &str = r#"
    use POSIX ();
    sub hook_mail {
        my ($self, $transaction, $sender) = @_;
        my $does = $self->can('do_' . $sender->user) or return DECLINED;
        return $does->($self);
    }
    sub do_loop { my $n = 0; while (1) { $n++ } }
    sub do_sleep { sleep 1000; return (DENY, 'slept') }
    sub do_read { pipe my $r, my $w; my $got = <$r>; return (DENY, 'read') }
    sub do_wait { my $pid = fork // die; if (!$pid) { exec 'sleep', 15 } waitpid $pid, 0;
        return (DENY, 'waited') }
    sub do_catch { while (1) { eval { while (1) { eval { sleep 1000; 1 } } } } }
    sub do_handle { local $SIG{__DIE__} = sub { 1 while 1 }; while (1) { eval { 1 while 1 } } }
    sub do_recurse { no warnings; my $f; $f = sub { eval { $f->() if @_ < 5 } while 1 }; $f->() }
    sub do_nested { my $self = shift; $self->qp->run_hooks('noop'); return (DENY, 'nested') }
    sub hook_noop { my $self = shift; while (1) { eval { sleep 1000 } } }
    sub do_between { my $self = shift; while (1) { eval { $self->qp->config('me') } } }
    sub do_block { my $all = POSIX::SigSet->new; $all->fillset;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all); sleep 1000; return (DENY, 'slept') }
"#;

fn stuck(limit: &str) -> Server {
    Server::start_configured(
        &[RUNNER, ("stuck", STUCK)],
        // What recurses without end takes a gigabyte in less than its time on some machines.
        &[
            "--workers",
            "1",
            "--spare-workers",
            "0",
            "--worker-memory-max",
            "0",
        ],
        &[],
        &[("plugin_settings", &format!("stuck timeout {limit}\n"))],
    )
}

/// The reply to MAIL where the plugin does this.
fn ask(client: &mut Client, what: &str) -> String {
    client.expect("HELO there", "250");
    client.say(&format!("MAIL FROM:<{what}@example.org>"))
}

/// The client's worker is one that the next client does not get.
fn is_served_elsewhere(server: &Server, first: &str) {
    let mut next = server.connect();
    assert_ne!(next.worker(), first);
    next.expect("QUIT", "221");
}

#[test]
fn what_takes_too_long_is_interrupted_and_the_session_goes_on() {
    let server = stuck("1");
    for what in [
        "loop", "sleep", "read", "wait", "catch", "handle", "recurse", "between",
    ] {
        let mut client = server.connect();
        let worker = client.worker();
        let before = server.count("was interrupted");
        let reply = ask(&mut client, what);
        assert!(reply.starts_with("450 "), "{what}: {reply}");
        let told = "plugin stuck running the mail hook";
        server.wait_for(&format!("{told} in worker {worker} is not done after"));
        until(what, || server.count("was interrupted") == before + 1);
        assert_eq!(client.run("6 * 7"), "42", "{what}");
        client.expect("QUIT", "221");
        client.rest();
        is_served_elsewhere(&server, &worker);
    }
    assert_eq!(server.count("killing the worker"), 0);
}

#[test]
fn an_interrupt_leaves_the_hooks_that_the_plugin_has_called_too() {
    let server = stuck("1");
    let mut client = server.connect();
    let reply = ask(&mut client, "nested");
    assert!(reply.starts_with("450"), "{reply}");
    assert_eq!(client.run("6 * 7"), "42");
    assert_eq!(server.count("killing the worker"), 0);
    assert_eq!(server.count("FATAL PLUGIN ERROR"), 0);
}

#[test]
fn what_comes_to_no_safe_point_is_killed_and_the_client_gets_a_421() {
    let server = stuck("1");
    let mut client = server.connect();
    let worker = client.worker();
    let reply = ask(&mut client, "block");
    assert!(reply.starts_with("421 "), "{reply}");
    assert_eq!(client.rest(), "");
    let told = format!("plugin stuck running the mail hook in worker {worker}");
    server.wait_for(&format!(
        "{told} is not done after 6 s and does not let itself be"
    ));
    is_served_elsewhere(&server, &worker);
}

#[test]
fn what_takes_too_long_is_interrupted_while_the_service_drains_too() {
    let server = stuck("1");
    let mut client = server.connect();
    server.tell_to_stop();
    server.wait_for("open sessions may go on for 30 seconds");
    let reply = ask(&mut client, "sleep");
    assert!(reply.starts_with("450 "), "{reply}");
    client.expect("QUIT", "221");
}

#[test]
fn zero_is_any_time() {
    let server = stuck("0");
    let mut client = server.connect();
    assert_eq!(client.run("sleep 3; 1"), "1");
    assert_eq!(server.count("interrupting"), 0);
}

/// The reply to MAIL with this setting.
fn reply_where(on_error: &str, what: &str) -> String {
    let text = format!("stuck timeout 1\nstuck on_error {on_error}\n");
    let server = Server::start_configured(
        &[("stuck", STUCK), RUNNER],
        &[],
        &[],
        &[("plugin_settings", &text)],
    );
    let mut client: Client = server.connect();
    ask(&mut client, what)
}

#[test]
fn on_error_says_what_it_means_for_the_session() {
    let skipped = reply_where("skip", "sleep");
    assert!(skipped.starts_with("250 "), "{skipped}");
    let denied = reply_where("deny", "loop");
    assert!(denied.starts_with("550 "), "{denied}");
}

#[test]
fn a_call_that_takes_too_long_while_the_service_stops_is_interrupted_too() {
    let server = stuck("1");
    let mut client = server.connect();
    client.run("'a plugin that runs'");
    server.tell_to_stop();
    server.wait_for("stopping: 1 open sessions");
    let reply = ask(&mut client, "loop");
    assert!(reply.starts_with("450 "), "{reply}");
    client.expect("QUIT", "221");
}
