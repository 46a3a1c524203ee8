//! What ships, under Camelpost: the config directory as `make run` starts it, and each example
//! plugin at its work. And the layout of Debian's /etc/qpsmtpd with the package's plugins.
//! Replies beside the original's are for the dialogues.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A directory as a fresh clone has it after `make run` has made what is missing.
struct Site {
    dir: TempDir,
}

impl Site {
    /// With the config directory that ships.
    fn shipped() -> Site {
        let site = Site::empty();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in fs::read_dir(root.join("config")).expect("config") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            fs::copy(&path, site.path("config").join(name)).expect("a copy");
        }
        symlink(root.join("compat-plugins"), site.path("compat-plugins")).expect("a link");
        site
    }

    /// The same with these lines as config/plugins, and plugins of the test's own.
    fn with_plugins(lines: &str) -> Site {
        let site = Site::shipped();
        fs::create_dir(site.path("own")).expect("a directory");
        site.config("plugin_dirs", "own\ncompat-plugins\n")
            .config("plugins", lines);
        site
    }

    fn empty() -> Site {
        let site = Site {
            dir: tempfile::tempdir().expect("a temporary directory"),
        };
        for name in ["config", "spool", "Maildir"] {
            fs::create_dir(site.path(name)).expect("a directory");
        }
        let private = Permissions::from_mode(0o700);
        fs::set_permissions(site.path("spool"), private).expect("a mode");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, name: &str, text: &str) -> &Site {
        fs::write(self.path("config").join(name), text).expect("a config file");
        self
    }

    fn own(&self, name: &str, text: &str) -> &Site {
        fs::write(self.path("own").join(name), text).expect("a plugin");
        self
    }

    /// Starts the service in the directory and waits until it listens.
    fn start(&self) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_camelpost"));
        command
            .args(["serve", "--config", "config", "--no-rdns"])
            .args(["--listen-address", "127.0.0.1:0", "--workers", "1"])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if geteuid().is_root() {
            command.args(["--user", "root"]);
        }
        Daemon::start(command)
    }

    /// The messages in Maildir/new.
    fn mail(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("Maildir/new")) else {
            return Vec::new();
        };
        entries
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a message"))
            .collect()
    }
}

struct Daemon {
    child: Child,
    log: Receiver<String>,
    lines: Vec<String>,
    address: SocketAddr,
}

impl Daemon {
    fn start(mut command: Command) -> Daemon {
        let mut child = command.spawn().expect("camelpost");
        let stderr = child.stderr.take().expect("its stderr");
        let (lines, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Daemon {
            child,
            log,
            lines: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let line = daemon.wait_for("Listening on ");
        let (_, address) = line.split_once("Listening on ").expect("an address");
        daemon.address = address.parse().expect("an address");
        daemon
    }

    /// Waits for a log line with this in it.
    fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.log.recv_timeout(left) else {
                panic!("no log line with {text:?} in:\n{}", self.lines.join("\n"));
            };
            self.lines.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A session: each line is sent when the one before has its reply. Gives the replies,
    /// the greeting first; it ends where the server closes.
    fn talk(&self, lines: &[&str]) -> Vec<String> {
        let socket = TcpStream::connect_timeout(&self.address, PATIENCE).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut input = BufReader::new(socket.try_clone().expect("the socket again"));
        let mut output = socket;
        let mut replies = Vec::new();
        replies.extend(reply(&mut input));
        for line in lines {
            if output.write_all(format!("{line}\r\n").as_bytes()).is_err() {
                break;
            }
            match reply(&mut input) {
                Some(reply) => replies.push(reply),
                None => break,
            }
        }
        replies
    }

    /// A message to these recipients; gives the replies from the first RCPT's on.
    fn send(&self, recipients: &[&str]) -> Vec<String> {
        let rcpt: Vec<_> = recipients
            .iter()
            .map(|recipient| format!("RCPT TO:<{recipient}>"))
            .collect();
        let message = "Subject: hello\r\nMessage-Id: <1@example.net>\r\n\r\nHello.\r\n.";
        let mut lines = vec!["EHLO client.example.net", "MAIL FROM:<a@example.net>"];
        lines.extend(rcpt.iter().map(String::as_str));
        lines.extend(["DATA", message, "QUIT"]);
        self.talk(&lines).split_off(3)
    }

    /// Stops it by INT, as the terminal does. All lines of the log, and how it ended.
    fn stop(mut self) -> (String, ExitStatus) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("a signal");
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("its status") {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it does not stop"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        // The channel ends with the last process that has the other end.
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.lines.push(line);
        }
        (self.lines.join("\n"), status)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reply with all its lines; none at the end of the connection.
fn reply(input: &mut impl BufRead) -> Option<String> {
    let mut reply = String::new();
    loop {
        let start = reply.len();
        if input.read_line(&mut reply).unwrap_or(0) == 0 {
            return None;
        }
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return Some(reply.trim_end().to_owned());
        }
    }
}

#[test]
fn the_shipped_config_puts_the_first_message_of_swaks_into_the_maildir() {
    let site = Site::shipped();
    let daemon = site.start();
    let swaks = Command::new("swaks")
        .args(["--server", &daemon.address.to_string()])
        .args(["--to", "test@localhost", "--from", "me@example.net"])
        .output()
        .expect("swaks (Debian package swaks)");
    let said = String::from_utf8_lossy(&swaks.stdout);
    assert!(swaks.status.success(), "{said}");
    assert!(said.contains("250 Queued!"), "{said}");

    let mail = site.mail();
    assert_eq!(mail.len(), 1, "{mail:?}");
    for part in [
        "Return-Path: <me@example.net>\n",
        "\nTo: test@localhost\n",
        "\nThis is a test mailing\n",
    ] {
        assert!(mail[0].contains(part), "no {part:?} in {}", mail[0]);
    }
    let denied = &daemon.send(&["someone@elsewhere.example"])[0];
    assert!(denied.starts_with("550 Relaying denied"), "{denied}");

    let (log, status) = daemon.stop();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains(" at compat-plugins/"), "perl warns: {log}");
}

#[test]
fn a_native_plugin_between_perl_plugins_reads_their_notes_and_sets_one_for_the_next() {
    let site = Site::shipped();
    site.config("logging", "logging/stderr LOGDEBUG\n");
    let plugins = fs::read_to_string(site.path("config/plugins")).expect("config/plugins");
    site.config(
        "plugins",
        &plugins.replace("max_recipients 100", "max_recipients 2"),
    );
    let daemon = site.start();

    // Only the note counts what was refused; the transaction has no recipient at the third.
    let replies = daemon.send(&["x@elsewhere.example", "y@elsewhere.example", "z@localhost"]);
    assert!(replies[1].starts_with("550 Relaying denied"), "{replies:?}");
    assert_eq!(
        replies[2], "450 Too many recipients for one message",
        "{replies:?}"
    );
    assert!(daemon.send(&["z@localhost"])[0].starts_with("250 "));

    let (log, _) = daemon.stop();
    assert!(log.contains("recipient 3 of a public client"), "{log}");
}

#[test]
fn the_class_that_relay_sets_reaches_the_native_plugin() {
    let site = Site::with_plugins(
        "relay\nnative/count_recipients max 1\nrcpt_ok\nqueue/maildir Maildir\n",
    );
    site.config("logging", "logging/stderr LOGDEBUG\n");
    let two = ["a@localhost", "b@localhost"];
    let daemon = site.start();
    assert_eq!(daemon.send(&two)[1], "450 too many recipients");
    drop(daemon);

    site.config("relayclients", "127.0.0.1\n");
    let daemon = site.start();
    assert!(daemon.send(&two)[1].starts_with("250 "));
    let (log, _) = daemon.stop();
    assert!(log.contains("recipient 2 of a relay client"), "{log}");
}

#[test]
fn temp_disable_connection_turns_every_client_away() {
    let site = Site::with_plugins("temp_disable_connection\nrcpt_ok\nqueue/maildir Maildir\n");
    let daemon = site.start();
    assert_eq!(
        daemon.talk(&["EHLO x"]),
        ["450 Sorry, server is temporarily unavailable."]
    );
}

#[test]
fn rcpt_ok_child_closes_local_parts_and_leaves_the_rest_to_rcpt_ok() {
    let site = Site::with_plugins(
        "rcpt_ok_child closed=old-list closed=Webmaster max_recipients 2\nqueue/maildir Maildir\n",
    );
    let replies = site.start().send(&[
        "Old-List@example.org",
        "webmaster@localhost",
        "a@elsewhere.example",
        "a@example.org",
        "b@sub.example.org",
        "c@localhost",
    ]);
    for closed in &replies[..2] {
        assert!(closed.contains("is not accepted here (#5.1.1)"), "{closed}");
        assert!(closed.starts_with("550 "), "{closed}");
    }
    assert!(replies[2].starts_with("550 Relaying denied"), "{replies:?}");
    assert!(replies[3].starts_with("250 ") && replies[4].starts_with("250 "));
    assert_eq!(replies[5], "450 Too many recipients for one message");
}

#[test]
fn discard_says_queued_and_keeps_nothing_of_a_marked_message() {
    let site = Site::with_plugins("mark\nrcpt_ok\ndiscard\nqueue/maildir Maildir\n");
    site.own(
        "mark",
        "sub hook_rcpt {\n  my ($self, $transaction, $recipient) = @_;\n  \
         $transaction->notes('discard_mail', 1) if $recipient->user eq 'trap';\n  \
         return DECLINED;\n}\n",
    );
    let daemon = site.start();
    let replies = daemon.send(&["trap@localhost"]);
    assert_eq!(replies[2], "250 Queued! <1@example.net>");
    assert!(site.mail().is_empty());
    daemon.send(&["a@localhost"]);
    assert_eq!(site.mail().len(), 1);
}

#[test]
fn debug_plugin_shows_all_of_one_plugin_and_little_of_the_others() {
    let site = Site::with_plugins("chatter\nother\nrcpt_ok\nqueue/maildir Maildir\n");
    let chatter = "sub hook_mail {\n  $_[0]->log($_, 'level ' . $_) for LOGWARN, LOGDEBUG;\n  \
                   return DECLINED;\n}\n";
    site.own("chatter", chatter).own("other", chatter).config(
        "logging",
        "logging/debug_plugin chatter LOGWARN\nlogging/stderr LOGDEBUG\n",
    );
    let daemon = site.start();
    daemon.send(&["a@localhost"]);
    let (log, _) = daemon.stop();
    let of = |plugin: &str| -> Vec<&str> {
        log.lines()
            .filter(|line| line.contains(plugin))
            .filter_map(|line| Some(line.split_once("level ")?.1))
            .collect()
    };
    assert_eq!(of(" chatter: "), ["4", "7"], "{log}");
    assert_eq!(of(" other: "), ["4"], "{log}");
    assert!(!log.contains("dispatching"), "{log}");
}

#[test]
fn a_start_without_plugins_or_without_a_queue_plugin_warns() {
    for (lines, warning) in [
        ("# none\n", "config/plugins: no plugin is named"),
        (
            "rcpt_ok\n",
            " no plugin hooks queue, so messages are answered with 451",
        ),
    ] {
        let (log, _) = Site::with_plugins(lines).start().stop();
        assert!(log.contains(warning), "{log}");
    }
    let (log, _) = Site::shipped().start().stop();
    assert!(!log.contains("no plugin "), "{log}");
}

#[test]
fn a_file_that_cannot_be_included_is_logged_and_the_other_lines_count() {
    let site = Site::shipped();
    site.config("rcpthosts", "$include more\nexample.org\n");
    // Not even root can read this one.
    let fifo = site.path("config/more");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    let daemon = site.start();
    let replies = daemon.send(&["a@example.org", "b@example.org"]);
    assert!(replies[1].starts_with("250 "), "{replies:?}");
    let (log, _) = daemon.stop();
    let problem = "/config/more: it is not a file";
    assert!(log.contains(problem), "{log}");
}

/// A QMQP server that takes one package after the other and answers each with the next of
/// `answers`. What it was given comes out of the channel.
fn qmqp_sink(answers: Vec<&'static str>) -> (u16, Receiver<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (packages, given) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut package = &netstring(&mut socket)[..];
            let mut parts = Vec::new();
            while !package.is_empty() {
                parts.push(netstring(&mut package));
            }
            let _ = socket.write_all(answer.as_bytes());
            if packages.send(parts).is_err() {
                return;
            }
        }
    });
    (port, given)
}

fn netstring(from: &mut impl Read) -> Vec<u8> {
    let mut byte = [0];
    let mut length = 0;
    loop {
        from.read_exact(&mut byte).expect("a netstring");
        match byte[0] {
            b':' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).expect("its text");
    from.read_exact(&mut byte).expect("its end");
    assert_eq!(byte, *b",");
    text
}

#[test]
fn queue_qmqp_hands_on_the_message_and_the_server_s_answer() {
    let (port, given) = qmqp_sink(vec![
        "9:Kok 12345,",
        "6:Zlater,",
        "8:Dno mail,",
        "3:Xno,",
        "nonsense",
    ]);
    let site = Site::with_plugins(&format!("rcpt_ok\nqueue/qmqp 127.0.0.1 {port}\n"));
    let daemon = site.start();
    let answer = || daemon.send(&["a@localhost", "b@example.org"])[3].clone();

    assert_eq!(answer(), "250 Queued! ok 12345");
    let package = given.recv_timeout(PATIENCE).expect("a package");
    let text = String::from_utf8_lossy(&package[0]);
    assert!(text.contains("\nSubject: hello\n"), "{text}");
    assert!(text.ends_with("\n\nHello.\n"), "{text}");
    assert_eq!(
        package[1..],
        [
            b"a@example.net".to_vec(),
            b"a@localhost".to_vec(),
            b"b@example.org".to_vec()
        ]
    );
    assert_eq!(answer(), "452 Deferred: later");
    assert_eq!(answer(), "552 Denied: no mail");
    for _ in ["unknown kind", "no netstring", "no server any more"] {
        let said = answer();
        assert!(said.starts_with("451 "), "{said}");
    }
}

/// The lines that count of Debian's /etc/qpsmtpd/plugins and the files beside it, but for
/// check_loop: that wrapper refuses every message, under the original too.
#[test]
fn a_config_as_debian_s_package_has_it_receives_a_message() {
    let site = Site::empty();
    let root = site.dir.path().display();
    for (name, text) in [
        ("plugin_dirs", "/usr/share/qpsmtpd/plugins\n".to_owned()),
        ("spool_dir", format!("{root}/spool\n")),
        ("loglevel", "6\n".to_owned()),
        (
            "logging",
            format!("logging/file loglevel LOGINFO {root}/qpsmtpd.log\n"),
        ),
        ("relayclients", "# accept from localhost:\n".to_owned()),
        (
            "rcpthosts",
            format!("$include {root}/config/debian-rcpthosts\n"),
        ),
        ("debian-rcpthosts", "example.org\n".to_owned()),
        (
            "plugins",
            format!(
                "check_earlytalker action log\ncheck_relay\nrhsbl\ndnsbl\ncheck_spamhelo\n\
                 check_badmailfrom\ncheck_badrcptto\nloop\nrcpt_ok\n\
                 $include {root}/config/debian-queue-method\n"
            ),
        ),
        (
            "debian-queue-method",
            format!("queue/maildir {root}/Maildir\n"),
        ),
        ("badhelo", "evil.example\n".to_owned()),
        ("badmailfrom", "@evil.example\n".to_owned()),
        ("badrcptto", "closed@example.org\n".to_owned()),
    ] {
        site.config(name, &text);
    }
    for name in ["new", "cur", "tmp"] {
        fs::create_dir(site.path("Maildir").join(name)).expect("a directory");
    }
    let daemon = site.start();
    let replies = daemon.send(&["closed@example.org", "a@elsewhere.example", "a@example.org"]);
    assert!(replies[0].starts_with("550 "), "{replies:?}");
    assert!(replies[1].starts_with("550 "), "{replies:?}");
    assert_eq!(replies[4], "250 Queued! <1@example.net>", "{replies:?}");
    assert_eq!(site.mail().len(), 1);
    let refused = daemon.talk(&[
        "EHLO x",
        "MAIL FROM:<a@evil.example>",
        "RCPT TO:<a@example.org>",
    ]);
    assert!(
        refused[2..].iter().any(|reply| reply.starts_with("550 ")),
        "{refused:?}"
    );
    drop(daemon);
    let log = fs::read_to_string(site.path("qpsmtpd.log")).expect("the log");
    assert!(log.contains("250 Queued! <1@example.net>"), "{log}");
}
