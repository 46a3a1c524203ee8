//! The command lines of qpsmtpd-forkserver and qpsmtpd-prefork: what the original refuses is
//! refused with the same words before the usage, and what it takes is taken.

use std::process::Stdio;

use camelpost_support::{Client, Daemon, Site, dns, free_port, me, wait_for};

use super::programs::{Flavour, Service, Who, finish, program};
use super::site::{CAMELPOST, new_site};

/// What a program says before its usage, and its exit status.
fn said(site: &Site, words: &[String], args: &str) -> (Vec<String>, String, i32) {
    let mut command = site.command("timeout");
    command
        .arg("20")
        .args(words)
        .args(args.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_usage = |line: &&str| line.to_lowercase().starts_with("usage: ");
    let before = text.lines().take_while(|line| !is_usage(line));
    let before = before.map(str::to_owned).collect();
    (before, text, output.status.code().unwrap_or(-1))
}

const REFUSED: &[(Flavour, &str)] = &[
    (Flavour::Forkserver, "--bogus"),
    (Flavour::Forkserver, "-x --frob=1 -c 3"),
    (Flavour::Forkserver, "-dH"),
    (Flavour::Forkserver, "-U nobody"),
    (Flavour::Forkserver, "--LISTEN 127.0.0.1"),
    (Flavour::Forkserver, "-c many"),
    (Flavour::Forkserver, "-m x -c y"),
    (Flavour::Forkserver, "-p"),
    (Flavour::Forkserver, "--detach=1"),
    (Flavour::Prefork, "--bogus"),
    (Flavour::Prefork, "-p 25"),
    (Flavour::Prefork, "--limit-connections 3"),
    (Flavour::Prefork, "--user nobody --childre x"),
    (Flavour::Prefork, "--debug=1"),
];

#[test]
fn wrong_command_lines_are_refused_in_the_original_s_words() {
    let (site, dns) = (new_site("taker\n"), dns::start().unwrap());
    for (flavour, args) in REFUSED {
        let [original, camelpost] = [Who::Original, Who::Camelpost]
            .map(|who| said(&site, &program(who, *flavour, &site, dns), args));
        assert!(!original.0.is_empty(), "{args}: {}", original.1);
        assert_eq!(original.0, camelpost.0, "{flavour:?} {args}");
        // The original ends with 0, so that a start script takes the service for started.
        assert_eq!((original.2, camelpost.2), (0, 2), "{flavour:?} {args}");
    }
}

/// The original shows its usage and nothing else; here a line says what was wrong.
const REFUSED_WITHOUT_A_WORD: &[(Flavour, &str, &str)] = &[
    (Flavour::Forkserver, "-p abc", "`abc` is not a port"),
    (Flavour::Forkserver, "-l ::1", "`::1` is not an address"),
    (
        Flavour::Forkserver,
        "-l 127.0.0.1:abc",
        "`127.0.0.1:abc` is not an address",
    ),
    (Flavour::Forkserver, "-c -5", "--limit-connections takes"),
    (Flavour::Prefork, "--port 25", "--user has to be given"),
];

#[test]
fn what_the_original_refuses_without_a_word_is_explained() {
    let (site, dns) = (new_site("taker\n"), dns::start().unwrap());
    for (flavour, args, explained) in REFUSED_WITHOUT_A_WORD {
        let [original, camelpost] = [Who::Original, Who::Camelpost]
            .map(|who| said(&site, &program(who, *flavour, &site, dns), args));
        let usage = original.1.to_lowercase().contains("usage: ");
        assert!(usage && original.0.is_empty(), "{args}: {}", original.1);
        assert!(camelpost.0[0].starts_with(explained), "{}", camelpost.1);
        assert_eq!((original.2, camelpost.2), (0, 2), "{flavour:?} {args}");
    }
}

#[test]
fn help_is_shown_and_is_no_error() {
    let site = new_site("taker\n");
    let link = |name: &str| vec![site.path("bin").join(name).display().to_string()];
    let sub = |name: &str| vec![CAMELPOST.to_owned(), name.to_owned()];
    for (words, args, shown) in [
        (link("qpsmtpd-forkserver"), "-h", "--limit-connections N"),
        (link("qpsmtpd-forkserver"), "--help", "--no-rdns"),
        (link("qpsmtpd-prefork"), "--help", "--idle-children N"),
        (link("qpsmtpd-prefork"), "--version", "Camelpost, version"),
        (sub("forkserver"), "--help", "qpsmtpd-forkserver"),
        (sub("prefork"), "--help", "qpsmtpd-prefork"),
        (sub("inetd"), "--help", "TCPREMOTEIP"),
    ] {
        let (_, text, status) = said(&site, &words, args);
        assert!(text.contains(shown), "{words:?} {args}: {text}");
        assert_eq!(status, 0, "{words:?} {args}");
    }
}

#[test]
fn a_program_that_there_is_not_says_what_to_use() {
    let site = new_site("taker\n");
    let path = site.path("bin/qpsmtpd-async");
    std::os::unix::fs::symlink(CAMELPOST, &path).unwrap();
    let (_, text, status) = said(&site, &[path.display().to_string()], "");
    assert!(text.contains("there is no qpsmtpd-async"), "{text}");
    assert_eq!(status, 1);
}

/// Both programs listen at each address, by each port that it does not name itself.
#[test]
fn repeated_listen_addresses_and_ports_are_all_served() {
    let dns = dns::start().unwrap();
    for who in [Who::Original, Who::Camelpost] {
        let site = new_site("taker\n");
        let words = program(who, Flavour::Forkserver, &site, dns);
        let (one, two, three) = (free_port(), free_port(), free_port());
        let args = format!(
            "-l 127.0.0.1 --listen 127.0.0.2:{three} -p {one} --port={two} -u {} -c 3 -m 3 -H",
            me()
        );
        let mut command = site.command(&words[0]);
        command.args(&words[1..]).args(args.split_whitespace());
        let mut daemon = Daemon::logging_to(&site, command);
        for (ip, port) in [("127.0.0.1", one), ("127.0.0.1", two), ("127.0.0.2", three)] {
            let connect = || std::net::TcpStream::connect((ip, port)).ok();
            let mut client = Client::new(wait_for("a listener", connect));
            assert!(client.reply().starts_with("220"), "{who:?} {ip}:{port}");
            assert!(client.say("QUIT").starts_with("221"), "{who:?} {ip}:{port}");
        }
        assert!(daemon.stop().success(), "{who:?}");
    }
}

#[test]
fn prefork_takes_the_last_port_and_renices_only_the_process_that_accepts() {
    let site = new_site("taker\n");
    let port = free_port();
    let mut command = site.command(site.path("bin/qpsmtpd-prefork"));
    let args = format!(
        "--quiet --user {} --port 1 --port {port} --interface 127.0.0.1 --pretty-child \
         --children 2 --idle-children 1 --renice-parent 3 --pid-file {}",
        me(),
        site.path("run/pid").display()
    );
    command.args(args.split_whitespace());
    let mut daemon = Daemon::logging_to(&site, command);
    let mut client = Client::when_ready(port);
    assert!(client.reply().starts_with("220"));
    // The fields of /proc/PID/stat behind the name, which may have blanks.
    let field = |pid: &str, number: usize| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let rest = stat.rsplit_once(") ").unwrap().1.to_owned();
        let field = rest.split(' ').nth(number - 3).unwrap().to_owned();
        field.parse::<i32>().unwrap()
    };
    let mine = field("self", 19);
    let supervisor = site.read("run/pid").trim().to_owned();
    assert_eq!(supervisor, daemon.child.id().to_string());
    let lowered = match rustix::process::geteuid().is_root() {
        true => (mine - 3).max(-20),
        false => mine,
    };
    assert_eq!(field(&supervisor, 19), lowered);
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    let zygote = std::fs::read_to_string(children).unwrap();
    assert_eq!(field(zygote.split_whitespace().next().unwrap(), 19), mine);
    assert!(client.say("QUIT").starts_with("221"));
    assert!(daemon.stop().success());
}

/// HUP loads plugins anew, INT and TERM stop, in both daemons.
#[test]
fn signals_reload_and_stop_under_the_original_s_names() {
    use rustix::process::{Signal, kill_process};
    let dns = dns::start().unwrap();
    for flavour in [Flavour::Forkserver, Flavour::Prefork] {
        for end in [Signal::INT, Signal::TERM] {
            let site = new_site("taker\n");
            let mut service = Service::start(Who::Camelpost, flavour, &site, dns);
            let greet = || {
                let (mut client, process) = service.connect(&site);
                client.reply();
                let reply = client.say("VRFY x");
                client.say("QUIT");
                finish(process);
                reply
            };
            assert!(greet().starts_with("250 127.0.0.1"), "{flavour:?}");
            site.put("plugins/taker", "sub hook_vrfy { return (OK, 'anew') }");
            kill_process(service.pid(), Signal::HUP).unwrap();
            wait_for("the new plugin", || (greet() == "250 anew").then_some(()));
            kill_process(service.pid(), end).unwrap();
            assert!(
                service.ended().is_some_and(|status| status.success()),
                "{flavour:?} {end:?}"
            );
        }
    }
}
