//! Plugins in their session: the order of the chain, what they may call.

use crate::server::{RUNNER, Server, TAKER, line};

#[test]
fn a_native_plugin_stands_between_perl_plugins_and_shares_their_notes() {
    let first = (
        "first",
        "sub hook_rcpt { my ($self, $t) = @_; \
           $self->connection->notes(client_class => 'relay'); \
           my $seen = $t->notes('recipient_count'); \
           $t->notes(order => ($t->notes('order') || '') . 'first:' . ($seen || 0) . ' '); \
           return DECLINED }",
    );
    let last = (
        "last",
        "sub hook_rcpt { my ($self, $t) = @_; \
           $t->notes(order => $t->notes('order') . 'last:' . $t->notes('recipient_count') . ' '); \
           return (DENY, $t->notes('order')) if $t->notes('recipient_count') == 3; return OK }",
    );
    let between = line("native/count_recipients max 1");
    let server = Server::start(&[first, between, last]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    // The native plugin's limit is for clients that the first plugin has not marked.
    client.expect("RCPT TO:<c@mx.example>", "250");
    let reply = client.expect("RCPT TO:<d@mx.example>", "550");
    assert!(
        reply.contains("first:0 last:1 first:1 last:2 first:2 last:3"),
        "{reply}"
    );

    let server = Server::start(&[between, last]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    let reply = client.expect("RCPT TO:<c@mx.example>", "45");
    assert!(reply.contains("too many recipients"), "{reply}");
}

#[test]
fn respond_keeps_its_place_among_pipelined_replies() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    client.send(
        b"NOOP\r\nRUN $qp->respond(251, 'one'); $qp->respond(252, 'two'); 'three'\r\nNOOP\r\n\
          RUN print \"253 printed\\r\\n\"; 'four'\r\nNOOP\r\nQUIT\r\n",
    );
    let codes: Vec<String> = client
        .rest()
        .lines()
        .map(|line| line[..3].to_owned())
        .collect();
    assert_eq!(
        codes,
        [
            "250", "251", "252", "250", "250", "253", "250", "250", "221"
        ]
    );
}

#[test]
fn a_hook_reads_the_clients_next_lines_from_stdin_and_the_rest_is_taken_back() {
    let server = Server::start(&[RUNNER]);
    let mut client = server.connect();
    client.send(
        b"RUN my $line = <STDIN>; $line =~ s/\\s+$//; $line\r\nhello there\r\nNOOP\r\n\
          RUN my @l = (scalar <STDIN>, $qp->getline(5)); tr/\\r\\n//d for @l; \"@l\"\r\none\r\ntwo\r\nHELP\r\n",
    );
    assert_eq!(client.reply(), "250 hello there");
    assert!(client.reply().starts_with("250"));
    assert_eq!(client.reply(), "250 one two");
    assert!(client.reply().starts_with("214"));
    // What has not come yet is waited for.
    client.send(b"RUN my $line = <STDIN>; $line =~ s/\\s+$//; $line\r\n");
    client.send(b"late\r\nNOOP\r\n");
    assert_eq!(client.reply(), "250 late");
    assert!(client.reply().starts_with("250"));
}

#[test]
fn run_hooks_data_post_from_an_unrecognized_command_queues() {
    let server = Server::start(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    client.send(
        b"RUN $transaction->body_write(\"Subject: x\\n\\nbody\\n\"); $qp->run_hooks('data_post'); 'after'\r\n",
    );
    let queued = client.reply();
    assert!(
        queued.starts_with("250 ") && queued.contains("Taken"),
        "{queued}"
    );
    assert_eq!(client.reply(), "250 after");
    assert_eq!(
        client.run("defined $qp->transaction->sender ? 'left' : 'reset'"),
        "reset"
    );
}

#[test]
fn reset_transaction_from_a_hook_begins_a_new_one() {
    let server = Server::start(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    let seen = client.run(
        "my $old = $qp->transaction; my $new = $qp->reset_transaction; \
         join ' ', $old->sender, defined $new->sender ? 1 : 0, $new == $qp->transaction ? 1 : 0",
    );
    assert_eq!(seen, "<a@client.example> 0 1");
    client.expect("RCPT TO:<b@mx.example>", "503");
}

#[test]
fn hooks_run_within_hooks_as_deep_as_the_stack_goes() {
    let deep = (
        "deep",
        "sub hook_received_line { my ($self, $t, $left) = @_; $self->{depth}++; \
           return DECLINED if !$left; no warnings 'recursion'; \
           return $self->qp->run_hooks('received_line', $left - 1) } \
         sub hook_noop { my $self = shift; my ($left) = $self->{depth} = 0; no warnings; \
           $self->qp->run_hooks('received_line', $main::deep); \
           $self->qp->respond(250, $self->{depth}); return DONE }",
    );
    let server = Server::start(&[deep, RUNNER]);
    let mut client = server.connect();
    client.run("$main::deep = 200");
    assert_eq!(client.say("NOOP"), "250 201");
    client.run("$main::deep = 1_000_000");
    let reply = client.expect("NOOP", "250");
    let depth: u32 = reply[4..].parse().unwrap();
    assert!((201..1_000_000).contains(&depth), "{depth}");
    server.wait_for("nested too deeply");
    client.run("$main::deep = 200");
    assert_eq!(client.say("NOOP"), "250 201");
}

#[test]
fn a_config_hook_answers_before_the_file() {
    let config = (
        "config_hook",
        "sub hook_config { my ($self, $t, $name) = @_; \
           return (OK, 'from the hook', 'second') if $name eq 'me' || $name eq 'mine'; return DECLINED }",
    );
    let server = Server::start(&[RUNNER, config]);
    let mut client = server.connect();
    assert_eq!(client.run("scalar $qp->config('me')"), "from the hook");
    assert_eq!(
        client.run("join ',', $qp->config('mine')"),
        "from the hook,second"
    );
    assert_eq!(client.run("scalar $qp->config('size_threshold')"), "1000");
}

#[test]
fn methods_work_on_the_sessions_own_objects() {
    let server = Server::start(&[RUNNER, TAKER]);
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    let seen = client.run(
        "join ' ', $qp->connection->remote_ip, $qp->connection->hello, $transaction->sender, \
         map { $_->host } $transaction->recipients",
    );
    assert_eq!(seen, "127.0.0.1 helo <a@client.example> mx.example");
    assert_eq!(client.run("$ENV{TCPREMOTEIP}"), "127.0.0.1");
}

/// A directory of modules that die when they are loaded is the first of `module_dirs`: the modules of the
/// original, of which a real one is also where perl looks, are never loaded.
#[test]
fn the_originals_modules_are_never_loaded() {
    let poison = tempfile::tempdir().unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("perl");
    let mut names = vec![
        "Qpsmtpd/SMTP/Prefork.pm".to_owned(),
        "Qpsmtpd/TcpServer/Prefork.pm".to_owned(),
        "Qpsmtpd/PollServer.pm".to_owned(),
        "Qpsmtpd/ConfigServer.pm".to_owned(),
        "Qpsmtpd/Plugin/Async/DNSBLBase.pm".to_owned(),
    ];
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Some(name) = path.strip_prefix(&root).unwrap().to_str() {
                names.push(name.to_owned());
            }
        }
    }
    for name in &names {
        let path = poison.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "die 'a module of the original was loaded';").unwrap();
    }
    let uses = format!(
        "use lib '{}'; use Qpsmtpd::DSN; use Qpsmtpd::Auth; use Qpsmtpd::Address; \
         use Qpsmtpd::Command; use Qpsmtpd::Utils; use Qpsmtpd::Base; use Qpsmtpd::Connection; \
         use Qpsmtpd::DB; sub hook_noop {{ return DECLINED }}",
        poison.path().display()
    );
    let more = (
        "uses_more",
        "use Qpsmtpd::Postfix; use Qpsmtpd::DB::File::DBM; sub hook_noop { return DECLINED }",
    );
    let module_dirs = poison.path().to_str().unwrap();
    let server = Server::start_configured(
        &[("uses", &uses), more, RUNNER, TAKER],
        &[],
        &[],
        &[("module_dirs", module_dirs)],
    );
    let mut client = server.connect();
    client.expect("HELO client.example", "250");
    client.expect("MAIL FROM:<a@client.example>", "250");
    client.expect("RCPT TO:<b@mx.example>", "250");
    client.expect("DATA", "354");
    client.expect("Subject: x\r\n\r\nx\r\n.", "250");
    let seen = client.run("scalar grep { /^Qpsmtpd/ } keys %INC");
    assert!(seen.parse::<u32>().unwrap() >= 15, "{seen}");
    let others = "grep { /^Qpsmtpd/ && $INC{$_} !~ m{^perl/} } keys %INC";
    assert_eq!(client.run(others), "nothing");
    for name in &names[..3] {
        let refused = format!("require '{name}'; 'loaded'");
        let said = client.run(&refused);
        assert!(said.contains("is part of the original"), "{name}: {said}");
    }
}
