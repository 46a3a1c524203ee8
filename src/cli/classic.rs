//! The command lines of the original's two daemons, as what they mean here.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use super::getopt::{Given, Opt, Options, Takes};
use crate::server::{ControlPlace, ListenAddress, Settings, Talk};

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// To show how it is used.
    Help,
    Version,
    Serve {
        settings: Box<Settings>,
        rdns: bool,
    },
}

pub(super) const FORKSERVER: Options = Options {
    all: &[
        option(&["listen-address", "l"], Takes::Text),
        option(&["port", "p"], Takes::Text),
        option(&["limit-connections", "c"], Takes::Number),
        option(&["max-from-ip", "m"], Takes::Number),
        option(&["user", "u"], Takes::Text),
        option(&["pid-file"], Takes::Text),
        option(&["detach", "d"], Takes::Nothing),
        option(&["no-rdns", "H"], Takes::Nothing),
        option(&["help", "h"], Takes::Nothing),
    ],
    ignore_case: false,
};

pub(super) const PREFORK: Options = Options {
    all: &[
        option(&["listen-address", "interface"], Takes::Text),
        option(&["port"], Takes::Number),
        option(&["max-from-ip"], Takes::Number),
        option(&["children"], Takes::Number),
        option(&["idle-children"], Takes::Number),
        option(&["user"], Takes::Text),
        option(&["pid-file"], Takes::Text),
        option(&["renice-parent"], Takes::Number),
        option(&["pretty-child"], Takes::Nothing),
        option(&["detach"], Takes::Nothing),
        option(&["debug"], Takes::Nothing),
        option(&["quiet"], Takes::Nothing),
        option(&["version"], Takes::Nothing),
        option(&["help"], Takes::Nothing),
    ],
    ignore_case: true,
};

pub(super) const FORKSERVER_USAGE: &str = "\
usage: qpsmtpd-forkserver [OPTION ...]     (this is Camelpost, by the name of its forebear)
 -l, --listen-address ADDR[:PORT]  listen here only; may be repeated; IPv6 as [ADDR] or [ADDR]:PORT
 -p, --port PORT                   port of addresses that name none (2525); may be repeated
 -c, --limit-connections N         connections open at a time (15); 0 for any number
 -m, --max-from-ip N               connections open from one address (5); 0 for any number
 -u, --user NAME                   run as this user (smtpd if started as root)
     --pid-file FILE               write the process id there
 -d, --detach                      go to the background
 -H, --no-rdns                     do not look up the names of clients
 -h, --help                        show this
`camelpost serve --help` has all that the service can be told.
";

pub(super) const PREFORK_USAGE: &str = "\
usage: qpsmtpd-prefork --user NAME [OPTION ...]     (this is Camelpost, by the name of its forebear)
 --user NAME                   run as this user; has to be given
 --listen-address ADDR[:PORT]  listen here only; may be repeated; IPv6 as [ADDR] or [ADDR]:PORT
 --interface ADDR[:PORT]       the same
 --port PORT                   port of addresses that name none (25)
 --children N                  connections open at a time, and workers kept (15)
 --idle-children N             idle workers kept ready (5); 0: each client waits for a fork
 --max-from-ip N               connections open from one address (10); 0 for any number
 --pid-file FILE               write the process id there
 --renice-parent N             lower the nice level of the process that accepts by N (5)
 --detach                      go to the background
 --pretty-child                taken, and without effect: a worker is not one client's
 --debug, --quiet              say more, or nothing, while starting
 --version, --help             show the version, or this
`camelpost serve --help` has all that the service can be told.
";

const fn option(names: &'static [&'static str], takes: Takes) -> Opt {
    Opt { names, takes }
}

/// qpsmtpd-forkserver's command line. The error is a line for each thing that is wrong.
pub(super) fn forkserver(args: Vec<String>) -> Result<Request, Vec<String>> {
    let given = FORKSERVER.parse(args)?;
    if given.has("help") {
        return Ok(Request::Help);
    }
    let ports = given.all("port").map(port).collect::<Result<Vec<_>, _>>()?;
    let settings = Settings {
        listen: addresses(&given)?,
        ports: if ports.is_empty() { vec![2525] } else { ports },
        user: given.last("user").map(str::to_owned),
        limit_connections: number(&given, "limit-connections", 15)?,
        max_from_ip: number(&given, "max-from-ip", 5)?,
        workers: 32,
        spare_workers: 2,
        sessions_per_life: super::serve::SESSIONS_PER_LIFE,
        memory: super::service::MEMORY,
        sessions_per_worker: super::serve::SESSIONS_PER_WORKER,
        extra_processes: super::serve::EXTRA_PROCESSES,
        pid_file: given.last("pid-file").map(PathBuf::from),
        detach: given.has("detach"),
        lower_nice: 0,
        talk: Talk::Normal,
        control: ControlPlace::Default,
        metrics: None,
        service: super::service::classic(given.all("port").next().is_some()),
    };
    Ok(Request::Serve {
        settings: Box::new(settings),
        rdns: !given.has("no-rdns"),
    })
}

/// qpsmtpd-prefork's command line. The error is a line for each thing that is wrong.
pub(super) fn prefork(args: Vec<String>) -> Result<Request, Vec<String>> {
    let given = PREFORK.parse(args)?;
    if given.has("help") {
        return Ok(Request::Help);
    }
    if given.has("version") {
        return Ok(Request::Version);
    }
    let Some(user) = given.last("user") else {
        return Err(vec!["--user has to be given".to_owned()]);
    };
    let children = number(&given, "children", 15)?;
    let settings = Settings {
        listen: addresses(&given)?,
        ports: vec![given.last("port").map_or(Ok(25), port)?],
        user: Some(user.to_owned()),
        limit_connections: children,
        max_from_ip: number(&given, "max-from-ip", 10)?,
        workers: if children == 0 { 32 } else { children },
        spare_workers: number(&given, "idle-children", 5)?,
        sessions_per_life: super::serve::SESSIONS_PER_LIFE,
        memory: super::service::MEMORY,
        sessions_per_worker: super::serve::SESSIONS_PER_WORKER,
        extra_processes: super::serve::EXTRA_PROCESSES,
        pid_file: given.last("pid-file").map(PathBuf::from),
        detach: given.has("detach"),
        lower_nice: number(&given, "renice-parent", 5)?,
        talk: match (given.has("quiet"), given.has("debug")) {
            (true, _) => Talk::Quiet,
            (_, true) => Talk::Debug,
            _ => Talk::Normal,
        },
        control: ControlPlace::Default,
        metrics: None,
        service: super::service::classic(given.last("port").is_some()),
    };
    Ok(Request::Serve {
        settings: Box::new(settings),
        rdns: true,
    })
}

fn port(text: &str) -> Result<u16, Vec<String>> {
    let number = text.parse();
    number.map_err(|_| vec![format!("`{text}` is not a port: a number from 0 to 65535")])
}

fn number(given: &Given, name: &str, default: u32) -> Result<u32, Vec<String>> {
    let Some(text) = given.last(name) else {
        return Ok(default);
    };
    text.parse().map_err(|_| {
        vec![format!(
            "--{name} takes a number of 0 or more, not `{text}`"
        )]
    })
}

fn addresses(given: &Given) -> Result<Vec<ListenAddress>, Vec<String>> {
    let addresses = given.all("listen-address");
    addresses
        .map(|text| address(text).ok_or_else(|| vec![not_an_address(text)]))
        .collect()
}

fn not_an_address(text: &str) -> String {
    format!(
        "`{text}` is not an address of this machine with or without a port, such as 192.0.2.1, \
         192.0.2.1:25, [2001:db8::1] or [2001:db8::1]:25"
    )
}

/// An address, or a name of this machine, with or without a port.
fn address(text: &str) -> Option<ListenAddress> {
    // Without brackets nobody can tell where an IPv6 address ends and its port begins.
    let ambiguous = !text.starts_with('[') && text.matches(':').count() > 1;
    if ambiguous {
        return None;
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (text, None),
    };
    let found = (name, 0).to_socket_addrs().ok()?.next()?;
    Some(ListenAddress {
        ip: found.ip(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn served(request: Result<Request, Vec<String>>) -> (Settings, bool) {
        match request.unwrap() {
            Request::Serve { settings, rdns } => (*settings, rdns),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn debian_s_start_script_is_understood() {
        let line = "--port 25 --user qpsmtpd --pid-file /run/q.pid --listen-address 127.0.0.1 \
                    --listen-address [::1]:26 --detach";
        let (settings, rdns) = served(forkserver(words(line)));
        assert_eq!(settings.ports, [25]);
        assert_eq!(settings.user.as_deref(), Some("qpsmtpd"));
        assert_eq!(settings.pid_file, Some("/run/q.pid".into()));
        assert!(settings.detach && rdns);
        let listen: Vec<_> = settings.listen.iter().map(|l| (l.ip, l.port)).collect();
        let expected = [("127.0.0.1", None), ("::1", Some(26))];
        assert_eq!(
            listen,
            expected.map(|(ip, port)| (ip.parse().unwrap(), port))
        );
    }

    #[test]
    fn the_defaults_are_those_of_each_program() {
        let (settings, _) = served(forkserver(words("-H")));
        let limits = (settings.limit_connections, settings.max_from_ip);
        assert_eq!((settings.ports, limits), (vec![2525], (15, 5)));
        let (settings, _) = served(prefork(words("--user smtpd")));
        let limits = (settings.limit_connections, settings.max_from_ip);
        assert_eq!((settings.ports, limits), (vec![25], (15, 10)));
        assert_eq!((settings.spare_workers, settings.lower_nice), (5, 5));
    }

    #[test]
    fn an_ipv6_address_without_brackets_is_refused_as_in_the_original() {
        assert!(address("::1").is_none());
        assert!(address("127.0.0.1:abc").is_none());
        assert_eq!(address("0").unwrap().ip.to_string(), "0.0.0.0");
        assert_eq!(address("localhost:25").unwrap().port, Some(25));
    }
}
