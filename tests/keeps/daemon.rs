//! A directory with the plugins of this suite, and a daemon that runs there: Camelpost's or the
//! original's.

use std::cell::RefCell;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::dns;
use crate::site::{CAMELPOST, Client, PATIENCE, Site, free_port, me, wait_for};

/// Where the plugins and modules are.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keeps");
const ORIGINAL: &str = "/usr/bin/qpsmtpd-forkserver";

/// All that answer KEEP and whose sessions share workers.
pub const SHARED: &str = "object\nlexicals\nglobals\nstructures\nclasses\nin_place\ncode\nmodules\n\
    My::Keeper\nparent\nchild\nchild:0\nchild:1\ngrandchild\ntwice:0 one\ntwice:1 two\nmagic\n\
    extremes\noddities\nconfig_keeper\nends\nbreaks\nleaver\nanswer\n";
/// With those that keep what cannot be exchanged, so that their sessions get workers of their own.
pub const ALL: &str = "object\nlexicals\nglobals\nstructures\nclasses\nin_place\ncode\nmodules\n\
    My::Keeper\nparent\nchild\nchild:0\nchild:1\ngrandchild\ntwice:0 one\ntwice:1 two\nmagic\n\
    extremes\noddities\nconfig_keeper\nends\nbreaks\nleaver\ntied\nfields\nundefines\nredefines\nanswer\n";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Original,
    /// `camelpost serve` with these arguments.
    Camelpost(&'static [&'static str]),
    /// Camelpost by one of the original's names, with these arguments.
    Named(&'static str, &'static [&'static str]),
    /// `qpsmtpd`, which is Camelpost, in a process for each client, as inetd starts it.
    Inetd,
}

/// One worker for all sessions at a time.
pub const ONE_WORKER: Who = Who::Camelpost(&[
    "--workers",
    "1",
    "--spare-workers",
    "0",
    "--sessions-per-worker",
    "300",
    "--extra-processes",
    "0",
    // Two hundred sessions that keep what this suite has them keep are much for one.
    "--worker-memory",
    "0",
]);

/// One worker, and processes for sessions that leave it.
pub const MAY_LEAVE: Who = Who::Camelpost(&[
    "--workers",
    "1",
    "--spare-workers",
    "0",
    "--sessions-per-worker",
    "300",
]);

pub struct Daemon {
    serves: Serves,
    pub site: Site,
}

enum Serves {
    Process {
        child: Child,
        port: u16,
    },
    /// A listener of the test's, and what it has started.
    Inetd {
        listener: TcpListener,
        children: RefCell<Vec<Child>>,
    },
}

/// A site with these lines in config/plugins.
pub fn site(plugins: &str) -> Site {
    let site = Site::new(plugins);
    for name in ["var", "var/run"] {
        fs::create_dir(site.path(name)).unwrap();
    }
    for name in ["plugins", "lib"] {
        fill(&site, &Path::new(FIXTURES).join(name), name);
    }
    site.put("config/logging", "logging/keeper\n");
    site.put("config/loglevel", "4\n");
    site
}

fn fill(site: &Site, from: &Path, to: &str) {
    fs::create_dir_all(site.path(to)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let target = format!("{to}/{name}");
        match entry.path() {
            path if path.is_dir() => fill(site, &path, &target),
            path => site.put(&target, &fs::read_to_string(path).unwrap()),
        }
    }
}

impl Daemon {
    pub fn start(who: Who, plugins: &str) -> Daemon {
        Daemon::start_in(who, site(plugins))
    }

    pub fn start_in(who: Who, site: Site) -> Daemon {
        // Another process may take the port between our choice and the daemon's bind.
        let port = free_port();
        let mut command = match who {
            Who::Original => {
                let mut command = site.command("perl");
                let directory = with_resolver(&site);
                command.args(["-Tw", "-I", &directory, "-MKeepsResolver", ORIGINAL]);
                command.args(["-m", "300", "-c", "300"]);
                command
            }
            Who::Camelpost(args) => {
                let mut command = site.command(CAMELPOST);
                command.args(["serve", "--no-rdns", "-m", "0", "--control", "none"]);
                command.args(["--drain-timeout", "0"]);
                command.args(args);
                command
            }
            Who::Named(name, args) => {
                let mut command = site.command(site.path("bin").join(name));
                let dns = resolver();
                command.env("RES_NAMESERVERS", dns.ip().to_string());
                command.env("RES_OPTIONS", format!("port:{}", dns.port()));
                command.args(args);
                command
            }
            Who::Inetd => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let children = RefCell::default();
                let serves = Serves::Inetd { listener, children };
                return Daemon { serves, site };
            }
        };
        command.args(["--listen-address", "127.0.0.1", "--user", &me()]);
        command.args(["--port", &port.to_string()]);
        let log = fs::File::create(site.path("run/log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; packaging/install-deps test"));
        let serves = Serves::Process { child, port };
        let mut daemon = Daemon { serves, site };
        daemon.wait_until_it_greets();
        daemon
    }

    fn wait_until_it_greets(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(mut client) = self.try_connect() {
                // The original listens before it has loaded its plugins.
                if client.reply().starts_with("220") {
                    client.say("QUIT");
                    client.rest();
                    return;
                }
            }
            let ended = match &mut self.serves {
                Serves::Process { child, .. } => child.try_wait().unwrap(),
                Serves::Inetd { .. } => None,
            };
            assert!(
                ended.is_none() && Instant::now() < end,
                "{ended:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    fn try_connect(&self) -> Option<Client> {
        let stream = match &self.serves {
            Serves::Process { port, .. } => TcpStream::connect(("127.0.0.1", *port)).ok()?,
            Serves::Inetd { listener, children } => {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let socket = OwnedFd::from(listener.accept().unwrap().0);
                // The command is dropped, for it holds the socket, too.
                let mut command = self.site.command(self.site.path("bin/qpsmtpd"));
                command.stdin(Stdio::from(socket.try_clone().unwrap()));
                command.stdout(Stdio::from(socket));
                let mut options = fs::File::options();
                options.append(true).create(true);
                let log = options.open(self.site.path("run/log")).unwrap();
                let child = command.stderr(log).spawn().unwrap();
                children.borrow_mut().push(child);
                stream
            }
        };
        stream.set_nodelay(true).unwrap();
        Some(Client::new(stream))
    }

    /// Connects and does not wait for the greeting.
    pub fn connect_silently(&self) -> Client {
        self.try_connect().unwrap()
    }

    pub fn connect(&self) -> Client {
        let mut client = self.connect_silently();
        let greeting = client.reply();
        assert!(greeting.starts_with("220 "), "{greeting}");
        client
    }

    /// Asks for a reload and waits until it is done; the log level has to be 6.
    pub fn reload(&self) {
        let Serves::Process { child, .. } = &self.serves else {
            panic!("nothing to reload");
        };
        let count = || self.log().matches("reloaded").count();
        let before = count();
        kill_process(Pid::from_child(child), Signal::HUP).unwrap();
        wait_for("a reload", || (count() > before).then_some(()));
    }

    pub fn log(&self) -> String {
        self.site.read("run/log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the log's end, last line first:\n{}", lines.join("\n"));
        }
        match &mut self.serves {
            Serves::Process { child, .. } => end(child),
            Serves::Inetd { children, .. } => children.get_mut().iter_mut().for_each(|child| {
                let _ = child.kill();
                let _ = child.wait();
            }),
        }
    }
}

/// Tells a daemon to end; what is left of its process group then is killed.
fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    // Not at once: the original's children are told by it.
    let _ = kill_process(pid, Signal::TERM);
    let end = Instant::now() + Duration::from_secs(5);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = child.wait();
}

/// The suite's resolver, which knows no names.
fn resolver() -> SocketAddr {
    static RESOLVER: OnceLock<SocketAddr> = OnceLock::new();
    *RESOLVER.get_or_init(|| dns::start().unwrap())
}

/// A directory with a module that sends the original's lookups to the suite's resolver; after a first
/// new(), which reads the machine's own settings over anything set before.
fn with_resolver(site: &Site) -> String {
    let dns = resolver();
    let text = format!(
        "package KeepsResolver;\nINIT {{\n    require Net::DNS::Resolver;\n    \
         Net::DNS::Resolver->new;\n    Net::DNS::Resolver->nameservers('{}');\n    \
         Net::DNS::Resolver->port({});\n}}\n1;\n",
        dns.ip(),
        dns.port()
    );
    site.put("run/KeepsResolver.pm", &text);
    site.path("run").display().to_string()
}
