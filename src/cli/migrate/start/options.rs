//! The options of the original's programs and of what starts them, as what they come to.

use std::path::PathBuf;

use super::super::super::classic;
use super::super::super::getopt::{Given, Opt, Options as Getopt, Takes};
use super::{Options, Server};

const fn option(names: &'static [&'static str], takes: Takes) -> Opt {
    Opt { names, takes }
}

/// qpsmtpd-async's, which Camelpost is not called by.
const ASYNC: Getopt = Getopt {
    all: &[
        option(&["listen-address", "l"], Takes::Text),
        option(&["port", "p"], Takes::Text),
        option(&["procs", "j"], Takes::Number),
        option(&["user", "u"], Takes::Text),
        option(&["pid-file"], Takes::Text),
        option(&["config-port"], Takes::Text),
        option(&["use-poll"], Takes::Nothing),
        option(&["verbose", "v"], Takes::Nothing),
        option(&["detach", "d"], Takes::Nothing),
        option(&["no-rdns", "H"], Takes::Nothing),
        option(&["help", "h"], Takes::Nothing),
    ],
    ignore_case: false,
};

/// Reads a daemon's command line into what is known of its start already.
pub(super) fn read(server: Server, words: &[String], options: &mut Options) {
    options.server = server;
    let (words, ports) = without_ports(words);
    let known = without_unknown(&words, &mut options.notes);
    let all = match server {
        Server::Forkserver => &classic::FORKSERVER,
        Server::Prefork => &classic::PREFORK,
        Server::Async => &ASYNC,
        Server::Tcpserver => return,
    };
    let given = match all.parse(known) {
        Ok(given) => given,
        Err(problems) => {
            for problem in problems {
                let text = format!("its command line is not as the program takes it: {problem}");
                options.notes.push(text);
            }
            Given::default()
        }
    };
    take(server, &given, &ports, options);
}

fn take(server: Server, given: &Given, ports: &[String], options: &mut Options) {
    let (limit, per_address, port) = match server {
        Server::Prefork => (15, Some(10), 25),
        Server::Async => (0, None, 2525),
        _ => (15, Some(5), 2525),
    };
    let limits = ["limit-connections", "children"];
    let own = limits.iter().find_map(|name| number(given, name));
    options.limit = own.unwrap_or(limit);
    options.limit_given = own.is_some();
    let own = number(given, "max-from-ip");
    options.per_address = own.or(per_address);
    options.per_address_given = own.is_some();
    options.spare = number(given, "idle-children");
    let ports: Vec<&str> = ports
        .iter()
        .map(String::as_str)
        .chain(given.all("port"))
        .collect();
    if ports.is_empty() {
        options.ports.push(port);
    }
    for port in ports {
        listen_port(port, options);
    }
    for address in given.all("listen-address") {
        listen(address, options);
    }
    if let Some(name) = given.last("user") {
        user(name, options);
    }
    options.no_rdns = given.has("no-rdns");
    options.detach |= given.has("detach");
    options.pid_file = given.last("pid-file").map(PathBuf::from);
    for name in ["renice-parent", "config-port", "procs"] {
        if given.has(name) {
            let text = format!("--{name} has no counterpart, and is left out");
            options.notes.push(text);
        }
    }
}

/// A user by the name, or a word about what is none.
pub(super) fn user(name: &str, options: &mut Options) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match !name.is_empty() && !name.starts_with('-') && name.chars().all(is_part) {
        true => options.user = Some(name.to_owned()),
        false => options.notes.push(format!(
            "its user is {name}, which is no name: --user says another"
        )),
    }
}

/// An address that `serve` takes, or a word about it.
pub(super) fn listen(address: &str, options: &mut Options) {
    match address {
        // Any address of IPv4, as tcpserver and the original mean it.
        "0" => options.listen.push("0.0.0.0".to_owned()),
        _ if address.parse::<crate::server::ListenAddress>().is_ok() => {
            options.listen.push(address.to_owned());
        }
        _ => options.notes.push(format!(
            "`{address}` is where it listens, and no IP address: put one behind --listen-address, or all \
             addresses are listened on"
        )),
    }
}

/// A port by its number or its name, or a word about it: none is made up in its place.
pub(super) fn listen_port(port: &str, options: &mut Options) {
    let number = match port {
        "smtp" => Some(25),
        "submission" => Some(587),
        "smtps" | "ssmtp" | "submissions" => Some(465),
        _ => port.parse().ok(),
    };
    match number {
        Some(number) => options.ports.push(number),
        None => {
            let port = if port.is_empty() { "empty" } else { port };
            options.notes.push(format!(
                "its port is {port}, which is not known here: add --port"
            ));
        }
    }
}

fn number(given: &Given, name: &str) -> Option<u32> {
    given.last(name)?.parse().ok()
}

/// The words whose values the script has itself, and a sentence for each of the others.
fn without_unknown(words: &[String], notes: &mut Vec<String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for word in words {
        if !word.contains('`') {
            known.push(word.clone());
            continue;
        }
        let option = known.pop_if(|last| last.starts_with('-') && !last.contains('='));
        let option = option.map_or_else(String::new, |option| format!("{option} "));
        notes.push(format!(
            "{option}{word}: what that is only the start itself can tell; add what it comes to"
        ));
    }
    known
}

/// The words, and apart from them the ports: one that is not known is told of, and leaves the other options as they are.
fn without_ports(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut others, mut ports) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let (name, value) = match name.map(|name| name.split_once('=').ok_or(name)) {
            Some(Ok((name, value))) => (name, Some(value)),
            Some(Err(name)) => (name, None),
            None => ("", None),
        };
        if !["p", "po", "por", "port"].contains(&name) {
            others.push(word.clone());
            continue;
        }
        // That of a variable that is not set is no word at all.
        let mut next = || words.next_if(|next| !next.starts_with('-'));
        let value = value.or_else(|| next().map(String::as_str));
        ports.push(value.unwrap_or_default().to_owned());
    }
    (others, ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(server: Server, line: &str) -> Options {
        let mut options = Options::default();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        read(server, &words, &mut options);
        options
    }

    #[test]
    fn each_program_has_its_defaults() {
        let fork = of(Server::Forkserver, "-u smtpd -l 127.0.0.1 -l 0 --port=26");
        assert_eq!((fork.limit, fork.per_address), (15, Some(5)));
        assert_eq!((fork.limit_given, fork.per_address_given), (false, false));
        assert_eq!(
            (fork.listen, fork.ports),
            (vec!["127.0.0.1".into(), "0.0.0.0".into()], vec![26])
        );
        let prefork = of(
            Server::Prefork,
            "--user smtpd --children 3 --idle 2 --detach",
        );
        assert_eq!(
            (prefork.limit, prefork.per_address, prefork.spare),
            (3, Some(10), Some(2))
        );
        assert_eq!((prefork.ports, prefork.detach), (vec![25], true));
        assert_eq!(of(Server::Async, "-p 25").limit, 0);
    }

    #[test]
    fn what_nobody_knows_or_takes_is_said() {
        let options = of(Server::Forkserver, "-c `getprop` -l unset --nope --port=25");
        assert_eq!(options.notes.len(), 2, "{options:?}");
        assert!(
            options.notes[0].starts_with("-c `getprop`: "),
            "{options:?}"
        );
        assert!(
            options.notes[1].contains("Unknown option: nope"),
            "{options:?}"
        );
        let options = of(Server::Forkserver, "-l unset --port 25");
        assert!(
            options.notes[0].starts_with("`unset` is where"),
            "{options:?}"
        );
        assert_eq!(options.ports, [25]);
    }

    #[test]
    fn a_port_has_a_number_or_a_name_or_is_told_of() {
        let options = of(Server::Forkserver, "-p smtp --port=submission --port 465");
        assert_eq!((options.ports, options.notes), (vec![25, 587, 465], vec![]));
        for (line, port) in [
            ("--port %i", "%i"),
            ("--port=", "empty"),
            ("--port", "empty"),
            ("-p `getprop`", "`getprop`"),
            ("--port=`getprop`", "`getprop`"),
            ("-port 65536", "65536"),
        ] {
            let line = &format!("{line} --user smtpd");
            for server in [Server::Forkserver, Server::Prefork, Server::Async] {
                let options = of(server, line);
                let note = format!("its port is {port}, which is not known here: add --port");
                assert!(options.ports.is_empty(), "{line}");
                assert_eq!(options.notes, [note], "{line}");
                assert_eq!(options.user.as_deref(), Some("smtpd"), "{line}");
            }
        }
    }
}
