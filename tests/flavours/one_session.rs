//! One session in one process: on a socket with and without tcpserver's variables, on pipes, on
//! files; how it ends, and what becomes of the log.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use camelpost_support::{Client, Site, dns, wait};

use super::programs::{Flavour, Who, on_socket, program};
use super::site::{CAMELPOST, new_site};

/// A connected pair: the client's side, and the one for the process.
fn connection() -> (Client, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Client::new(client), listener.accept().unwrap().0)
}

fn entry(who: Who, site: &Site, dns: std::net::SocketAddr) -> Command {
    let words = program(who, Flavour::Tcpserver, site, dns);
    let mut command = site.command(&words[0]);
    command.args(&words[1..]);
    command
}

const VARIABLES: &[(&str, &str)] = &[
    ("TCPREMOTEIP", "192.0.2.7"),
    ("TCPREMOTEHOST", "client.example.org"),
    ("TCPREMOTEINFO", "joe"),
    ("TCPREMOTEPORT", "4711"),
    ("TCPLOCALIP", "192.0.2.1"),
    ("TCPLOCALPORT", "25"),
    ("TCPLOCALHOST", "mx.example.org"),
    ("PROCESS", "17"),
];

/// With all variables, without the name and ident's answer, with the address alone.
#[test]
fn the_client_is_who_the_environment_says() {
    let dns = dns::start().unwrap();
    let site = new_site("taker\n");
    for count in [1, 2, 3, VARIABLES.len()] {
        let [original, camelpost] = [Who::Original, Who::Camelpost].map(|who| {
            let (mut client, socket) = connection();
            let mut command = entry(who, &site, dns);
            command.envs(VARIABLES[..count].iter().copied());
            let mut child = on_socket(command, &site, socket);
            assert!(
                client.reply().starts_with("220"),
                "{}",
                site.read("run/log")
            );
            let replies = [client.say("HELO x"), client.say("VRFY x")];
            client.say("QUIT");
            assert!(wait(&mut child).success(), "{who:?}");
            replies
        });
        assert_eq!(original, camelpost, "with {count} variables");
    }
}

/// No session shares the process: it is what `$$` says, and what the log's lines begin with.
#[test]
fn the_number_of_the_session_is_that_of_the_process() {
    let site = new_site("numbered\n");
    site.put("plugins/numbered", "sub hook_vrfy { return (OK, $$) }\n");
    site.put("config/loglevel", "6\n");
    for program in [vec![CAMELPOST, "inetd"], vec!["bin/qpsmtpd"]] {
        let (mut client, socket) = connection();
        let mut command = site.command(program[0]);
        command.args(&program[1..]).env("TCPREMOTEIP", "192.0.2.7");
        let mut child = on_socket(command, &site, socket);
        assert!(client.reply().starts_with("220"));
        assert_eq!(client.say("VRFY x"), format!("250 {}", child.id()));
        client.say("QUIT");
        assert!(wait(&mut child).success());
        let line = format!("{} dispatching VRFY x", child.id());
        assert!(site.read("run/log").contains(&line));
    }
}

#[test]
fn the_exit_status_is_the_original_s() {
    let dns = dns::start().unwrap();
    let site = new_site("taker\n");
    type Act = fn(&mut Client);
    let how: &[(&str, Act)] = &[
        ("after QUIT", |client| {
            client.say("QUIT");
        }),
        ("after the client has gone", |client| {
            client.say("HELO x");
        }),
        ("after exit(7) in a hook", |client| {
            client.say("NOOP");
        }),
    ];
    for (name, act) in how {
        let [original, camelpost] = [Who::Original, Who::Camelpost].map(|who| {
            let (mut client, socket) = connection();
            let command = entry(who, &site, dns);
            let mut child = on_socket(command, &site, socket);
            client.reply();
            act(&mut client);
            drop(client);
            wait(&mut child).code()
        });
        assert_eq!(original, camelpost, "{name}");
    }
}

#[test]
fn without_a_client_nothing_is_loaded_and_the_status_is_the_original_s() {
    let dns = dns::start().unwrap();
    let site = new_site("taker\n");
    let [original, camelpost] = [Who::Original, Who::Camelpost].map(|who| {
        let mut command = entry(who, &site, dns);
        command.stdin(Stdio::null()).output().unwrap()
    });
    assert_eq!(original.status.code(), camelpost.status.code());
    let said = String::from_utf8_lossy(&camelpost.stderr).into_owned();
    assert!(said.contains("TCPREMOTEIP is not set"), "{said}");
    assert!(said.contains("camelpost serve"), "{said}");
    assert!(camelpost.stdout.is_empty());
}

/// The original takes nothing but a socket; sslserver and stunnel may give pipes.
#[test]
fn a_pair_of_pipes_is_served() {
    let site = new_site("taker\n");
    site.put("config/junk_command_limit", "0\n");
    site.put("config/command_limit", "0\n");
    let mut child = site
        .command(CAMELPOST)
        .arg("inetd")
        .env("TCPREMOTEIP", "192.0.2.7")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // More than a pipe holds at once, in both directions.
    let long = "x".repeat(70);
    let body: String = (0..3000).map(|_| format!("{long}\r\n")).collect();
    let helps = "HELP\r\n".repeat(2000);
    let mail = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";
    let all = format!("EHLO x\r\n{mail}Subject: x\r\n\r\n{body}.\r\n{helps}QUIT\r\n");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(all.as_bytes()).is_ok());
    let output = child.wait_with_output().unwrap();
    assert!(writer.join().unwrap());
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\n250 Taken\r\n"), "{}", &said[..500]);
    assert_eq!(said.matches("\n214 ").count(), 2000);
    assert!(said.ends_with("Have a wonderful day.\r\n"));
}

#[test]
fn a_client_that_closes_its_pipes_is_gone() {
    let site = new_site("taker\n");
    let mut child = site
        .command(CAMELPOST)
        .arg("inetd")
        .env("TCPREMOTEIP", "192.0.2.7")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_dialogue_in_a_file_is_played() {
    let site = new_site("taker\n");
    site.put("run/in", "HELO x\r\nVRFY x\r\nQUIT\r\n");
    let status = site
        .command(CAMELPOST)
        .arg("inetd")
        .env("TCPREMOTEIP", "192.0.2.7")
        .stdin(File::open(site.path("run/in")).unwrap())
        .stdout(File::create(site.path("run/out")).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    let said = site.read("run/out");
    let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "221"], "{said}");
    assert!(said.contains("192.0.2.7 [192.0.2.7] [192.0.2.7]"), "{said}");
}

/// inetd puts the client on standard error, too.
#[test]
fn the_log_never_goes_to_the_client() {
    let site = new_site("taker\n");
    site.put("config/loglevel", "7\n");
    let (mut client, socket) = connection();
    let mut child = site
        .command(CAMELPOST)
        .arg("inetd")
        .stderr(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdout(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .spawn()
        .unwrap();
    assert!(client.reply().starts_with("220 "));
    assert!(client.say("NOOP").is_empty());
    assert_eq!(client.rest(), "");
    assert_eq!(wait(&mut child).code(), Some(7));
}

#[test]
fn a_client_is_told_when_the_configuration_does_not_load() {
    let site = new_site("no_such_plugin\n");
    let (mut client, socket) = connection();
    let mut command = site.command(CAMELPOST);
    command.arg("inetd");
    let mut child = on_socket(command, &site, socket);
    let reply = client.reply();
    assert!(
        reply.starts_with("421 4.3.0 Service not available"),
        "{reply}"
    );
    assert_eq!(wait(&mut child).code(), Some(1));
    let log = site.read("run/log");
    assert!(log.contains("plugin no_such_plugin not found"), "{log}");
}
