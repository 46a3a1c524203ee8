//! The programs under test, the original's and Camelpost's, started as each flavour is started.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::site::{Client, Site, free_port, me, stop, wait};

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
    let shim = format!(
        "package FlavourResolver;\nINIT {{\n    require Net::DNS::Resolver;\n    \
         Net::DNS::Resolver->new;\n    Net::DNS::Resolver->nameservers('{}');\n    \
         Net::DNS::Resolver->port({});\n}}\n1;\n",
        dns.ip(),
        dns.port()
    );
    site.put("run/FlavourResolver.pm", &shim);
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

/// Camelpost's lookups go to the suite's resolver, too.
fn with_resolver(mut command: Command, dns: SocketAddr) -> Command {
    command.env("RES_NAMESERVERS", dns.ip().to_string());
    command.env("RES_OPTIONS", format!("port:{}", dns.port()));
    command
}

/// A service that takes clients.
pub enum Service {
    Daemon {
        child: Child,
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
            command = with_resolver(command, dns);
        }
        command.args(args).stdin(Stdio::null()).process_group(0);
        log_to(&mut command, site);
        let child = command.spawn().unwrap();
        Service::Daemon { child, port }
    }

    /// A client, and the process that serves it where there is one for it alone.
    pub fn connect(&self, site: &Site) -> (Client, Option<Child>) {
        match self {
            Service::Daemon { port, .. } => (Client::connect(*port), None),
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
            Service::Daemon { child, .. } => Pid::from_child(child),
            Service::Inetd { .. } => rustix::process::getpid(),
        }
    }

    /// Waits for the daemon's end.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            Service::Daemon { child, .. } => Some(wait(child)),
            Service::Inetd { .. } => None,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Service::Daemon { child, .. } = self {
            stop(child);
            // Its own process group, so that no child of it is left.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        }
    }
}

/// Starts a command with a socket as its standard input and output. The command is dropped, for it
/// holds the socket, too, and the client would not see its end.
pub fn on_socket(mut command: Command, site: &Site, socket: TcpStream) -> Child {
    let copy = socket.try_clone().unwrap();
    command
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(OwnedFd::from(copy)));
    command.stderr(log_file(site));
    command.spawn().unwrap()
}

fn log_to(command: &mut Command, site: &Site) {
    command.stdout(log_file(site)).stderr(log_file(site));
}

fn log_file(site: &Site) -> File {
    let mut options = File::options();
    options.append(true).create(true);
    options.open(site.path("run/log")).unwrap()
}

/// Waits for the end of a session that has a process of its own.
pub fn finish(process: Option<Child>) -> Option<ExitStatus> {
    process.map(|mut child| wait(&mut child))
}
