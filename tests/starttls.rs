//! The package's `tls` plugin, unchanged, with native/tls in its place as it is without a word, and as it is
//! itself: STARTTLS takes STDIN and STDOUT over then, the session goes on through the plugin's handle. The
//! client is a Perl script with IO::Socket::SSL.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use camelpost_support::process::as_root;
use camelpost_support::{Client, Site, free_port};

const CAMELPOST: &str = env!("CARGO_BIN_EXE_camelpost");

/// A running Camelpost, stopped when dropped.
struct Daemon {
    _daemon: camelpost_support::Daemon,
    port: u16,
    site: Site,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?}: {error}; packaging/install-deps test installs it")
    });
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Leaves a note before the client has TLS and tells it, and the greeting, when asked for help.
const NOTED: &str = r#"
    sub hook_connect { $_[0]->connection->notes(early => 'kept'); return DECLINED }
    sub hook_help {
        my $connection = $_[0]->connection;
        return (OK, join ' ', map { defined $_ ? $_ : 'none' }
            $connection->notes('early'), $connection->hello, $connection->remote_ip);
    }
"#;

/// What plugin_settings says for native/tls, and for the package's plugin.
const WAYS: [&str; 2] = ["", "tls perl\n"];

fn daemon(way: &str) -> Daemon {
    started(way, |root, port| {
        let mut command = Command::new(CAMELPOST);
        command.args(["serve", "--no-rdns", "--listen-address", "127.0.0.1"]);
        command
            .args(["--port", port, "--config"])
            .arg(root.join("config"));
        as_root(&mut command);
        command
    })
}

/// The same without the daemon: for each client a process that tcpserver starts.
fn under_tcpserver(way: &str) -> Daemon {
    started(way, |root, port| {
        let mut command = Command::new("tcpserver");
        command.args(["-H", "-R", "-l", "mx.example", "127.0.0.1", port]);
        command
            .arg(CAMELPOST)
            .args(["inetd", "--config"])
            .arg(root.join("config"));
        command
    })
}

fn started(way: &str, command: impl Fn(&Path, &str) -> Command) -> Daemon {
    let site = Site::empty();
    site.config("plugin_settings", way).config(
        "plugins",
        "tls @ROOT@/cert.pem @ROOT@/key.pem @ROOT@/cert.pem\nnoted\nrcpt_ok\nqueue/maildir @ROOT@/Maildir\n",
    )
    .config(
        "plugin_dirs",
        "@ROOT@/plugins\n/usr/share/qpsmtpd/plugins\n",
    )
    .config("rcpthosts", "example.com\n")
    .config("me", "mx.example\n")
    .config("spool_dir", "@ROOT@/spool\n");
    site.put("plugins/noted", NOTED);
    begun(site, command)
}

/// With what is in its directory.
fn begun(site: Site, command: impl Fn(&Path, &str) -> Command) -> Daemon {
    let root = site.root();
    run(Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=mx.example"])
        .arg("-keyout")
        .arg(root.join("key.pem"))
        .arg("-out")
        .arg(root.join("cert.pem")));
    let port = free_port();
    let daemon = camelpost_support::Daemon::spawn(command(root, &port.to_string()));
    // Reads as far as the greeting, so that it listens.
    assert!(Client::when_ready(port).reply().starts_with("220 "));
    Daemon {
        _daemon: daemon,
        port,
        site,
    }
}

/// What the client prints when it sends `starttls` before the handshake and `commands` after it.
fn conversation(daemon: &Daemon, starttls: &str, commands: &str) -> String {
    const CLIENT: &str = r#"
        use strict;
        use IO::Socket::SSL;
        my ($port, $starttls, @commands) = @ARGV;
        alarm 20;
        my $client = IO::Socket::INET->new("127.0.0.1:$port") or die "connect: $!";
        my $reply = sub {
            while (defined(my $line = <$client>)) { print $line; last if $line =~ /^\d\d\d / }
        };
        $reply->();
        print $client "EHLO client.example\r\n";
        $reply->();
        $starttls =~ s/\\r\\n/\r\n/g;
        print $client $starttls;
        $reply->();
        IO::Socket::SSL->start_SSL($client, SSL_verify_mode => 0) or die "TLS: $SSL_ERROR";
        for my $command (@commands) {
            $command =~ s/\\r\\n/\r\n/g;
            print $client "$command\r\n";
            $reply->();
        }
    "#;
    let mut command = Command::new("perl");
    command
        .args(["-e", CLIENT, &daemon.port.to_string(), starttls])
        .args(commands.split('|'));
    String::from_utf8(run(&mut command).stdout).unwrap()
}

#[test]
fn a_message_over_starttls_is_delivered_and_says_so() {
    for way in WAYS {
        for daemon in [daemon(way), under_tcpserver(way)] {
            a_message_is_delivered(&daemon);
        }
    }
}

fn a_message_is_delivered(daemon: &Daemon) {
    let said = conversation(
        daemon,
        "STARTTLS\\r\\n",
        "EHLO client.example|MAIL FROM:<a@b.example>|RCPT TO:<c@example.com>|DATA|\
         Subject: x\\r\\n\\r\\nsecret\\r\\n.|QUIT",
    );
    assert!(
        said.contains("250-STARTTLS") || said.contains("250 STARTTLS"),
        "{said}"
    );
    assert_eq!(
        said.matches("STARTTLS").count(),
        1,
        "not offered again: {said}"
    );
    assert!(
        said.contains("250 Queued!") && said.contains("221 "),
        "{said}"
    );
    let new = daemon.site.path("Maildir/new");
    let message = fs::read_dir(new).unwrap().next().unwrap().unwrap().path();
    let message = fs::read_to_string(message).unwrap();
    assert!(
        message.contains("secret")
            && message.contains("with ESMTPS (")
            && message.contains(" encrypted) id "),
        "{message}"
    );
}

#[test]
fn notes_of_the_connection_survive_starttls_and_the_greeting_does_not() {
    for way in WAYS {
        let said = conversation(&daemon(way), "STARTTLS\\r\\n", "HELP|EHLO again|HELP|QUIT");
        assert!(said.contains("214 kept none 127.0.0.1"), "{said}");
        assert!(said.contains("214 kept ehlo 127.0.0.1"), "{said}");
    }
}

#[test]
fn commands_sent_in_clear_before_the_handshake_are_not_executed_after_it() {
    for way in WAYS {
        let daemon = daemon(way);
        let said = conversation(&daemon, "STARTTLS\\r\\nVRFY smuggled\\r\\n", "NOOP|QUIT");
        assert!(said.contains("220 Go ahead"), "{said}");
        assert!(!said.contains("252 "), "{said}");
        assert!(
            said.ends_with("closing connection. Have a wonderful day.\r\n"),
            "{said}"
        );
    }
}

#[test]
fn sessions_in_clear_go_on_after_one_with_tls() {
    for daemon in WAYS.map(daemon) {
        sessions_go_on(&daemon);
    }
}

fn sessions_go_on(daemon: &Daemon) {
    for _ in 0..3 {
        let said = conversation(daemon, "STARTTLS\\r\\n", "NOOP|QUIT");
        assert!(said.contains("250 OK"), "{said}");
        let mut client = Client::when_ready(daemon.port);
        client.send("NOOP\r\nQUIT\r\n");
        let said = client.try_rest().unwrap();
        assert!(
            said.contains("220 ") && said.contains("250 OK") && said.contains("221 "),
            "{said}"
        );
    }
}

/// Tells the process, and whether system calls are filtered in it.
const WHERE: &str = r#"
    sub hook_help {
        open(my $status, '<', '/proc/self/status') or die $!;
        my ($filtered) = grep { /^Seccomp:/ } <$status>;
        return (OK, 'process', readlink('/proc/self'), $filtered =~ /(\d+)/);
    }
"#;

/// The config directory that ships, with `tls` before its plugins, all beneath a directory that is no temporary
/// one.
fn in_a_sandbox(way: &str) -> Daemon {
    let site = Site::empty_in(Path::new("/var/tmp"));
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in fs::read_dir(repository.join("config")).unwrap().flatten() {
        let text = fs::read(file.path()).unwrap();
        site.config(&file.file_name().display().to_string(), text);
    }
    let shipped = fs::read_to_string(repository.join("config/plugins")).unwrap();
    let maildir = "queue/maildir @ROOT@/Maildir";
    assert!(shipped.contains("queue/maildir Maildir"));
    let plugins = format!(
        "tls @ROOT@/cert.pem @ROOT@/key.pem @ROOT@/cert.pem\nwhere\n{}",
        shipped.replace("queue/maildir Maildir", maildir)
    );
    let shipped = repository.join("compat-plugins");
    let dirs = format!(
        "@ROOT@/plugins\n{}\n/usr/share/qpsmtpd/plugins\n",
        shipped.display()
    );
    site.config("plugins", plugins)
        .config("plugin_settings", way)
        .config("plugin_dirs", dirs)
        .config("spool_dir", "@ROOT@/spool\n")
        .config("sandbox_write", "@ROOT@/Maildir\n");
    site.put("plugins/where", WHERE);
    fs::create_dir(site.path("Maildir")).unwrap();
    begun(site, |root, port| {
        let mut command = Command::new(CAMELPOST);
        command.args(["serve", "--no-rdns", "--listen-address", "127.0.0.1"]);
        command.args(["--sandbox", "landlock,seccomp"]);
        // One worker, which a session with the package's TLS leaves for a process of its own.
        command.args(["--workers", "1", "--spare-workers", "0"]);
        command
            .args(["--port", port, "--config"])
            .arg(root.join("config"));
        as_root(&mut command);
        command
    })
}

#[test]
fn in_a_sandbox_the_plugins_that_ship_deliver_a_message_in_clear_and_over_starttls() {
    let probe = format!(
        "exit(syscall({}, 0, 0, 1) >= 2 ? 0 : 1)",
        libc::SYS_landlock_create_ruleset
    );
    if !Command::new("perl")
        .args(["-e", &probe])
        .status()
        .unwrap()
        .success()
    {
        println!("needs landlock (ABI 2)");
        return;
    }
    for way in WAYS {
        both_are_delivered(way);
    }
}

fn both_are_delivered(way: &str) {
    let daemon = in_a_sandbox(way);
    let message = |text: &str| {
        format!(
            "MAIL FROM:<a@b.example>|RCPT TO:<test@localhost>|DATA|Subject: x\r\n\r\n{text}\r\n.|HELP|QUIT"
        )
    };
    let mut client = Client::when_ready(daemon.port);
    let lines = format!("EHLO c|{}|", message("in clear")).replace('|', "\r\n");
    client.send(lines);
    let plain = client.try_rest().unwrap();
    // Where `HELP` says that it ran.
    let process = |said: &str| -> String {
        let lines: Vec<&str> = said.lines().collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with("214-process"));
        let at = at.unwrap_or_else(|| panic!("{said}"));
        assert_eq!(&lines[at + 2][4..], "2", "{said}");
        lines[at + 1][4..].to_owned()
    };
    // Somebody else is in the worker.
    let mut other = Client::when_ready(daemon.port);
    other.bytes(4);
    let encrypted = conversation(
        &daemon,
        "STARTTLS\\r\\n",
        &format!("EHLO c|{}", message("encrypted").replace("\r\n", "\\r\\n")),
    );
    for said in [&plain, &encrypted] {
        assert!(
            said.contains("250 Queued!") && said.contains("221 "),
            "{said}"
        );
    }
    let stays = process(&plain) == process(&encrypted);
    assert_eq!(stays, way.is_empty(), "{way}");
    let new = fs::read_dir(daemon.site.path("Maildir/new")).unwrap();
    let mut delivered: Vec<String> = new
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    delivered.sort_by_key(|message| message.contains("encrypted"));
    assert_eq!(delivered.len(), 2, "{delivered:?}");
    assert!(delivered[0].contains("in clear"), "{delivered:?}");
    assert!(delivered[1].contains("with ESMTPS ("), "{delivered:?}");
}
