//! The programs under test, the original's and Camelpost's, started as each flavour is started.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus};

use camelpost_support::{Client, Daemon, Site, dns, free_port, me, process, wait};
use rustix::process::Pid;

const TCPSERVER: &str = "/usr/bin/tcpserver";
const ENTRY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/flavours/qpsmtpd"
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Original,
    Camelpost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    Tcpserver,
    Inetd,
    Forkserver,
    Prefork,
}

impl Flavour {
    pub const ALL: [Flavour; 4] = [
        Flavour::Tcpserver,
        Flavour::Inetd,
        Flavour::Forkserver,
        Flavour::Prefork,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Flavour::Tcpserver => "tcpserver",
            Flavour::Inetd => "inetd",
            Flavour::Forkserver => "forkserver",
            Flavour::Prefork => "prefork",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Flavour::Tcpserver | Flavour::Inetd => "qpsmtpd",
            Flavour::Forkserver => "qpsmtpd-forkserver",
            Flavour::Prefork => "qpsmtpd-prefork",
        }
    }
}

/// The words that start a program; the original's lookups go to the suite's resolver.
pub fn program(who: Who, flavour: Flavour, site: &Site, dns: SocketAddr) -> Vec<String> {
    let name = flavour.program();
    if who == Who::Camelpost {
        return vec![site.path("bin").join(name).display().to_string()];
    }
    let script = match flavour {
        Flavour::Tcpserver | Flavour::Inetd => ENTRY.to_owned(),
        _ => format!("/usr/bin/{name}"),
    };
    let is_there = std::path::Path::new(&script).exists();
    assert!(is_there, "{script} is missing: packaging/install-deps test");
    // After a first new(), which reads the machine's own settings over anything set before.
    let module = dns::perl_module("FlavourResolver", dns);
    site.put("run/FlavourResolver.pm", &module);
    let directory = site.path("run").display().to_string();
    let words = [
        "perl",
        "-Tw",
        "-I",
        &directory,
        "-MFlavourResolver",
        &script,
    ];
    words.map(str::to_owned).to_vec()
}

/// A service that takes clients.
pub enum Service {
    Daemon {
        daemon: Daemon,
        port: u16,
    },
    /// As inetd does it: for each client a process with its socket.
    Inetd {
        listener: TcpListener,
        words: Vec<String>,
    },
}

impl Service {
    pub fn start(who: Who, flavour: Flavour, site: &Site, dns: SocketAddr) -> Service {
        let words = program(who, flavour, site, dns);
        let port = free_port();
        let text = port.to_string();
        let user = me();
        let (first, args): (&str, Vec<&str>) = match flavour {
            Flavour::Inetd => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                return Service::Inetd { listener, words };
            }
            Flavour::Tcpserver => {
                let is_there = std::path::Path::new(TCPSERVER).exists();
                assert!(
                    is_there,
                    "ucspi-tcp is missing: packaging/install-deps test"
                );
                // No lookups of names: what they give is the machine's.
                let mut args = vec!["-v", "-HR", "-l", "mx.example.org", "127.0.0.1", &text];
                args.extend(words.iter().map(String::as_str));
                (TCPSERVER, args)
            }
            Flavour::Forkserver | Flavour::Prefork => {
                let mut args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
                args.extend(["--listen-address", "127.0.0.1", "--port", &text]);
                args.extend(["--user", &user]);
                if flavour == Flavour::Prefork {
                    args.extend(["--children", "2", "--idle-children", "1"]);
                }
                (&words[0], args)
            }
        };
        let mut command = site.command(first);
        // perl takes nothing from the environment under -T.
        if who == Who::Camelpost {
            command.envs(dns::environment(dns));
        }
        command.args(args);
        let daemon = Daemon::logging_to(site, command);
        Service::Daemon { daemon, port }
    }

    /// A client, and the process that serves it where there is one for it alone.
    pub fn connect(&self, site: &Site) -> (Client, Option<Child>) {
        match self {
            Service::Daemon { port, .. } => (Client::when_ready(*port), None),
            Service::Inetd { listener, words } => {
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (socket, _) = listener.accept().unwrap();
                let mut command = site.command(&words[0]);
                command.args(&words[1..]);
                let child = on_socket(command, site, socket);
                (Client::new(client), Some(child))
            }
        }
    }
}

impl Service {
    pub fn pid(&self) -> Pid {
        match self {
            Service::Daemon { daemon, .. } => daemon.pid(),
            Service::Inetd { .. } => rustix::process::getpid(),
        }
    }

    /// Waits for the daemon's end.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            Service::Daemon { daemon, .. } => Some(daemon.wait()),
            Service::Inetd { .. } => None,
        }
    }
}

/// Starts a command with a socket as its standard input and output, with the site's log.
pub fn on_socket(mut command: Command, site: &Site, socket: TcpStream) -> Child {
    command.stderr(site.log_file());
    process::on_socket(command, socket)
}

/// Waits for the end of a session that has a process of its own.
pub fn finish(process: Option<Child>) -> Option<ExitStatus> {
    process.map(|mut child| wait(&mut child))
}
